"""Which phase of which command is hit by which fault, and what must come of it?

A cell of the matrix is a command in one of its phases, and one fault. What must come of it follows
from two facts alone: what kind of fault it is, and how much had been measured when it struck.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

Measured = Literal["nothing", "something", "everything"]


class Phase(NamedTuple):
    """`target` is the function whose call begins it, `nth` which of its calls; it stands still
    there if it `holds`, and else goes on. The fault strikes `after_s` seconds later.
    """

    name: str
    target: str
    measured: Measured
    nth: int = 1
    holds: bool = True
    after_s: float = 0.3


class Command(NamedTuple):
    """`words` stand after `python -m harness`; {model}, {gguf}, {texts} and {out} are filled in.
    `verdict` is the exit code of a command that nothing strikes.
    """

    name: str
    words: str
    phases: tuple[Phase, ...]
    verdict: int = 0


Kind = Literal["stop", "kill", "sut", "words", "room"]


class Fault(NamedTuple):
    """`kind` says what must come of it, see `right_codes`."""

    name: str
    kind: Kind


FAULTS = (
    Fault("Ctrl-C", "stop"),
    Fault("5 x Ctrl-C", "stop"),
    Fault("SIGTERM", "stop"),
    Fault("SIGHUP", "stop"),
    Fault("SIGKILL", "kill"),
    Fault("SUT killed", "sut"),
    Fault("SUT stopped", "sut"),
    Fault("stderr closed", "words"),
    Fault("stdout closed", "words"),
    Fault("disk full", "room"),
    Fault("no descriptor left", "room"),
)

_SIMULATED = (
    "run --sut tests.faults.apart:Apart --scenario server --min-queries 48 --max-queries 48"
    " --min-duration 0s --warmup 8 --sample-timeout 8s --drain-timeout 8s --tpot-limit 400ms"
    " --output-dir {out}"
    " --sut-option tokens=10"
)
_SLOW = " --target-qps 16 --ttft-limit 2s --sut-option per_token_ms=100 --sut-option slots=24"
_SEARCH = (
    " --mode find-peak --target-qps 20 --ttft-limit 400ms --sut-option per_token_ms=10"
    " --sut-option slots=4"
)
_LOAD = Phase("load", "sut.simulated:Simulated.load", "nothing")
_WARMUP = Phase("warm-up", "harness.running.warmup:warmup", "nothing", holds=False, after_s=0.6)
_TIMED = Phase(
    "timed", "harness.running.timed:Timed.measure", "something", holds=False, after_s=3.0
)
_DRAIN = Phase("drain", "harness.engine.driver:_Loop.drain", "something", nth=2, holds=False)
_AFTER = (
    Phase("read-back", "accuracy.outputs.texts:read_back", "everything"),
    Phase("publish", "harness.result.publish:publish", "everything"),
    Phase("pages", "reports.pages.run:render", "everything"),
)
_MODEL = "--max-new-tokens 4 --num-samples 12 --truncate --sample-timeout 30s --output-dir {out}"
_LOCAL_LOAD = Phase("load", "sut.local_model:LocalModel.load", "nothing")

COMMANDS = (
    Command("run", _SIMULATED + _SLOW, (_LOAD, _WARMUP, _TIMED, _DRAIN, *_AFTER)),
    Command("run, replicas", f"{_SIMULATED}{_SLOW} --replicas 2", (_LOAD, _TIMED, _AFTER[0])),
    Command(
        "run, a GGUF file",
        f"run --model {{gguf}} --scenario offline {_MODEL}",
        (
            Phase("resolve", "sut.model.find:resolve", "nothing"),
            Phase("convert", "sut.checkpoint.gguf:read", "nothing"),
            _LOCAL_LOAD,
        ),
    ),
    Command(
        "find-peak",
        _SIMULATED + _SEARCH,
        (
            Phase("first step", _TIMED.target, "nothing", holds=False, after_s=1.2),
            Phase("second step", _TIMED.target, "something", nth=2, holds=False, after_s=1.2),
        ),
        verdict=1,  # steps of 48 queries are too short for a VALID search
    ),
    Command(
        "submission",
        _SIMULATED + _SLOW + " --mode submission --num-samples 48",
        (
            Phase("accuracy", _TIMED.target, "nothing", holds=False, after_s=2.0),
            Phase("performance", _TIMED.target, "something", nth=2, holds=False, after_s=2.0),
        ),
    ),
    Command(
        "compare",
        _SIMULATED.replace("run ", "compare ", 1) + _SLOW + " --max-concurrency 4,8",
        (
            Phase("first run", _TIMED.target, "nothing", holds=False, after_s=2.0),
            Phase("second run", _TIMED.target, "something", nth=2, holds=False, after_s=2.0),
            Phase("pages", "reports.pages.compare:render", "everything"),
        ),
    ),
    Command(
        "gate",
        f"gate --model {{model}} --reference fp32 --candidates bf16 {_MODEL}",
        (
            Phase("first load", _LOCAL_LOAD.target, "nothing"),
            Phase("second run", _TIMED.target, "something", nth=2),
            Phase("pages", "reports.pages.gate:render", "everything"),
        ),
    ),
    Command(
        "perplexity",
        "perplexity --model {model} --variants fp32,bf16 --dataset {texts} --batch-tokens 16"
        " --output-dir {out}",
        (
            Phase("load", "sut.model.loading:loaded", "nothing"),
            Phase("scoring", "sut.likelihood.scoring:_measured", "something", nth=3),
            Phase("pages", "reports.pages.likelihood.page:render", "everything"),
        ),
    ),
)


class Cell(NamedTuple):
    command: Command
    phase: Phase
    fault: Fault

    @property
    def name(self) -> str:
        return f"{self.command.name} / {self.phase.name} / {self.fault.name}"


def cells() -> Iterator[Cell]:
    """Yield every cell that has a meaning: a SUT that is gone cannot be killed."""
    for command in COMMANDS:
        for phase in command.phases:
            for fault in FAULTS:
                if fault.kind == "sut" and not _has_sut(command, phase):
                    continue
                yield Cell(command, phase, fault)


def _has_sut(command: Command, phase: Phase) -> bool:
    if phase.name in ("resolve", "convert"):
        return False
    return phase.name != "pages" or command.name == "run"


def right_codes(cell: Cell) -> set[int]:
    """Return the exit codes that would be right.

    A stop is 130, or the verdict where it was all but out. Words that nobody reads change nothing.
    A system that dies, or a disk that is full, ends a run with 3 before anything was measured and
    4 afterwards; a comparison goes on without it (1). The verdict stands where all was measured.
    """
    verdict = {0, 1}
    match cell.fault.kind:
        case "stop":
            return {130} | (verdict if cell.phase.measured == "everything" else set())
        case "kill":
            return {-9}
        case "words":
            return {cell.command.verdict}
        case "sut" if cell.command.name == "gate":  # its second run is the control: extra
            return verdict | {3, 4}
        case "sut":
            return verdict | {3, 4} if cell.phase.measured == "everything" else {1, 3, 4}
        case "room":
            return verdict | {2, 3, 4}
