"""Is work that is spread over nodes done, whatever becomes of them? With nodes that are made of
air.
"""

from __future__ import annotations

import pytest

from harness.kernel.machine import installed
from harness.study.cluster import tasks


class Lost(Exception):
    """What Ray raises of a node that is gone."""


class Air:
    """Ray, without a cluster: `fate` says of each task what becomes of it."""

    class exceptions:
        RayError = Lost

    def __init__(self, fate):
        self.fate, self.open, self.most, self.cancelled = fate, 0, 0, 0

    def remote(self, function):
        air = self

        class Task:
            def options(self, **how):
                return self

            def remote(self, *arguments):
                air.open += 1
                air.most = max(air.most, air.open)
                return lambda: air.fate(function, arguments)

        return Task()

    def wait(self, questions, num_returns, timeout):
        return ([], questions) if self.fate is silent else (questions[-1:], questions[:-1])

    def get(self, question):
        self.open -= 1
        return question()

    def cancel(self, question, force):
        self.cancelled += 1


def works(function, arguments):
    return function(*arguments)


def lost(function, arguments):
    raise Lost("the node is gone")


def other(function, arguments):
    return function({"touchstone": "0.0.1"}, *arguments[1:])


def silent(function, arguments):
    raise AssertionError


def double(part):
    return 2 * part


@pytest.mark.parametrize("fate", [works, lost, other, silent])
def test_every_part_is_done_once_whatever_becomes_of_the_nodes(fate):
    air = Air(fate)
    found = list(tasks.each(air, double, range(100)))
    assert sorted(found) == [(n, 2 * n) for n in range(100)]
    assert air.most == tasks._OPEN
    assert air.cancelled == (tasks._OPEN if fate is silent else 0)


def test_who_wants_no_more_leaves_nothing_at_ray():
    air = Air(works)
    parts = tasks.each(air, double, range(10))
    next(parts)
    parts.close()
    assert air.cancelled == 9


def test_a_fault_of_the_work_itself_is_raised():
    def broken(part):
        raise ZeroDivisionError

    assert installed.versions()
    with pytest.raises(ZeroDivisionError):
        list(tasks.each(Air(lost), broken, [1]))
