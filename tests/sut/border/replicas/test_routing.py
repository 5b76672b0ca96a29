"""The queue of several replicas: no sample is lost or given twice, and work is shared."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from harness.kernel.types import AfterInFlight, Query, QuerySample, Sample
from sut.border.replicas.routing import Router, Work, balance, most_open, work_of

GATE = AfterInFlight(1)


def query(number: int, first: int, count: int = 1) -> Query:
    return Query(number, [QuerySample(first + k, k) for k in range(count)], GATE)


HAPPENS = st.one_of(
    st.tuples(st.just("query"), st.integers(1, 9)),
    st.tuples(st.just("token"), st.integers(0, 50)),
    st.tuples(st.just("end"), st.integers(0, 50)),
    st.tuples(st.just("stray"), st.integers(0, 50)),
)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.lists(HAPPENS, max_size=60))
def test_every_sample_goes_to_one_replica_and_none_beyond_its_room(room, happenings):
    router, at, added = Router(room), dict[int, int](), 0
    seen = Counter[int]()
    for what, number in happenings:
        if what == "query":
            router.add(query(number, added, number))
            added += number
        elif what == "stray":
            router.ended(number % len(room), 10_000 + number)
        elif at:
            sample_id = sorted(at)[number % len(at)]
            if what == "token":
                router.heard(at[sample_id], sample_id, 1)
            else:
                router.ended(at.pop(sample_id), sample_id)
        for replica, _, samples in router.ready():
            seen.update(sample.id for sample in samples)
            at |= {sample.id: replica for sample in samples}
        held = Counter(at.values())
        assert [len(one.open) for one in router.replicas] == [held[n] for n in range(len(room))]
        assert all(held[n] <= most for n, most in enumerate(room))
        assert all(one.work >= 0 for one in router.replicas)
        is_full = all(held[n] == most for n, most in enumerate(room))
        assert is_full or not router.waiting, "a replica has room, and a sample waits"
        assert router.waiting == added - len(seen)
    assert set(seen.values()) <= {1}


@given(st.lists(st.integers(1, 100), min_size=1, max_size=40))
def test_work_that_is_done_leaves_nothing_behind(lengths):
    work = {i: Work(3, length) for i, length in enumerate(lengths)}
    router = Router([len(lengths)] * 2, work)
    router.add(query(0, 0, len(lengths)))
    for number, _, samples in router.ready():
        for sample in samples:
            router.heard(number, sample.id, 1)
            router.ended(number, sample.id, lengths[sample.index])
    assert [one.work for one in router.replicas] == [0, 0]
    assert sum(one.tokens for one in router.replicas) == sum(lengths)
    assert sum(one.given for one in router.replicas) == len(lengths)


def test_a_sample_goes_to_the_replica_with_the_least_tokens_ahead():
    work = {0: Work(10, 90), 1: Work(10, 10), 2: Work(10, 10), 3: Work(10, 10)}
    router = Router([9, 9], work)
    router.add(query(0, 0, 4))
    given_to = {s.id: number for number, _, samples in router.ready() for s in samples}
    assert given_to == {0: 0, 1: 1, 2: 1, 3: 1}


def test_a_replica_that_has_told_most_of_its_answer_is_next():
    router = Router([9, 9], {0: Work(10, 50), 1: Work(0, 40), 2: Work(1, 1)})
    router.add(query(0, 0, 2))
    assert [number for number, _, _ in router.ready()] == [0, 1]
    router.heard(0, 0, 30)
    assert [one.work for one in router.replicas] == [20, 40]
    router.add(Query(1, [QuerySample(2, 2)], GATE))
    assert [number for number, _, _ in router.ready()] == [0]


def test_equal_replicas_take_turns():
    router = Router([9, 9, 9])
    order = []
    for i in range(6):
        router.add(query(i, i))
        ((number, _, _),) = router.ready()
        order.append(number)
        router.ended(number, i)
    assert order == [0, 1, 2, 0, 1, 2]


def test_a_query_is_sent_to_a_replica_in_one_message():
    router = Router([9, 9])
    router.add(query(7, 0, 8))
    found = router.ready()
    assert sorted(number for number, _, _ in found) == [0, 1]
    assert {query_id for _, query_id, _ in found} == {7}


def test_a_replica_holds_its_batch_and_a_quarter_more():
    assert [most_open(rows) for rows in (1, 32, 256)] == [2, 41, 321]


def test_the_cost_of_a_sample_is_its_prompt_and_its_longest_answer():
    assert work_of([Sample(3, "a" * 40, max_new_tokens=7)]) == {3: Work(11, 7)}


def test_balance_is_the_least_over_the_most():
    assert balance([50, 100]) == 0.5
    assert balance([0, 0]) is None
