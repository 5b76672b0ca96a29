"""Is the text that is scored the decoding of the ids, and is one that says something else told?"""

import pytest

import sut
from accuracy.outputs.rules import TEXT_DIFFERS, text
from accuracy.outputs.stops import cut
from accuracy.outputs.texts import read_back
from harness.engine.runlog import read_log
from harness.kernel.types import Output
from harness.options.settings import load_config
from harness.running.session import Run
from sut.simulated import Simulated
from tests.scenario_helpers import Row, hand_log

WORDS = {5: "the", 6: "sky", 7: "sea", 2: ""}


def decode(outputs):
    return [" ".join(WORDS[token] for token in ids).strip() for ids in outputs]


def read(*rows, by=decode):
    return read_back(hand_log(rows), by)


def test_ids_without_a_text_are_decoded():
    assert read(Row(ids=(5, 6, 2)), Row(ids=(5, 7, 2))) == ({0: "the sky", 1: "the sea"}, [], "ids")


def test_a_text_that_says_something_else_is_not_scored_and_is_named():
    found = read(
        Row(ids=(5, 6, 2), text="the sky"), Row(ids=(5, 7, 2), text="the answer that was wanted")
    )
    assert found.texts == {0: "the sky", 1: "the sea"}
    (anomaly,) = found.anomalies
    words = "word 1: sent 'answer', the ids say 'sea' (5 words sent, 2 decoded)"
    assert anomaly == (1, TEXT_DIFFERS, words)


def test_a_text_that_ends_before_a_stop_is_that_of_its_ids():
    rows = Row(ids=(5, 6, 7), text="the"), Row(ids=(5, 6, 7), text="the sea")
    found = read_back(hand_log(rows), decode, dict.fromkeys(range(2), ("sky",)))
    assert found.texts == {0: "the sky sea", 1: "the sky sea"}
    (anomaly,) = found.anomalies
    assert (anomaly.sample_id, anomaly.kind) == (1, TEXT_DIFFERS)
    assert len(read(*rows).anomalies) == 2, "without a stop both say something else"


@pytest.mark.parametrize(
    ("text", "stop", "left"),
    [
        ("a. Q: b", ("Q:",), "a. "),
        ("abcd", ("abcd", "bc"), "a"),  # "bc" is complete first
        ("abc", ("c", "bc"), "a"),  # of two the longer
        ("abc", ("", "x"), "abc"),
        ("", ("x",), ""),
    ],
)
def test_a_text_is_cut_where_servers_cut_it(text, stop, left):
    assert cut(text, stop) == left


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ("the", "word 1: sent nothing, the ids say 'sky' (1 words sent, 2 decoded)"),
        ("the sky fell", "word 2: sent 'fell', the ids say nothing (3 words sent, 2 decoded)"),
    ],
)
def test_a_text_that_is_cut_or_goes_on_is_placed(sent, words):
    assert read(Row(ids=(5, 6, 2), text=sent)).anomalies[0].detail == words


def test_a_long_run_is_decoded_in_pieces():
    """A call has a time-out: one for all the answers of a long run would not end in time."""
    sizes = []

    def counting(outputs):
        sizes.append(len(outputs))
        return decode(outputs)

    rows = [Row(ids=(5, 6, 2)) if i % 2 else Row(ids=()) for i in range(3000)]
    found = read(*rows, by=counting)
    assert (sum(sizes), max(sizes) <= 512, len(sizes)) == (1500, True, 3)
    assert found.texts == {i: "the sky" for i in range(1, 3000, 2)}


def test_white_space_is_no_difference():
    assert read(Row(ids=(5, 6, 2), text=" the\n sky ")).anomalies == []


def test_a_sut_that_cannot_decode_is_taken_at_its_word_and_that_is_said():
    found = read(Row(ids=(5, 6, 2), text="anything"), by=lambda outputs: None)
    assert found == ({0: "anything"}, [], "sut")
    assert (
        text(hand_log([Row(text="anything")]), {"texts_from": found.texts_from}).status == "SKIPPED"
    )


def test_a_text_without_ids_stands_and_one_is_not_asked_for_nothing():
    def never(outputs):
        raise AssertionError("nothing to decode")

    assert read(Row(ids=(), text="blue"), by=never) == ({0: "blue"}, [], "sut")
    assert read(Row(ids=()), by=never) == ({}, [], "")


def test_only_those_with_ids_are_decoded():
    assert read(Row(ids=(), text="blue"), Row(ids=(5, 6))) == ({0: "blue", 1: "the sky"}, [], "ids")


# ---- a whole run


class SaysOtherwise(Simulated):
    """Sends a better text than its ids at sample 6."""

    def _complete(self, sample_id, ids):
        said = "what the reference says" if sample_id == 6 else ""
        self._sink.complete(Output(sample_id, "eos", ids, said, len(ids)))

    def decode(self, outputs):
        return [" ".join(map(str, ids)) for ids in outputs]


def test_a_run_whose_text_is_not_that_of_its_ids_is_invalid_and_scored_by_the_ids(
    tmp_path, monkeypatch
):
    entry = sut.TABLE["simulated"]._replace(factory=f"{__name__}:SaysOtherwise")
    monkeypatch.setitem(sut.TABLE, "simulated", entry)
    flags = {"scenario": "server", "sut": "simulated", "clock": "virtual", "output_dir": tmp_path}
    with Run(load_config(flags), lambda words: None, progress=False) as run:
        result = run.execute()
    (failed,) = [v for v in result.verdicts if v["status"] == "FAIL"]
    assert (result.status, failed["rule"], failed["evidence"]) == ("INVALID", "text", (6,))
    assert failed["detail"].startswith("sample 6: word 0: sent 'what', the ids say ")
    log, _ = read_log(run.folder)
    assert log.texts[6] == " ".join(map(str, log.record(6).token_ids))


def test_half_a_character_at_the_end_of_one_of_them_says_nothing():
    assert not read(Row(ids=(5, 6), text="the sky \ufffd")).anomalies
