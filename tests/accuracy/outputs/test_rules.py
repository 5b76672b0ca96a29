"""Does each output rule pass an honest SUT, catch each fault, and name the sample and the
position?
"""

from functools import partial

import pytest

from accuracy.outputs.rules import (
    TEXT_DIFFERS,
    eos,
    events_in_order,
    first_token,
    length_limit,
    not_empty,
    samples_complete,
    streamed,
    text,
    times_in_order,
    token_count,
)
from harness.engine.recorder import Recorder
from harness.kernel.clock import VirtualClock
from harness.kernel.log import Anomaly
from harness.kernel.types import At, Output, Query, QuerySample
from scenarios.offline import Offline
from scenarios.server import Server
from scenarios.single_stream import SingleStream
from sut.simulated import Simulated
from tests.scenario_helpers import Row, hand_log, run_settings, virtual_run

RULES = [
    samples_complete, events_in_order, times_in_order, first_token, eos, token_count, not_empty,
    length_limit, streamed,
]  # fmt: skip
FACTS = {"eos_ids": [2], "max_new_tokens": 40}


def simulated(fault="", **options):
    return virtual_run(Server(), run_settings(), fault=fault, **options)


def recorded(*events, issued=3):
    """What a recorder makes of these events: (method, arguments...) one after another."""
    recorder = Recorder(VirtualClock())
    for i in range(issued):
        recorder.issue(Query(i, [QuerySample(i, i)], At(0)), 0, 0)
    for method, *arguments in events:
        getattr(recorder, method)(*arguments)
    return recorder.log(0, "completed")


# ---- the simulated SUT, honest and faulty


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("scenario", [Server(), SingleStream(), Offline()])
def test_an_honest_sut_passes(rule, scenario):
    found = rule(virtual_run(scenario, run_settings()), FACTS)
    assert (found.rule, found.status, found.measured, found.evidence) == (
        rule.__name__,
        "PASS",
        0,
        (),
    )


@pytest.mark.parametrize(
    ("fault", "rule", "detail"),
    [
        (
            "lost_sample",
            samples_complete,
            "1 of 64: sample 6 timed out: nothing more of it for 120 s",
        ),
        ("two_eos", eos, "sample 6: EOS 2 at position 31 is not the last token"),
        ("wrong_count", token_count, "sample 6: reported 33 tokens, sent 32"),
    ],
)
def test_a_fault_fails_its_rule_and_names_the_sample(fault, rule, detail):
    found = rule(simulated(fault), FACTS)
    assert (found.status, found.measured, found.evidence) == ("FAIL", 1, (6,))
    assert found.detail == detail
    assert found.remedy


def test_a_first_token_that_is_not_in_the_output_is_caught():
    log = simulated("wrong_first_token")
    found = first_token(log, FACTS)
    assert (found.status, found.evidence) == ("FAIL", (6,))
    streamed = log.first_token[6]
    assert (
        found.detail
        == f"sample 6: position 0: streamed {streamed}, final {streamed + 1} (32 streamed, 32"
        " final)"
    )


@pytest.mark.parametrize(
    ("fault", "its_rule"),
    [
        ("lost_sample", samples_complete),
        ("two_eos", eos),
        ("wrong_count", token_count),
        ("wrong_first_token", first_token),
    ],
)
def test_a_fault_fails_no_other_rule(fault, its_rule):
    log = simulated(fault)
    assert [rule.__name__ for rule in RULES if rule(log, FACTS).status == "FAIL"] == [
        its_rule.__name__
    ]


@pytest.mark.parametrize("at", [0, 63])
def test_a_fault_is_found_at_either_end_of_the_run(at):
    assert eos(simulated("two_eos", fault_at=at), FACTS).evidence == (at,)


# ---- samples_complete


def test_a_sample_that_is_still_open_is_incomplete():
    found = samples_complete(hand_log([Row(), Row(latency=None, finish="")]), FACTS)
    assert (found.status, found.evidence) == ("FAIL", (1,))
    assert found.detail == "1 of 2: sample 1 was still open at the end"


