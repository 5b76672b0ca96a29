"""Does every input end in a sentence or a result, and is the lane one to rely on?

`make fuzz` sends 200,000 inputs, half of them answers of servers; these are 2,000 of each half and
of another seed, in one process.
"""

from __future__ import annotations

import os
from random import Random

import pytest

from harness.kernel.errors import BadInput
from tests.fuzz import lane
from tests.fuzz.__main__ import table
from tests.fuzz.inputs import bent, rotten, torn
from tests.fuzz.kinds import KINDS
from tests.fuzz.lane import BUG, HUNG, LEAK, REFUSED, TRACEBACK, Kind, Tally

SEED, COUNT = 14, 2_000
FEW = {"flags": 60, "folders": 40}  # the dear ones
MANY = {"answers": 2_000}  # the cheap ones


def counts():
    found = lane.shares(
        {name: kind for name, kind in KINDS.items() if name not in FEW | MANY}, COUNT
    )
    return FEW | found | MANY


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No hub, no cache of the user's, and the folder of before afterwards."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TOUCHSTONE_CACHE", str(tmp_path))
    before = os.getcwd()
    yield
    os.chdir(before)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", KINDS)
def test_every_input_ends_in_a_sentence_or_a_result(name):
    tally = lane.run(name, KINDS[name], range(counts()[name]), SEED)
    assert tally.failures == []
    assert min(tally.counts[outcome] for outcome in lane.FINE) >= 1, "all alike: nothing is tried"


def test_there_are_two_thousand_of_them():
    assert sum(counts().values()) >= COUNT


# ---- the lane itself


def sent(send):
    return lane.run("it", Kind(1, lambda place: send), [7], 1)


def test_what_became_of_an_input_is_told_apart(monkeypatch):
    monkeypatch.setattr(lane, "PATIENCE_S", 0.2)

    def refuse(rng):
        raise BadInput("reading it", "nothing", "something")

    def hang(rng):
        while True:
            pass

    def panic(rng):
        raise BaseException("called `unwrap` on a `None` value")

    assert sent(lambda rng: None).counts == {"accepted": 1}
    assert sent(refuse).counts == {REFUSED: 1}
    assert sent(hang).counts == {HUNG: 1}
    assert sent(lambda rng: {}["x"]).counts == {BUG: 1}
    assert sent(panic).counts == {BUG: 1}
    assert sent(lambda rng: lane.command(["list", "x"])).counts == {REFUSED: 1}
    assert sent(lambda rng: lane.command(["list", "suts"])).counts == {"accepted": 1}
    (failure,) = sent(lambda rng: {}["x"]).failures
    assert failure.number == 7
    assert "KeyError" in failure.words


@pytest.mark.parametrize(
    ("say", "outcome"),
    [("print('\\x1b[2J')", LEAK), ("1 / 0", BUG), ("raise SystemExit(3)", TRACEBACK)],
)
def test_a_command_that_does_what_it_must_not_is_caught(monkeypatch, say, outcome):
    import harness.registry

    def rows():
        exec(say)
        return []

    monkeypatch.setitem(harness.registry.LISTS, "suts", rows)
    assert sent(lambda rng: lane.command(["list", "suts"])).counts == {outcome: 1}


def test_an_input_is_the_same_every_time_whatever_came_before():
    made = []
    kind = Kind(1, lambda place: lambda rng: made.append(torn("some words", rng)))
    lane.run("it", kind, range(20), 3)
    lane.run("it", kind, [13, 4], 3)
    assert made[20:] == [made[13], made[4]]
    assert len(set(made)) > 10


def test_a_value_that_is_bent_stays_as_it_was_and_becomes_others():
    value = {"a": [1, {"b": "c"}], "d": None}
    others = [bent(value, Random(i)) for i in range(50)]
    assert value == {"a": [1, {"b": "c"}], "d": None}
    assert sum(other != value for other in others) > 40
    assert len({rotten(b"0123456789", Random(i)) for i in range(50)}) > 30


def test_the_table_adds_up():
    tallies = {"a": Tally(), "b": Tally()}
    tallies["a"].counts.update(refused=1200, accepted=3)
    tallies["b"].counts.update(refused=4, hung=1)
    *_, last = table(tallies).splitlines()
    assert last.split() == ["all", "1,208", "1,204", "3", "0", "0", "1", "0", "0"]
