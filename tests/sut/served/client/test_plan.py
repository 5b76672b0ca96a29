"""Are the rules of release and of the end those of the driver?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from harness.engine.dispatched.drive import window_of
from harness.kernel.answers import Window
from harness.kernel.types import AfterInFlight, AfterQuery, At, Query, QuerySample
from sut.served.client.plan import progress_of, shares, unpacked
from tests.helpers import MS, closed_loop, query, scripted, settings, virtual_run

SERVICE_NS = 10 * MS


def followed(share, window, service_ns=SERVICE_NS):
    """Follow a share in time that jumps: (place, due, issued) of each query."""
    progress, now, ends, rows = progress_of(share, window, 0), 0, [], []
    while not progress.is_over or ends:
        if progress.due_ns <= now:
            place, due_ns, samples = progress.take()
            progress.issued_ns = now
            progress.look()
            rows.append((place, due_ns, now))
            ends += [(now + service_ns, place)] * len(samples)
            continue
        ends.sort()
        now = min([progress.due_ns] + ([ends[0][0]] if ends else []))
        while ends and ends[0][0] <= now:
            progress.done(ends.pop(0)[1], now)
    return rows


def answer_after(sut, asked):
    for sample in asked.samples:
        sut.complete_after(SERVICE_NS, sample.id)


@examples(max_examples=60, deadline=None)
@given(
    below=st.integers(1, 3),
    size=st.integers(1, 3),
    least=st.integers(0, 30),
    span=st.integers(0, 300),
    most=st.one_of(st.none(), st.integers(1, 30)),
    until=st.one_of(st.none(), st.integers(0, 300)),
)
def test_a_closed_loop_ends_where_the_driver_would_end_it(below, size, least, span, most, until):
    given = {
        "mode": "performance", "min_queries": least, "min_duration_ns": span * MS,
        "max_queries": most, "max_duration_ns": None if until is None else until * MS,
    }  # fmt: skip
    log = virtual_run(closed_loop(40, size, below), scripted(answer_after), **given)
    (share,) = shares(closed_loop(40, size, below), window_of(settings(**given)), 1)
    rows = followed(share, window_of(settings(**given)))
    assert [row[2] for row in rows] == log.issued_ns[::size].tolist()
    assert [row[1] for row in rows] == log.due_ns[::size].tolist()


def test_sets_of_an_accuracy_run_go_on_from_the_end_of_the_one_before():
    plan = [
        query(0, 0, release=At(0)), query(1, 1, release=At(5 * MS)),
        query(2, 2, release=AfterInFlight(1, 6 * MS)), query(3, 3, release=At(8 * MS)),
    ]  # fmt: skip
    log = virtual_run(list(plan), scripted(answer_after), mode="accuracy")
    first, second = shares(plan, Window(), 2)
    assert [row[1:] for row in followed(first, Window())] == [
        (due, issued) for due, issued in zip(log.due_ns, log.issued_ns, strict=True)
    ]
    assert not second.places


def test_a_plan_is_dealt_out_query_by_query_and_one_large_query_sample_by_sample():
    plan = [query(k, k, release=At(k)) for k in range(7)]
    assert [list(share.places) for share in shares(plan, Window(), 3)] == [
        [0, 3, 6], [1, 4], [2, 5],
    ]  # fmt: skip
    whole = [Query(0, [QuerySample(k, k) for k in range(7)], At(0))]
    assert [list(share.samples) for share in shares(whole, Window(), 2)] == [
        [0, 2, 4, 6], [1, 3, 5],
    ]  # fmt: skip


def test_a_share_comes_over_the_channel_as_it_is():
    (share,) = shares([query(k, 2 * k, 2, At(k)) for k in range(5)], Window(), 1)
    assert unpacked(share.packed()) == share


@examples(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 200), st.lists(st.integers(0, 40), max_size=4)),
        min_size=1,
        max_size=8,
    ),
    st.integers(1, 40),
    st.integers(0, 300),
)
def test_turns_go_when_the_driver_would_send_them(talks, most, until):
    """`talks`: when each conversation begins, and the pauses between its turns, in milliseconds."""
    plan = list[Query]()
    for begins, pauses in talks:
        releases = [At(begins * MS)]
        releases += [AfterQuery(len(plan) + k, pause * MS) for k, pause in enumerate(pauses)]
        for release in releases:
            plan.append(Query(len(plan), (QuerySample(len(plan), len(plan)),), release))
    given = {
        "max_queries": most, "max_duration_ns": until * MS or None, "num_samples": len(plan),
    }  # fmt: skip
    window = window_of(settings(**given))
    (share,) = shares(plan, window, 1)
    theirs = followed(unpacked(share.packed()), window)
    log = virtual_run(plan, scripted(answer_after), **given)
    assert [(place, due) for place, due, _ in theirs] == list(
        zip(log.index.tolist(), log.due_ns.tolist(), strict=True)
    )
    assert log.query_id.tolist() == list(range(len(log)))