def test_a_failed_sample_gives_its_reason():
    found = samples_complete(hand_log([Row(finish="error", error="out of memory"), Row()]), FACTS)
    assert found.detail == "1 of 2: sample 0 out of memory"


def test_several_open_samples_are_counted():
    found = samples_complete(hand_log([Row()] + [Row(latency=None, finish="")] * 9), FACTS)
    assert (found.measured, found.evidence) == (9, (1, 2, 3, 4, 5))
    assert found.detail.endswith("9 still open")


# ---- events_in_order


def test_the_usual_order_of_events_passes():
    log = recorded(("first_token", 1, 5), ("tokens", 1, [6, 2]), ("complete", Output(1)))
    assert events_in_order(log, FACTS).status == "PASS"


@pytest.mark.parametrize(
    ("events", "sample", "detail"),
    [
        ([("complete", Output(99))], 99, "complete for a sample that was never issued"),
        ([("first_token", -1, 5)], -1, "first_token for a sample that was never issued"),
        ([("tokens", 99, [5])], 99, "tokens for a sample that was never issued"),
        (
            [("complete", Output(1)), ("complete", Output(1))],
            1,
            "complete came after the sample was complete",
        ),
        (
            [("complete", Output(1)), ("first_token", 1, 5)],
            1,
            "first_token came after the sample was complete",
        ),
        ([("tokens", 1, [5, 6])], 1, "2 token(s) came before a first token"),
        ([("first_token", 1, 5), ("first_token", 1, 6)], 1, "token 6 came as a second first token"),
    ],
)
def test_a_stray_event_is_named(events, sample, detail):
    found = events_in_order(recorded(*events), FACTS)
    assert (found.status, found.evidence) == ("FAIL", (sample,))
    assert found.detail == f"sample {sample}: {detail}"


def test_events_after_giving_up_are_the_timeouts_fault_and_not_out_of_order():
    log = recorded(("fail", 1, "timed out"), ("complete", Output(1)))
    assert events_in_order(log, FACTS).status == "PASS"
    assert (
        samples_complete(log, FACTS).detail
        == "3 of 3: sample 0 was still open at the end; 2 still open"
    )


def test_every_stray_sample_is_counted_once():
    log = hand_log(
        [Row()],
        [
            Anomaly(7, "unknown_sample", "x"),
            Anomaly(7, "unknown_sample", "y"),
            Anomaly(3, "after_completion", "z"),
        ],
    )
    found = events_in_order(log, FACTS)
    assert (found.measured, found.evidence, found.detail) == (2, (3, 7), "sample 7: x")


# ---- first_token


def test_a_first_token_that_differs_from_the_output_names_both():
    found = first_token(hand_log([Row(), Row(ids=(5, 6, 2), first_token=9)]), FACTS)
    assert (found.status, found.evidence) == ("FAIL", (1,))
    assert found.detail == "sample 1: position 0: reported 9, final 5"


def test_an_output_without_any_first_token_fails():
    found = first_token(hand_log([Row(), Row(ttft=None, first_token=-1)]), FACTS)
    assert (found.status, found.evidence) == ("FAIL", (1,))
    assert found.detail == "sample 1: no first token was reported"


def test_a_stream_that_is_not_the_output_names_the_position():
    log = recorded(
        ("first_token", 0, 5), ("tokens", 0, [6, 7]), ("complete", Output(0, "eos", [5, 6, 8]))
    )
    assert (
        first_token(log, FACTS).detail
        == "sample 0: position 2: streamed 7, final 8 (3 streamed, 3 final)"
    )


def test_an_output_longer_than_its_stream_names_the_first_missing_position():
    log = recorded(("first_token", 0, 5), ("complete", Output(0, "eos", [5, 2])))
    assert (
        first_token(log, FACTS).detail
        == "sample 0: position 1: streamed nothing, final 2 (1 streamed, 2 final)"
    )


def test_a_failed_sample_may_lack_a_first_token():
    log = hand_log([Row(), Row(ttft=None, ids=(), finish="error")])
    assert first_token(log, FACTS).status == "PASS"


def test_without_tokens_there_is_no_first_token_to_check():
    found = first_token(hand_log([Row(ids=(), ttft=None)]), FACTS)
    assert (found.status, found.detail) == ("SKIPPED", "the SUT returned no tokens")


