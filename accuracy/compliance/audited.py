"""A run that is audited, the runs that may stand beside it, and how to make those that are
missing.
"""

from __future__ import annotations

import shlex
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from accuracy.compliance.runs import audit_config
from harness.kernel.entries import ScenarioEntry
from harness.kernel.errors import BadInput
from harness.kernel.log import RunLog
from harness.kernel.types import Int64s, RunSettings, Status, SutFacts, Verdict

_NAMED = 5
_FEW_QUESTIONS, _REPEATED = 16, 4  # of a run one at a time
Kind = Literal["accuracy", "same", "random", "alone"]
_KINDS: dict[str, str] = {
    "accuracy": "an accuracy run",
    "same": "a run of one sample",
    "alone": "a run one question at a time",
}


@dataclass(frozen=True, slots=True)
class Audited:
    """A finished run. `command` makes it again, and flags appended to it win; empty: it is written
    from the settings.
    """

    run_id: str
    settings: RunSettings
    pattern: ScenarioEntry  # of its scenario
    log: RunLog
    facts: SutFacts
    model: str
    variant: str
    dataset: str
    status: str  # as in result.json
    command: str = ""
    dataset_hash: str = ""  # a file may change under its name
    logged: Int64s | None = None  # ids of the answers in mlperf_log_accuracy.json
    scores: Mapping[str, float] = field(default_factory=dict)  # of the recorded answers
    runs_a_model: bool = True  # a simulated SUT does not
    driver: Mapping[str, float | None] = field(default_factory=dict)  # as in result.json
    memory: Mapping[str, Any] = field(default_factory=dict)  # as in result.json
    in_process: bool = False  # the SUT is somebody's, and shared the driver's process

    @property
    def kind(self) -> str:
        return "accuracy" if self.settings.mode == "accuracy" else self.settings.issue


# ---- companions: which runs may stand beside this one, and how to make them


def companions(run: Audited, others: Sequence[Audited]) -> dict[str, Audited]:
    """Return the others by what they are good for. Raises BadInput for one that does not fit."""
    found: dict[str, Audited] = {}
    for other in others:
        if run.kind in ("accuracy", "same"):
            words = f"it is the companion itself ({_what(run)})"
            todo = "Audit the ordinary performance run, and name this one with it."
            raise _refused(run, words, todo)
        kind = _role(run, other)
        if kind in found:
            words = f"{found[kind].run_id} and {other.run_id} are both {_KINDS[kind]}"
            raise _refused(run, words, "Name one of them.")
        _check_same_task(run, other, kind)
        found[kind] = other
    return found


def _role(run: Audited, other: Audited) -> Kind:
    """Return what `other` is good for beside `run`. Raises BadInput if for nothing."""
    if other.kind == "accuracy":
        return "accuracy"
    if other.kind == "same":
        return "same"
    if config := audit_config(other.settings):
        words = f"{other.run_id} is a run with {config.test}'s audit.config"
        raise _refused(run, words, f"Audit it by itself: harness audit {other.run_id}.")
    if other.pattern.is_one_by_one and not run.pattern.is_one_by_one:
        return "alone"
    found = f"{other.run_id} is {_what(other)}"
    raise _refused(run, found, f"Make one: {command(run, 'accuracy')}")


def _check_same_task(run: Audited, other: Audited, kind: Kind) -> None:
    names, terms = ["model", "variant", "dataset", "dataset_hash"], ["max_new_tokens"]
    if kind == "same":
        load = "target_qps" if run.pattern.is_open else "samples_per_query"
        terms += ["scenario", load]
    pairs = [(name, getattr(run, name), getattr(other, name)) for name in names]
    pairs += [(name, getattr(run.settings, name), getattr(other.settings, name)) for name in terms]
    for name, ours, theirs in pairs:
        if ours != theirs:
            words = f"{other.run_id} has {name.replace('_', ' ')} {theirs!r}, this run {ours!r}"
            raise _refused(run, words, f"Make one: {command(run, kind)}")


def _what(run: Audited) -> str:
    return _KINDS.get(run.kind, f"a performance run, issue {run.kind}")


def _refused(run: Audited, found: str, todo: str) -> BadInput:
    fine = f"{', '.join(_KINDS.values())}, of the same task, would be fine"
    return BadInput(f"auditing {run.run_id}", found, fine, todo)


def command(run: Audited, kind: Kind) -> str:
    """Return the command line of a companion. The sample to repeat depends on the run, so that
    nobody can prepare for it.
    """
    s = run.settings
    flags = ["--mode performance", f"--issue {kind}"]
    if kind == "accuracy":
        flags = ["--mode accuracy"]
    elif kind == "alone":
        few = min(_FEW_QUESTIONS, s.num_samples)
        flags = ["--scenario single-stream --mode performance --issue random --min-duration 0"]
        flags += [f"--num-samples {few} --min-queries {_REPEATED * few}"]
    elif kind == "same":
        index = zlib.crc32(run.run_id.encode()) % max(s.performance_samples, 1)
        flags.append(f"--same-index {index}")
        if run.pattern.is_open and run.command:  # where it was calibrated, it must not be again
            flags.append(f"--target-qps {s.target_qps!r}")
    return " ".join([run.command or _from_settings(run), *flags])


def _from_settings(run: Audited) -> str:
    s = run.settings
    flags: dict[str, object] = {
        "scenario": s.scenario,
        "model": run.model,
        "variant": run.variant,
        "dataset": run.dataset,
        "num-samples": s.num_samples,
        "performance-samples": (
            s.performance_samples if s.performance_samples < s.num_samples else ""
        ),
        "max-new-tokens": s.max_new_tokens,
        "target-qps": repr(s.target_qps),
        "samples-per-query": s.samples_per_query if run.pattern.sized_by_user else "",
        "min-queries": s.min_queries,
        "min-duration": f"{s.min_duration_ns / 1e9:.10g}s",
        "percentile": f"{100 * s.percentile:.10g}",
        "ttft-limit": f"{s.ttft_limit_ns / 1e9:.10g}s",
        "tpot-limit": f"{s.tpot_limit_ns / 1e9:.10g}s",
        "seeds": f"{s.seeds.qsl},{s.seeds.sample_index},{s.seeds.schedule}",
    }
    given = [f"--{name} {shlex.quote(str(value))}" for name, value in flags.items() if value != ""]
    return " ".join(["python -m harness run", *given])


def needs(run: Audited, rule: str, kind: Kind) -> Verdict:
    if run.kind in ("accuracy", "same"):
        words = f"this is {_what(run)}: audit the ordinary performance run, with this one beside it"
        return Verdict(rule, "SKIPPED", detail=words, remedy=command(run, "random"))
    return Verdict(rule, "SKIPPED", detail=f"needs {_KINDS[kind]}", remedy=command(run, kind))


def faults(
    rule: str, count: int, detail: str, bad: Iterable[int], remedy: str, unit: str = "faulty"
) -> Verdict:
    status: Status = "FAIL" if count else "PASS"
    return Verdict(rule, status, count, 0, unit, detail, ids_of(bad), remedy if count else "")


def ids_of(ids: Iterable[Any]) -> tuple[int, ...]:
    return tuple(int(i) for i in ids)[:_NAMED]
