"""What is there to know of a scenario or a system under test (SUT) before it is built? One entry
says it all, so that nothing else has to know its name.

A factory is "module:name", imported on use, or the thing itself. Only a "module:name" can be built
in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

Factory = str | Callable[..., Any]
Loop = Literal["open", "closed", "at once"]
Evidence = Literal["ids", "counts", "text"]
ALL_EVIDENCE: frozenset[Evidence] = frozenset(("ids", "counts", "text"))


class Loadgen(NamedTuple):
    """What LoadGen calls a scenario, the headline figure in its log, and how many of its units are
    one of ours. `{p}` in the figure stands for the percentile.
    """

    name: str
    figure: str
    per_unit: float = 1.0


class ScenarioEntry(NamedTuple):
    """A scenario. `factory` makes a `protocols.Scenario`.

    `loop` says what releases a query: its own time ("open"), the end of the one before ("closed"),
    or the start of the run ("at once"). In an open loop the rate is the schedule's; elsewhere it is
    what is expected of the system, and sizes the plan. `percentile` and `min_queries` are the
    defaults of the profiles with MLPerf's lengths.
    """

    factory: Factory
    loop: Loop
    summary: str = ""  # "" = the first paragraph of the factory's module
    loadgen: Loadgen | None = None  # None = LoadGen has no such scenario: no logs, no submission
    has_limits: bool = False  # TTFT and TPOT, or the whole latency, are judged against limits
    sized_by_user: bool = False  # a query has --samples-per-query samples
    percentile: float = 0.99  # the tail that is judged
    min_queries: int = 100
    issues_library: bool = False  # MLPerf wants every sample of a benchmark issued
    users: int = 1  # open queries of a closed loop, at most
    is_rated: bool = True  # the user says the rate; a load may bring its own

    @property
    def is_open(self) -> bool:
        return self.loop == "open"

    @property
    def is_closed(self) -> bool:
        return self.loop == "closed"

    @property
    def is_at_once(self) -> bool:
        return self.loop == "at once"

    @property
    def is_one_by_one(self) -> bool:
        """Is one sample in flight at most?"""
        return self.is_closed and not self.sized_by_user and self.users == 1

    @property
    def has_peak(self) -> bool:
        """Is there a highest rate that keeps limits, so that find-peak can search for it?"""
        return self.is_open and self.has_limits and self.is_rated


class SutEntry(NamedTuple):
    """A system under test. `factory` is called with a clock and the options, by keyword.

    `evidence` is what its answers may carry: token ids, a count of tokens, a text. Rules that need
    what it never sends are SKIPPED.
    """

    factory: Factory
    isolated: bool = True  # runs in a process of its own, unless the user says --in-process
    uses_dataset: bool = True  # is asked the questions of --dataset, else numbered stand-ins
    summary: str = ""
    evidence: frozenset[Evidence] = ALL_EVIDENCE
    runs_model: bool = False  # is built from --model, --variant, --device and so on: no options
    asks_server: bool = False  # over HTTP, by workers of ours that may say when (only ours may)
    starts_server: bool = False  # and starts it itself, so that nobody says where it is
    uses_gpu: bool = True  # may use one: else its runs have no GPU's power and energy
    warms_up: bool = True  # a first query may be slower than the next
    real_time: str = "works in real time"  # why it knows no virtual clock; "" = it does

    @property
    def target(self) -> str:
        """The factory as another process can import it."""
        assert isinstance(self.factory, str), "an isolated SUT is built by name"
        return self.factory
