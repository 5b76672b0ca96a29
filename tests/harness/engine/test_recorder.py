import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.engine.recorder import MAX_ANOMALIES, Recorder
from harness.kernel.clock import VirtualClock
from harness.kernel.types import FINISHES, NEVER, Output
from tests.helpers import MS, S, query


def recorder(*queries: int) -> tuple[Recorder, VirtualClock]:
    """A recorder with one query of that many samples each, issued at 0, and its clock."""
    clock = VirtualClock()
    r, first = Recorder(clock), 0
    for i, n in enumerate(queries):
        r.issue(query(i, first, n), 0, 0)
        first += n
    return r, clock


def log(r):
    return r.log(0, "completed")


def kinds(r):
    return [anomaly.kind for anomaly in r.anomalies]


# ---- what is kept


def test_every_event_is_stamped_on_arrival():
    r, clock = recorder(1)
    clock.advance(5)
    r.first_token(0, 11)
    clock.advance(7)
    r.tokens(0, [12, 13])
    clock.advance(9)
    r.tokens(0, [14])
    clock.advance(1)
    r.complete(Output(0))
    row = log(r).record(0)
    assert (row.first_ns, row.done_ns, row.first_token, row.finish) == (5, 22, 11, "eos")
    assert (row.token_ids.tolist(), row.chunk_ns.tolist()) == ([11, 12, 13, 14], [5, 12, 12, 21])


def test_due_issued_query_and_index_are_the_drivers():
    r, _ = recorder()
    r.issue(query(0, 0, 2), due_ns=3, issued_ns=8)
    r.issue(query(1, 2, 1), due_ns=4, issued_ns=9)
    kept = log(r)
    assert kept.due_ns.tolist() == [3, 3, 4]
    assert kept.issued_ns.tolist() == [8, 8, 9]
    assert kept.query_id.tolist() == [0, 0, 1]
    assert kept.index.tolist() == [0, 1, 2]


def test_times_are_counted_from_the_start_and_never_stays_never():
    r, clock = recorder()
    clock.advance(100)
    r.issue(query(0, 0, 2), 100, 101)
    clock.advance(50)
    r.first_token(0, 1)
    r.complete(Output(0))
    kept = r.log(100, "completed")
    assert (kept.due_ns.tolist(), kept.issued_ns.tolist()) == ([0, 0], [1, 1])
    assert (kept.first_ns.tolist(), kept.done_ns.tolist()) == ([50, NEVER], [50, NEVER])
    assert kept.stamp_ns.tolist() == [50]


def test_text_reported_count_and_finish_are_kept():
    r, _ = recorder(1)
    r.complete(Output(0, "length", text="hi", reported_tokens=4))
    row = log(r).record(0)
    assert (row.text, row.reported_tokens, row.finish) == ("hi", 4, "length")


def test_completion_order_is_the_order_of_completion():
    r, _ = recorder(3)
    for i in (2, 0, 1):
        r.complete(Output(i))
    assert log(r).completion_order.tolist() == [2, 0, 1]


def test_ids_that_come_only_with_the_completion_are_kept_without_stamps():
    r, _ = recorder(1)
    r.complete(Output(0, token_ids=[5, 6, 7]))
    row = log(r).record(0)
    assert (row.token_ids.tolist(), row.chunk_ns.tolist()) == ([5, 6, 7], [])
    assert r.anomalies == []


def test_the_tokens_of_an_open_sample_are_in_the_log():
    r, clock = recorder(2)
    r.first_token(1, 9)
    clock.advance(4)
    r.tokens(1, [8])
    row = r.log(0, "interrupted", "Ctrl-C").record(1)
    assert (row.token_ids.tolist(), row.chunk_ns.tolist(), row.finish) == ([9, 8], [0, 4], "")


def test_the_log_says_how_the_run_ended():
    r, _ = recorder(1)
    kept = r.log(0, "error", "it died")
    assert (kept.end, kept.end_reason) == ("error", "it died")


def test_an_empty_run_is_an_empty_log():
    kept = log(Recorder(VirtualClock()))
    assert (len(kept), kept.token_start.tolist(), kept.stamp_start.tolist()) == (0, [0], [0])


GAPS_NS = st.one_of(
    st.integers(0, 50 * MS), st.integers(2**32 - 3, 2**32 + 3), st.integers(5 * S, 10**15)
)
STREAMS = st.lists(
    st.lists(st.tuples(GAPS_NS, st.integers(0, 3)), max_size=8), min_size=1, max_size=4
)