# ---- eos


@pytest.mark.parametrize(
    ("ids", "finish"),
    [((5, 6, 2), "eos"), ((5, 6, 7), "length"), ((5, 6), "stop"), ((2,), "eos")],
    ids=["at the end", "cut off", "stop string", "alone"],
)
def test_a_legal_ending_passes(ids, finish):
    assert eos(hand_log([Row(ids=ids, finish=finish)]), FACTS).status == "PASS"


@pytest.mark.parametrize(
    ("ids", "finish", "detail"),
    [
        ((5, 2, 6), "length", "EOS 2 at position 1 is not the last token"),
        ((2, 5, 6), "length", "EOS 2 at position 0 is not the last token"),
        ((5, 2, 2), "eos", "EOS 2 at position 1 is not the last token"),
        ((2, 2), "eos", "EOS 2 at position 0 is not the last token"),
        (
            (5, 6, 2),
            "length",
            "finish reason 'length' does not agree with its last token, 2 at position 2",
        ),
        (
            (5, 6, 2),
            "stop",
            "finish reason 'stop' does not agree with its last token, 2 at position 2",
        ),
        (
            (5, 6, 7),
            "eos",
            "finish reason 'eos' does not agree with its last token, 7 at position 2",
        ),
    ],
)
def test_an_illegal_ending_names_sample_and_reason(ids, finish, detail):
    found = eos(hand_log([Row(), Row(ids=ids, finish=finish), Row()]), FACTS)
    assert (found.status, found.measured, found.evidence) == ("FAIL", 1, (1,))
    assert found.detail == f"sample 1: {detail}"


def test_any_of_several_eos_ids_ends_an_output():
    facts = {"eos_ids": [2, 9]}
    assert eos(hand_log([Row(ids=(5, 9)), Row(ids=(5, 2))]), facts).status == "PASS"
    assert eos(hand_log([Row(ids=(5, 9, 2))]), facts).status == "FAIL"


def test_an_empty_answer_between_others_does_not_shift_the_positions():
    log = hand_log([Row(), Row(ids=(), ttft=None), Row(ids=(5, 2, 6, 2))])
    assert eos(log, FACTS).detail == "sample 2: EOS 2 at position 1 is not the last token"
    assert eos(hand_log([Row(), Row(ids=(), ttft=None), Row()]), FACTS).status == "PASS"


def test_a_failed_sample_needs_no_eos():
    assert eos(hand_log([Row(), Row(ids=(5, 6), finish="error")]), FACTS).status == "PASS"


@pytest.mark.parametrize("facts", [{}, {"eos_ids": []}, {"eos_ids": None}])
def test_without_an_eos_id_the_rule_is_skipped(facts):
    found = eos(hand_log([Row()]), facts)
    assert (found.status, found.detail) == ("SKIPPED", "the SUT names no EOS token")


def test_without_token_ids_the_rule_is_skipped():
    found = eos(hand_log([Row(ids=(), reported=3)]), FACTS)
    assert (found.status, found.detail) == ("SKIPPED", "no token ids")


# ---- token_count


def test_a_wrong_count_names_both_numbers():
    found = token_count(hand_log([Row(reported=3), Row(reported=2)]), FACTS)
    assert (found.status, found.evidence, found.detail) == (
        "FAIL",
        (1,),
        "sample 1: reported 2 tokens, sent 3",
    )


def test_counts_are_compared_only_where_there_is_a_claim():
    found = token_count(
        hand_log(
            [Row(reported=3), Row(), Row(ids=(), reported=8), Row(reported=9, finish="error")]
        ),
        FACTS,
    )
    assert (found.status, found.detail) == ("PASS", "1 reported counts match the ids")


@pytest.mark.parametrize("row", [Row(), Row(ids=(), reported=8)], ids=["no claim", "no ids"])
def test_without_claims_or_ids_the_rule_is_skipped(row):
    assert token_count(hand_log([row]), FACTS).status == "SKIPPED"


# ---- SUTs that cheat with time


