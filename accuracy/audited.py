"""A run that is audited, the runs that may stand beside it, and how to make those that are
missing.
"""

from __future__ import annotations

import shlex
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.errors import BadInput
from harness.types import RunLog, RunSettings, Status, SutFacts, Verdict

_NAMED = 5
Kind = Literal["accuracy", "same", "random"]


@dataclass(frozen=True, slots=True)
class Audited:
    """A finished run. `command` makes it again, and flags appended to it win; empty: it is written
    from the settings.
    """

    run_id: str
    settings: RunSettings
    log: RunLog
    facts: SutFacts
    model: str
    variant: str
    dataset: str
    status: str  # as in result.json
    command: str = ""
    dataset_hash: str = ""  # a file may change under its name

    @property
    def kind(self) -> str:
        return "accuracy" if self.settings.mode == "accuracy" else self.settings.issue


# ---- companions: which runs may stand beside this one, and how to make them


def companions(run: Audited, others: Sequence[Audited]) -> dict[str, Audited]:
    found: dict[str, Audited] = {}
    for other in others:
        if run.kind in ("accuracy", "same"):
            words = f"it is the companion itself ({_what(run)})"
            raise _refused(
                run, words, "Audit the ordinary performance run, and name this one with it."
            )
        if other.kind not in ("accuracy", "same"):
            raise _refused(
                run, f"{other.run_id} is {_what(other)}", f"Make one: {command(run, 'accuracy')}"
            )
        if other.kind in found:
            words = f"{found[other.kind].run_id} and {other.run_id} are both {_what(other)}"
            raise _refused(run, words, "Name one of them.")
        _check_same_task(run, other)
        found[other.kind] = other
    return found


def _check_same_task(run: Audited, other: Audited) -> None:
    names, terms = ["model", "variant", "dataset", "dataset_hash"], ["max_new_tokens"]
    if other.kind == "same":
        terms += (
            ["scenario", "samples_per_query"]
            if run.settings.scenario != "server"
            else ["scenario", "target_qps"]
        )
    pairs = [(name, getattr(run, name), getattr(other, name)) for name in names]
    pairs += [(name, getattr(run.settings, name), getattr(other.settings, name)) for name in terms]
    for name, ours, theirs in pairs:
        if ours != theirs:
            words = f"{other.run_id} has {name.replace('_', ' ')} {theirs!r}, this run {ours!r}"
            raise _refused(
                run,
                words,
                f"Make one: {command(run, 'same' if other.kind == 'same' else 'accuracy')}",
            )


def _what(run: Audited) -> str:
    names = {"accuracy": "an accuracy run", "same": "a run of one sample"}
    return names.get(run.kind, f"a performance run, issue {run.kind}")


def _refused(run: Audited, found: str, todo: str) -> BadInput:
    fine = "an accuracy run and a run with --issue same, of the same task, would be fine"
    return BadInput(f"auditing {run.run_id}", found, fine, todo)


def command(run: Audited, kind: Kind) -> str:
    """The command line of a companion. The sample to repeat depends on the run, so that nobody can
    prepare for it.
    """
    flags = ["--mode accuracy"] if kind == "accuracy" else [f"--mode performance --issue {kind}"]
    if kind == "same":
        flags.append(
            "--same-index"
            f" {zlib.crc32(run.run_id.encode()) % max(run.settings.performance_samples, 1)}"
        )
    if kind == "same" and run.settings.scenario == "server" and run.command:
        flags.append(
            f"--target-qps {run.settings.target_qps!r}"
        )  # where it was calibrated, it must not be again
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
        "samples-per-query": s.samples_per_query if s.scenario == "multi-stream" else "",
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
    words = "needs an accuracy run" if kind == "accuracy" else "needs a run of one sample"
    return Verdict(rule, "SKIPPED", detail=words, remedy=command(run, kind))


def faults(
    rule: str, count: int, detail: str, bad: Iterable[int], remedy: str, unit: str = "faulty"
) -> Verdict:
    status: Status = "FAIL" if count else "PASS"
    return Verdict(rule, status, count, 0, unit, detail, ids_of(bad), remedy if count else "")


def ids_of(ids: Iterable[Any]) -> tuple[int, ...]:
    return tuple(int(i) for i in ids)[:_NAMED]