@settings(deadline=None)
@given(STREAMS, st.randoms(use_true_random=False))
def test_the_stamps_of_any_streams_are_exact(streams, random):
    """(gap, number of ids) chunks per sample, told in any interleaving: empty chunks, and gaps
    above 32 bits.
    """
    r, clock = recorder(*[1] * len(streams))
    expected = [[0] for _ in streams]
    for i in range(len(streams)):
        r.first_token(i, 1)
    turns = [i for i, chunks in enumerate(streams) for _ in chunks]
    random.shuffle(turns)
    left = [iter(chunks) for chunks in streams]
    for i in turns:
        gap, n = next(left[i])
        clock.advance(gap)
        r.tokens(i, [1] * n)
        expected[i] += [clock.now_ns()] * n
    for i in range(0, len(streams), 2):  # the others are still open when the log is made
        r.complete(Output(i))
    kept = log(r)
    assert [kept.record(i).chunk_ns.tolist() for i in range(len(streams))] == expected
    assert kept.tokens.tolist() == [len(stamps) for stamps in expected]


# ---- the driver's view


def test_a_query_is_open_until_its_last_sample_is_complete():
    r, clock = recorder(3)
    for i in (1, 0):
        r.complete(Output(i))
    assert (r.open_queries, r.open_samples) == (1, 1)
    clock.advance(6)
    r.complete(Output(2))
    assert (r.open_queries, r.open_samples, r.gate_ns) == (0, 0, 6)


def test_queries_of_one_and_of_many_samples_close_independently():
    r, _ = recorder(2, 1, 2)
    r.complete(Output(2))
    assert r.open_queries == 2
    r.complete(Output(0))
    r.complete(Output(3))
    assert r.open_queries == 2
    r.fail(1, "lost")
    r.complete(Output(4))
    assert r.open_queries == 0


def test_the_waiting_are_those_that_have_not_begun_oldest_first():
    r, clock = recorder()
    for i, moment in enumerate((10, 20, 30, 40)):
        r.issue(query(i, i), moment, moment)
    assert [i for i, _ in r.waiting()] == [0, 1, 2, 3]
    r.complete(Output(1))
    clock.advance(50)
    r.first_token(2, 7)
    assert list(r.waiting()) == [(0, 10), (3, 40)]
    assert r.begun() == [(2, 50)]
    r.complete(Output(0))
    clock.advance(1)
    r.tokens(2, [8])
    assert (list(r.waiting()), r.begun(), r.last_done_ns) == ([(3, 40)], [(2, 51)], 50)
    r.complete(Output(2))
    assert (r.begun(), r.last_done_ns) == ([], 51)


@pytest.mark.parametrize(("from_ns", "newest_ns"), [(0, 20), (20, 20), (21, NEVER), (99, NEVER)])
def test_the_newest_that_has_begun_is_told_by_its_issue(from_ns, newest_ns):
    r, _ = recorder()
    for i, moment in enumerate((10, 20, 30)):
        r.issue(query(i, i), moment, moment)
    assert r.newest_begun_ns(0) == NEVER
    r.complete(Output(0))
    r.first_token(1, 5)
    assert r.newest_begun_ns(from_ns) == newest_ns


def test_give_up_fails_every_open_sample():
    r, _ = recorder()
    for i, moment in enumerate((10, 20, 30)):
        r.issue(query(i, i), moment, moment)
    r.complete(Output(1))
    r.give_up("lost")
    assert r.errors == {0: "lost", 2: "lost"}
    assert (r.num_failed, r.num_done, r.open_samples) == (2, 3, 0)


def test_a_failed_sample_is_done_failed_and_has_a_reason():
    r, clock = recorder(1)
    r.first_token(0, 5)
    clock.advance(3)
    r.fail(0, "connection reset")
    row = log(r).record(0)
    assert (row.finish, row.error, row.done_ns, row.token_ids.tolist()) == (
        "error",
        "connection reset",
        3,
        [5],
    )
    assert (r.num_failed, r.open_queries, log(r).completed.tolist()) == (1, 0, [False])


def test_an_output_that_says_error_counts_as_failed():
    r, _ = recorder(1)
    r.complete(Output(0, "error"))
    assert (r.num_failed, r.open_queries, log(r).completed.tolist()) == (1, 0, [False])


# ---- what a SUT must not do


@pytest.mark.parametrize("sample_id", [-1, 3, 2**40])
def test_events_for_samples_never_issued_are_noted(sample_id):
    r, _ = recorder(3)
    r.first_token(sample_id, 1)
    r.tokens(sample_id, [1])
    r.complete(Output(sample_id))
    r.fail(sample_id, "why not")
    assert kinds(r) == ["unknown_sample"] * 4
    assert (r.num_done, r.num_tokens, r.open_queries) == (0, 0, 1)


