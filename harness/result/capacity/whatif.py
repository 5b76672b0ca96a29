"""What would a finished run be worth under other limits? Judged anew from its raw files; nothing is
run, and nothing in its folder changes.

The limits count only where a scenario is judged by them (server); goodput, and the percentile at
which each limit would be kept, are told of every run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from harness.kernel.errors import BadInput
from harness.kernel.foreign.own_files import inside
from harness.kernel.log import RunLog
from harness.kernel.stats import percentile_name
from harness.kernel.types import RunSettings
from harness.options.lists.slo import limits_ns
from harness.options.run_options import OPTIONS
from harness.options.settings import RunConfig, load_config
from harness.result import served
from harness.result.capacity.goodput import goodput, kept_by, objectives
from harness.result.judge import judge, status_of
from harness.result.read import Raw, read_run
from harness.result.search import FILE
from scenarios.peak.evidence import count, quantile_interval, share_interval

LIMITS = tuple(name for name, option in OPTIONS.items() if option.judged)
_PERCENTILES = (0.50, 0.90, 0.95, 0.99, 0.999)
Found = dict[str, Any]


def asked(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Check the limits that were asked for; return those that were given. Raises BadInput."""
    given = {name: value for name, value in flags.items() if value is not None}
    if not given:
        fine = "expected a limit, such as --ttft-limit 1s, or --slo ttft:1s"
        raise BadInput("harness whatif", "no other limits were given", fine)
    checked = load_config({"scenario": "server", "sut": "simulated", **given})
    return {name: getattr(checked, name) for name in given}


def what_if(folders: list[Path], limits: Mapping[str, Any]) -> Found:
    """Judge runs under other limits; of a search, each of its steps. Raises BadInput."""
    runs = [
        _judged(part, limits) | {"search": "" if part == folder else folder.name}
        for folder in folders
        for part in _parts(folder)
    ]
    return {"limits": dict(limits), "runs": runs}


def exit_code(found: Found) -> int:
    """Return 0 if every run would be VALID; of a search, at least one of its steps."""
    by_search: dict[str, list[bool]] = {}
    for run in found["runs"]:
        by_search.setdefault(run["search"] or run["folder"], []).append(run["status"] == "VALID")
    return int(not all(map(any, by_search.values())))


def _parts(folder: Path) -> list[Path]:
    """Return the steps of a search, or the run itself."""
    steps = read_run(folder).search.get("steps", ())
    try:
        return [inside(folder, step["folder"]) for step in steps] or [folder]
    except (KeyError, TypeError, ValueError):
        found, fine = "a step of its search names no folder in it", "expected a search's own file"
        raise BadInput(f"reading {folder / FILE}", found, fine, "Restore the file.") from None


def _judged(folder: Path, limits: Mapping[str, Any]) -> Found:
    raw = read_run(folder)
    log, config = raw.log, raw.config.model_copy(update=dict(limits))
    if raw.settings.mode != "performance":
        found = f"it is an {raw.settings.mode} run"
        raise BadInput(f"reading {folder}", found, "only the speed of a run has limits")
    settings = _settings(raw.settings, limits)
    before, after = (_status(raw, one) for one in (raw.settings, settings))
    slo, origin = objectives(config, settings)
    return {
        "run_id": raw.facts.run_id,
        "folder": str(folder),
        "scenario": settings.scenario,
        "target_qps": settings.target_qps,
        "status_measured": before[0],
        "status": after[0],
        "status_reason": after[1],
        "judged": config.pattern.has_limits,
        "goodput": goodput(log, slo, origin),
        "kept": [*_kept(log, settings, config)],
    }


def _settings(settings: RunSettings, limits: Mapping[str, Any]) -> RunSettings:
    """Return the settings of the run with other limits."""
    tokens = settings.use_tokens
    if limits.get("target_latency"):
        tokens = False
    if limits.get("ttft_limit") or limits.get("tpot_limit"):
        tokens = True
    given = {
        name: round(value * 1e9)
        for name, value in limits.items()
        if name in LIMITS and value is not None
    }
    changed = replace(
        settings,
        use_tokens=limits.get("use_token_latencies", tokens),
        percentile=limits.get("percentile", 100 * settings.percentile) / 100,
        ttft_limit_ns=given.get("ttft_limit", settings.ttft_limit_ns),
        tpot_limit_ns=given.get("tpot_limit", settings.tpot_limit_ns),
        target_latency_ns=given.get("target_latency", settings.target_latency_ns),
    )
    limit_ns = changed.ttft_limit_ns if changed.use_tokens else changed.target_latency_ns
    return replace(changed, lag_limit_ns=limit_ns // 10)


def _status(raw: Raw, settings: RunSettings) -> tuple[str, str]:
    entry, config = raw.entry, raw.config
    budget = config.error_budget if entry.asks_server else None
    evidence = served.evidence(entry, raw.facts.sut)
    is_official = config.chosen_profile.official
    verdicts = judge(
        raw.log, raw.facts, settings, None, evidence, is_official, budget, raw.telemetry
    )
    return status_of(raw.log, verdicts)


def _kept(log: RunLog, settings: RunSettings, config: RunConfig) -> Iterator[Found]:
    """Yield, of each limit, the share of the requests within it and what was measured."""
    limits = {"latency": settings.target_latency_ns} if settings.target_latency_ns else {}
    if settings.use_tokens:
        limits = {"ttft": settings.ttft_limit_ns, "tpot": settings.tpot_limit_ns}
    if not config.pattern.has_limits:
        limits = {}
    objectives = limits_ns(config.slo) if config.slo else {}
    for name, limit_ns in dict.fromkeys([*limits.items(), *objectives.items()]):
        kept = kept_by(log, name, limit_ns)
        effective = count(~kept).effective
        values_ms = _values_ns(log, name) / 1e6
        yield {
            "metric": name,
            "limit_ms": limit_ns / 1e6,
            "share": share_interval(int(kept.sum()), len(log), effective)._asdict(),
            "measured_ms": {
                percentile_name(p): quantile_interval(values_ms, p)._asdict()
                for p in sorted({*_PERCENTILES, settings.percentile})
            },
        }


def _values_ns(log: RunLog, name: str) -> NDArray[Any]:
    if name == "tpot":
        return log.tpot_ns
    if name == "ttft":
        return log.ttft_ns[log.completed & (log.first_ns >= 0)]
    return log.latency_ns[log.completed]