class AnswersAhead(Simulated):
    """Completes sample 7 when it is asked sample 6."""

    def issue(self, query):
        super().issue(query)
        for sample in query.samples:
            if sample.id == 6:
                self._sink.first_token(7, 5)
                self._sink.complete(Output(7, "eos", [5, EOS]))


class HoldsBack(Simulated):
    """Reports the first token, and all others when the last one is there; from sample `fault_at`
    on.
    """

    def _first(self, sample_id, ids):
        self._sink.first_token(sample_id, ids[0])
        step = self._finish if sample_id >= self._fault_at else partial(self._next, position=1)
        self._after(
            self._per_token_ns * (len(ids) - 1) if sample_id >= self._fault_at else 0,
            partial(step, sample_id, ids),
        )

    def _finish(self, sample_id, ids):
        self._sink.tokens(sample_id, ids[1:])
        self._next(sample_id, ids, len(ids))


class Gathers(Simulated):
    """Sends so many tokens in a message."""

    at_once = 8

    def _token(self, sample_id, ids, position):
        end = min(position + self.at_once, len(ids))
        self._sink.tokens(sample_id, ids[position:end])
        self._next(sample_id, ids, end)


class AllAtOnce(Gathers):
    """No stream at all: the first token waits for the last."""

    at_once = 100

    def _first(self, sample_id, ids):
        self._sink.first_token(sample_id, ids[0])
        self._token(sample_id, ids, 1)


EOS = 2


def cheated(kind, **options):
    return virtual_run(Server(), run_settings(), kind, **options)


def test_an_answer_before_its_question_is_named():
    found = events_in_order(cheated(AnswersAhead), FACTS)
    assert (found.status, found.evidence) == ("FAIL", (7,))
    assert found.detail == "sample 7: first_token for it came before its query"


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        (Row(lag=15, latency=20), "its first token came 5 ms before its query was issued"),
        (
            Row(ttft=None, lag=25, latency=20),
            "its completion came 5 ms before its query was issued",
        ),
        (Row(ttft=22, latency=20), "its last token came 2 ms after its completion"),
    ],
)
def test_a_log_whose_times_run_backwards_is_not_believed(row, detail):
    found = times_in_order(
        hand_log([Row(), row, Row(ttft=None, latency=None, ids=(), finish="")]), FACTS
    )
    assert (found.status, found.evidence, found.detail) == ("FAIL", (1,), f"sample 1: {detail}")


def test_a_first_token_ahead_of_an_answer_in_one_lump_is_caught_and_placed():
    log = cheated(HoldsBack, fault_at=20)
    found = streamed(log, FACTS)
    assert (found.status, found.measured, found.limit, found.evidence) == (
        "FAIL",
        44,
        6,
        (20, 21, 22, 23, 24),
    )
    assert (
        found.detail
        == "44 of 64 answers arrived in bursts: sample 20: 31 tokens in 1 burst after the first; "
        f"position 1 (token {log.record(20).token_ids[1]}) came 155 ms after the one before it"
    )
    assert [rule.__name__ for rule in RULES if rule(log, FACTS).status == "FAIL"] == ["streamed"]


@pytest.mark.parametrize(
    ("lumps", "status"), [(0, "PASS"), (1, "UNDECIDED"), (6, "UNDECIDED"), (7, "FAIL")]
)
def test_a_pause_of_the_machine_is_a_doubt_and_a_tenth_of_the_answers_is_none(lumps, status):
    found = streamed(cheated(HoldsBack, fault_at=64 - lumps), FACTS)
    assert (found.status, found.measured, bool(found.remedy)) == (status, lumps, status != "PASS")


@pytest.mark.parametrize(
    ("at_once", "status"), [(4, "PASS"), (10, "PASS"), (16, "PASS"), (30, "PASS"), (31, "FAIL")]
)
def test_a_few_tokens_in_a_message_are_a_stream(at_once, status):
    class_ = type("Gathering", (Gathers,), {"at_once": at_once})
    assert streamed(cheated(class_), FACTS).status == status