def test_pieces_of_text_have_stamps_and_no_ids():
    r, clock = recorder(1)
    for at_ms in (5, 8, 6_000):
        clock.wait(at_ms * MS)
        r.text(0)
    assert r.begun() == [(0, 6_000 * MS)]
    r.complete(Output(0, "stop", text="a b c", reported_tokens=3))
    r.text(0)
    found = log(r)
    assert found.first_ns[0] == 5 * MS
    assert (found.stamp_ns // MS).tolist() == [5, 8, 6_000]
    assert (len(found.token_ids), found.first_token[0], found.tokens[0]) == (0, NEVER, 3)
    assert kinds(r) == ["after_completion"]


def test_events_after_completion_are_noted_and_change_nothing():
    r, clock = recorder(1)
    r.first_token(0, 1)
    r.complete(Output(0))
    clock.advance(9)
    r.first_token(0, 2)
    r.tokens(0, [2])
    r.complete(Output(0, "length"))
    r.fail(0, "late")
    assert kinds(r) == ["after_completion"] * 4
    row = log(r).record(0)
    assert (row.done_ns, row.finish, row.error, row.token_ids.tolist()) == (0, "eos", "", [1])
    assert (r.open_queries, r.num_done, r.num_failed) == (0, 1, 0)


def test_events_after_a_failure_are_told_apart():
    r, _ = recorder(1)
    r.fail(0, "timed out")
    r.complete(Output(0))
    assert kinds(r) == ["after_failure"]


def test_tokens_before_a_first_token_are_noted():
    r, _ = recorder(1)
    r.tokens(0, [1, 2])
    assert r.anomalies == [(0, "tokens_before_first", "2 token(s) came before a first token")]


def test_a_second_first_token_is_noted_and_the_first_one_stays():
    r, clock = recorder(1)
    r.first_token(0, 1)
    clock.advance(5)
    r.first_token(0, 2)
    r.complete(Output(0))
    assert kinds(r) == ["first_token_twice"]
    assert (log(r).record(0).first_ns, log(r).record(0).first_token) == (0, 1)


def test_final_ids_win_over_streamed_ones_and_the_difference_is_named():
    r, _ = recorder(1)
    r.first_token(0, 1)
    r.tokens(0, [2, 3])
    r.complete(Output(0, token_ids=[1, 9, 3]))
    assert r.anomalies == [
        (0, "stream_differs", "position 1: streamed 2, final 9 (3 streamed, 3 final)")
    ]
    row = log(r).record(0)
    assert (row.token_ids.tolist(), len(row.chunk_ns)) == ([1, 9, 3], 3)


@pytest.mark.parametrize(
    ("final", "words"),
    [
        ([1], "position 1: streamed 2, final nothing (2 streamed, 1 final)"),
        ([1, 2, 3], "position 2: streamed nothing, final 3 (2 streamed, 3 final)"),
        ([], "position 0: streamed 1, final nothing (2 streamed, 0 final)"),
    ],
)
def test_a_stream_of_another_length_is_named(final, words):
    r, _ = recorder(1)
    r.first_token(0, 1)
    r.tokens(0, [2])
    r.complete(Output(0, token_ids=final))
    assert r.anomalies == [(0, "stream_differs", words)]


def test_equal_final_ids_are_no_anomaly():
    r, _ = recorder(1)
    r.first_token(0, 1)
    r.complete(Output(0, token_ids=[1]))
    assert r.anomalies == []


def test_anomalies_do_not_pile_up_without_end():
    r, _ = recorder(1)
    for _ in range(MAX_ANOMALIES + 5):
        r.tokens(99, [1])
    assert len(r.anomalies) == MAX_ANOMALIES


@pytest.mark.parametrize("token", [2**31, -(2**31) - 1, 2**70])
def test_a_token_id_outside_32_bits_is_noted_not_raised(token):
    r, _ = recorder(3)
    r.first_token(0, token)
    r.first_token(1, 5)
    r.tokens(1, [6, token, 7])
    r.complete(Output(2, token_ids=[1, token]))
    for i in (0, 1):
        r.complete(Output(i))
    assert {anomaly.sample_id for anomaly in r.anomalies} == {0, 1, 2}
    assert (r.open_samples, r.open_queries, len(log(r))) == (0, 0, 3)


def test_a_reported_count_outside_32_bits_is_noted_not_raised():
    r, _ = recorder(1)
    r.complete(Output(0, reported_tokens=2**31))
    assert len(r.anomalies) == 1
    assert (r.open_samples, r.open_queries, log(r).completed.tolist()) == (0, 0, [True])


def test_an_unknown_finish_is_noted_not_raised():
    r, _ = recorder(1)
    r.complete(Output(0, "content_filter"))
    assert len(r.anomalies) == 1
    assert (r.open_samples, r.open_queries, len(log(r))) == (0, 0, 1)


IDS = st.one_of(st.integers(-2, 9), st.sampled_from([-(2**40), 2**40]))
TOKENS = st.integers(-(2**31), 2**31 - 1)
MANY = st.lists(TOKENS, max_size=4)
EVENTS = st.one_of(
    st.tuples(st.just("issue"), st.integers(1, 3)),
    st.tuples(st.just("first_token"), IDS, TOKENS),
    st.tuples(st.just("tokens"), IDS, MANY),
    st.tuples(
        st.just("complete"), IDS, st.sampled_from(FINISHES), st.none() | MANY, st.integers(-1, 9)
    ),
    st.tuples(st.just("fail"), IDS, st.text(max_size=5)),
    st.tuples(st.just("give_up"), st.text(max_size=5)),
    st.tuples(st.just("pass"), st.integers(0, 10**10)),
)


def tell(r, clock, event, queries):
    match event:
        case ("issue", n):
            r.issue(query(len(queries), r.num_issued, n), clock.now_ns(), clock.now_ns())
            queries.append(range(r.num_issued - n, r.num_issued))
        case ("complete", i, finish, ids, reported):
            r.complete(Output(i, finish, ids, "text", reported))
        case ("pass", by_ns):
            clock.advance(by_ns)
        case (name, *rest):
            getattr(r, name)(*rest)


@settings(deadline=None)
@given(st.lists(EVENTS, max_size=60))
def test_no_sequence_of_events_raises_or_upsets_the_counters(events):
    clock, queries = VirtualClock(), []
    r = Recorder(clock)
    for event in events:
        tell(r, clock, event, queries)
        kept = log(r)
        done = set(np.flatnonzero(kept.done_ns >= 0).tolist())
        open_queries = [q for q in queries if not done.issuperset(q)]
        assert len(kept) == r.num_issued == sum(len(q) for q in queries)
        assert sorted(kept.completion_order.tolist()) == sorted(done)
        assert (r.num_done, r.open_samples) == (len(done), len(kept) - len(done))
        assert r.open_queries == len(open_queries)
        assert r.num_failed == int((kept.finish == FINISHES.index("error")).sum())
        assert set(r.errors) <= done
        opened = [i for q in queries for i in q if i not in done]
        waiting = [i for i in opened if kept.first_ns[i] == NEVER]
        assert list(r.waiting()) == [(i, kept.issued_ns[i]) for i in waiting]
        assert sorted(i for i, _ in r.begun()) == sorted(set(opened) - set(waiting))
        assert r.num_tokens == len(kept.stamp_ns) == kept.stamp_start[-1]
        assert kept.token_start[-1] == len(kept.token_ids)
        assert (np.diff(kept.stamp_start) > 0).tolist() == (kept.first_ns >= 0).tolist()
    kept = log(r)
    for row in map(kept.record, range(len(kept))):
        stamps = row.chunk_ns.tolist()
        assert stamps == sorted(stamps)
        assert stamps[:1] == ([row.first_ns] if row.first_ns >= 0 else [])


# ---- what it costs


def kept_bytes(samples: int, tokens: int) -> int:
    """What a recorder holds after so many samples of so many tokens."""
    clock, ids = VirtualClock(), list(range(2, 2 + tokens - 1))
    plan = [query(i, i) for i in range(samples)]
    tracemalloc.start()
    r = Recorder(clock)
    for i, one in enumerate(plan):
        r.issue(one, i, i)
        if tokens:
            r.first_token(i, 1)
            r.tokens(i, ids)
        r.complete(Output(i))
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert r.num_tokens == samples * tokens
    return kept


def test_a_sample_costs_at_most_200_bytes_and_a_token_8():
    none, one, many = (kept_bytes(50_000, tokens) for tokens in (0, 1, 101))
    assert none / 50_000 <= 200
    assert one / 50_000 <= 200 + 8
    assert (many - one) / 50_000 / 100 <= 8.01  # tracemalloc sees a little of what goes on around


def test_memory_per_sample_does_not_grow_with_the_run():
    small, large = kept_bytes(25_000, 1), kept_bytes(100_000, 1)
    assert (large - small) / 75_000 <= 200 + 8
