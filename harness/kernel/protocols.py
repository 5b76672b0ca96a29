"""The seams: what a SUT, a scenario, a rule and a clock must offer. Nothing else may be assumed of
them.

Threads: the driver, the clock's callbacks and every Sink call run on one thread. A SUT with threads
of its own hands its events over with `Clock.post`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from numpy.typing import NDArray

from harness.kernel.answers import Hearer, Scrape, Window
from harness.kernel.clock import Arrivals
from harness.kernel.log import RunLog
from harness.kernel.types import (
    MemoryUse,
    Metric,
    Output,
    Query,
    RunSettings,
    Sample,
    SutFacts,
    Verdict,
)


class Clock(Protocol):
    """Time as an argument. `wait` is also where callbacks run, so a clock is a very small event
    loop.
    """

    def now_ns(self) -> int: ...

    def wait(self, until_ns: int) -> int:
        """Return the time at `until_ns`, or earlier if a timer ran, a file was readable or `notify`
        was called.
        """
        ...

    def notify(self) -> None:
        """Wake `wait`. May be called from any thread and from a signal handler."""
        ...

    def call_at(self, when_ns: int, callback: Callable[[], None]) -> None:
        """Run `callback` inside `wait` once `when_ns` has come."""
        ...

    def post(self, callback: Callable[[], None]) -> None:
        """Run `callback` inside `wait` as soon as possible. May be called from any thread."""
        ...

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """Run `callback` inside `wait` whenever `fd` is readable."""
        ...

    def unwatch(self, fd: int) -> None: ...

    def note_arrivals(self) -> Arrivals | None:
        """Note from now on what `wait` delivers, and when it was sent; None if that takes no
        time.
        """
        ...

    def arrived(self, sent_ns: int) -> None:
        """Say that what is read now was sent at `sent_ns`: a reader of messages calls it before it
        tells their events.
        """
        ...


class Sink(Protocol):
    """Where a SUT tells what happened. It never tells *when*: the sink stamps each call on
    arrival.
    """

    def first_token(self, sample_id: int, token: int) -> None: ...

    def tokens(self, sample_id: int, ids: Sequence[int]) -> None:
        """Tell the ids that follow the first token, as they become visible."""
        ...

    def text(self, sample_id: int) -> None:
        """Tell that more of an answer became visible, from a SUT that knows no token ids. The first
        call counts as the first token.
        """
        ...

    def complete(self, output: Output) -> None: ...

    def fail(self, sample_id: int, reason: str) -> None: ...


class SUT(Protocol):
    """The system under test. `issue` must not block; events may come at once or later through the
    sink.

    `load` makes the samples ready (untimed), forgets whatever was in flight and sends later events
    to `sink`.
    """

    name: str

    def load(self, samples: Sequence[Sample], sink: Sink) -> None: ...

    def issue(self, query: Query) -> None: ...

    def flush(self) -> None:
        """Learn that no more queries will come for now: do not wait for a fuller batch."""
        ...

    def close(self) -> None: ...

    def memory(self) -> MemoryUse: ...

    def facts(self) -> SutFacts:
        """Return what a reader should know of it: model, parameters, dtype, `eos_ids`, `notes`."""
        ...

    def decode(self, outputs: Sequence[Sequence[int]]) -> list[str] | None:
        """Return the texts of token ids (special tokens left out); None if this SUT has no
        tokenizer.
        """
        ...


@runtime_checkable
class OfProcess(Protocol):
    """A SUT that runs in another process (optional), whose memory and load are then sampled."""

    @property
    def pid(self) -> int: ...


@runtime_checkable
class OfProcesses(Protocol):
    """A SUT of several processes (optional), copies of one another, whose memory and load are
    sampled.
    """

    @property
    def pids(self) -> Sequence[int]: ...


@runtime_checkable
class Reachable(Protocol):
    """A SUT behind a channel (optional) whose own delay can be measured."""

    def ping_us(self) -> float:
        """Return the round trip of an empty message, in microseconds."""
        ...


class Hear(Protocol):
    """Takes bytes as they come; those of one stream follow one another."""

    def __call__(self, data: bytes, /, stream: int = 0) -> None: ...


@runtime_checkable
class Tapped(Protocol):
    """A SUT behind a channel, or several (optional), whose bytes can be kept as they come."""

    def tap(self, hear: Hear | None) -> None: ...


@runtime_checkable
class Logged(Protocol):
    """A SUT whose output is kept outside the run folder while it runs (optional)."""

    def keep_log(self) -> None:
        """Copy what it has written so far into sut.log."""
        ...


@runtime_checkable
class Dispatcher(Protocol):
    """A SUT whose workers send by themselves, on time, and say when (optional). The driver believes
    the moments of our own alone: entries of `sut.TABLE` that `asks_server`.
    """

    def dispatch(self, queries: Iterable[Query], window: Window, hearer: Hearer) -> int:
        """Take the plan; return the moment that its times count from."""
        ...

    def withdraw(self) -> None:
        """Send no more of it; what is open goes on."""
        ...

    def give_up(self) -> None:
        """Close what is open, and tell nobody but that it has ended."""
        ...

    def client(self) -> dict[str, Any]:
        """Return what its workers say of themselves, for `facts.driver["client"]`."""
        ...


@runtime_checkable
class Announced(Protocol):
    """A SUT that asks a server, or has replicas (optional): it hears what kind of part comes next,
    and tells after it what only the part itself can show.
    """

    def announce(self, mode: Literal["performance", "accuracy"]) -> None:
        """Hear what the next `load` is for."""
        ...

    def after(self) -> SutFacts:
        """Return facts that are known once the part has been measured; they replace others."""
        ...


@runtime_checkable
class OfServer(Protocol):
    """A SUT that asks a server (optional), which is then watched beside the run."""

    def scrape(self) -> Scrape: ...


@runtime_checkable
class Evaluator(Protocol):
    """What a SUT may offer besides (optional): teacher-forced figures on given answers, after the
    timed part.
    """

    def evaluate(self, answers: Sequence[tuple[int, str]]) -> dict[str, Any] | None:
        """Return sums over `answers`, pairs of (index of a loaded sample, its answer): `nll_nats`,
        `correct`, `tokens` (of the answers alone), `samples`, `left_out` (answers that do not fit)
        and the `seconds` it took. `answers`, which may be missing, are rows of index, nll_nats and
        tokens, one per answer that was scored. None: it cannot.
        """
        ...


@runtime_checkable
class Chooser(Protocol):
    """What a SUT may offer besides (optional): how likely given continuations are, after the timed
    part.
    """

    def choose(
        self, asked: Sequence[tuple[int, Sequence[str]]]
    ) -> list[tuple[int, list[float], list[int]]] | None:
        """Return, for each (index of a loaded sample, its choices), the index, the negative log
        likelihood (nats) of each choice after the sample's prompt, infinite for one that does not
        fit the context, and the tokens of each. None: it cannot.
        """
        ...


@runtime_checkable
class Drawer(Protocol):
    """A SUT that draws answers (`Sample.draw`) and knows how likely each was (optional)."""

    def drawn(self) -> list[tuple[int, float, int]] | None:
        """Return, for each answer that was drawn since the last `load`, the index of its sample,
        its negative log likelihood (nats) before temperature and top-p, and its tokens. None: it
        cannot.
        """
        ...


@runtime_checkable
class SelfChecked(Protocol):
    """A SUT that notes what its decode steps take (optional)."""

    def self_check(self) -> dict[str, Any] | None:
        """Return the steps since the last `load` beside the least that the device allows, as
        `self_check` of result.json has them; None: it cannot tell.
        """
        ...


class Scenario(Protocol):
    """`schedule` is data (what `harness plan` prints), `plan` turns it into queries, `judge` reads
    what happened.
    """

    name: str

    def schedule(self, settings: RunSettings) -> Any: ...

    def plan(self, settings: RunSettings, schedule: Any) -> Iterator[Query]: ...

    def result(self, log: RunLog, settings: RunSettings) -> Metric: ...

    def judge(self, log: RunLog, settings: RunSettings) -> list[Verdict]: ...


Say = Callable[[str], None]  # shows what takes long; "" clears it
Rule = Callable[[RunLog, SutFacts], Verdict]
MetricFn = Callable[
    [RunLog, Sequence[Sample], NDArray[Any]], list[Metric]
]  # the ids of the samples to score