def test_tokens_told_one_by_one_in_no_time_are_a_lump_all_the_same():
    class Drips(HoldsBack):
        def _finish(self, sample_id, ids, position=1):
            self._sink.tokens(sample_id, ids[position : position + 1])
            left = position + 1 < len(ids)
            step = (
                partial(self._finish, sample_id, ids, position + 1)
                if left
                else partial(self._next, sample_id, ids, len(ids))
            )
            self._after(20_000, step)

    assert streamed(cheated(Drips, fault_at=0), FACTS).status == "FAIL"


def test_an_answer_that_comes_whole_fakes_nothing_and_is_told():
    found = streamed(cheated(AllAtOnce), FACTS)
    assert (found.status, found.detail) == (
        "SKIPPED",
        "64 of 64 answers arrived all at once, so they have no TPOT",
    )


def test_short_answers_cannot_tell_a_lump_from_a_step():
    found = streamed(
        virtual_run(Server(), run_settings(max_new_tokens=17), HoldsBack, fault_at=0), FACTS
    )
    assert (found.status, found.detail) == ("SKIPPED", "no answer has more than 17 streamed tokens")
    assert streamed(hand_log([Row()]), FACTS).status == "SKIPPED"


# ---- not_empty, length_limit


def test_an_empty_answer_is_caught_on_every_run():
    found = not_empty(hand_log([Row(), Row(ids=(), ttft=None)]), FACTS)
    assert (found.status, found.evidence) == ("FAIL", (1,))
    assert found.detail == "sample 1: position 0: completed without any token"
    assert not_empty(hand_log([Row(ids=(), ttft=None)]), FACTS).status == "SKIPPED"


@pytest.mark.parametrize(
    ("ids", "finish", "detail"),
    [
        ((5, 6, 7), "length", "ends with reason 'length' at position 3, the limit is 4 tokens"),
        ((5, 6, 7, 8, 9), "length", "continues at position 4, the limit is 4 tokens"),
        ((5, 6, 7, 8, 2), "eos", "continues at position 4, the limit is 4 tokens"),
    ],
)
def test_a_finish_reason_that_does_not_fit_the_length_is_caught(ids, finish, detail):
    log = hand_log([Row(), Row(ids=ids, finish=finish)])
    found = length_limit(log, {"max_new_tokens": 4})
    assert (found.status, found.evidence, found.detail) == ("FAIL", (1,), f"sample 1: {detail}")
    assert length_limit(log, {"max_new_tokens": {0: 4, 1: len(ids)}}).status == "PASS"


@pytest.mark.parametrize(
    "row", [Row(ids=(5, 6, 7, 8), finish="length"), Row(ids=(5, 2)), Row(ids=(5, 6), finish="stop")]
)
def test_an_answer_within_its_limit_passes(row):
    assert length_limit(hand_log([row]), {"max_new_tokens": 4}).status == "PASS"


@pytest.mark.parametrize(
    ("row", "facts"), [(Row(), {}), (Row(ids=()), FACTS)], ids=["no limit", "no tokens"]
)
def test_without_a_limit_or_tokens_there_is_nothing_to_compare(row, facts):
    assert length_limit(hand_log([row]), facts).status == "SKIPPED"


# ---- text (what is compared: see test_texts.py)


def test_a_text_that_is_not_the_decoding_of_its_ids_is_named():
    log = hand_log(
        [Row(text="blue"), Row(text="red")],
        [Anomaly(1, TEXT_DIFFERS, "word 0: sent 'red', the ids say 'sea'")],
    )
    found = text(log, {"texts_from": "ids"})
    assert (found.status, found.evidence, found.detail) == (
        "FAIL",
        (1,),
        "sample 1: word 0: sent 'red', the ids say 'sea'",
    )
    assert events_in_order(log, FACTS).status == "PASS"


@pytest.mark.parametrize(
    ("row", "facts", "status"),
    [
        (Row(text="blue"), {"texts_from": "ids"}, "PASS"),
        (Row(text="blue"), {"texts_from": "sut"}, "SKIPPED"),
        (Row(), {}, "SKIPPED"),
    ],
)
def test_a_text_is_believed_only_where_it_was_decoded(row, facts, status):
    assert text(hand_log([row]), facts).status == status
