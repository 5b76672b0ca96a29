"""What does the crew of a cluster do when nodes are lost, or the user wants no more? With nodes
that are made of air.
"""

from __future__ import annotations

import pytest

from harness.kernel.errors import RunBroke, SetupFailed
from harness.kernel.machine import installed
from harness.kernel.process import stopping
from harness.options.settings import RunConfig
from harness.study.cluster import crew
from harness.study.executors.made import Made


class Lost(Exception):
    """What Ray raises of a node that is gone."""


class Air:
    """Ray, without a cluster: `fate` says of each look at a run what it answers, or raises."""

    class exceptions:
        RayError = Lost

    def __init__(self, nodes):
        self.alive = [
            {"NodeID": n, "NodeManagerAddress": n, "Alive": True, "Resources": {"CPU": 2}}
            for n in nodes
        ]

    def nodes(self):
        return self.alive

    def wait(self, questions, num_returns, timeout):
        return questions[:1], questions[1:]

    def get(self, question):
        return question.answer()


class Question:
    def __init__(self, answer):
        self.answer = answer


class Manned:
    """A seat that answers at once."""

    fate = ()
    stopped = 0
    version = ""

    def __init__(self, ray, seat, arguments):
        self.seat, self.task, self.is_ready = seat, None, False
        self.question = Question(
            lambda: {
                "versions": {"touchstone": Manned.version}
                if Manned.version
                else installed.versions()
            }
        )

    def begin(self, task):
        self.task = task
        self.ask()

    def ask(self):
        self.question = Question(lambda: type(self).fate.pop(0)(self))

    def stop(self):
        type(self).stopped += 1

    def made(self, told, place):
        return told

    def close(self):
        pass


def lost(manned):
    raise Lost("the socket is closed")


def whole(manned):
    return Made({"by": manned.seat.node}, manned.task.cell, False)


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    def make(nodes, fate):
        monkeypatch.setattr(crew, "Manned", Manned)
        Manned.fate, Manned.stopped = list(fate), 0
        made = crew.Cluster(Air(nodes), 0)
        config = RunConfig(scenario="server", sut="simulated", output_dir=tmp_path)
        return made, lambda cell: made.begin(cell, config, lambda text: None)

    return make


def test_a_lost_run_is_made_on_another_node(cluster, capsys):
    made, begin = cluster("ab", [lost, whole])
    begin("one")
    outcome = made.ended()
    assert (outcome.cell, outcome.made.result) == ("one", {"by": "b"})
    assert "lost while it made the run 'one'; it is made again" in capsys.readouterr().err


def test_a_run_that_loses_every_node_is_given_up(cluster):
    made, begin = cluster("abcd", [lost, lost, lost])
    begin("one")
    fault = made.ended().made
    assert isinstance(fault, RunBroke)
    assert "its node was lost 3 times, the last was c (the socket is closed)" in str(fault)


def test_there_is_room_for_as_many_runs_as_nodes(cluster):
    made, begin = cluster("abc", [whole, whole, whole])
    for cell in ("one", "two", "three"):
        assert made.has_room()
        begin(cell)
    assert not made.has_room()
    assert sorted(made.ended().cell for _ in range(3)) == ["one", "three", "two"]


def test_a_stop_reaches_the_runs_and_nothing_more_begins(cluster):
    def stops(manned):
        made._on_signal()
        return None

    def drained(manned):
        return whole(manned)._replace(is_last=True)

    made, begin = cluster("a", [stops, drained])
    begin("one")
    begin("two")
    ended = {outcome.cell: outcome.made for outcome in (made.ended(), made.ended())}
    assert Manned.stopped == 1
    assert ended["one"].is_last
    assert isinstance(ended["two"], stopping.Stopped)


def test_who_insists_is_not_kept_waiting(cluster):
    def insists(manned):
        for _ in range(4):
            made._on_signal()

    made, begin = cluster("a", [insists])
    begin("one")
    with pytest.raises(KeyboardInterrupt):
        made.ended()


def test_a_cluster_without_any_node_ends_the_study_with_the_way_on(cluster, monkeypatch):
    monkeypatch.setattr(crew, "_EMPTY_S", -1.0)
    _, begin = cluster("", [])
    with pytest.raises(RunBroke, match="harness resume"):
        begin("one")


def test_nodes_of_another_version_are_left_out(cluster, monkeypatch):
    made, begin = cluster("ab", [whole])
    monkeypatch.setattr(Manned, "version", "9.9")
    begin("one")
    with pytest.raises(SetupFailed, match=r"a: it has touchstone 9.9 \(here .*; b: it has"):
        made.ended()
