"""How does the SUT of a run begin and end: in which process, with which options?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness import registry
from harness.engine.pieces import reason
from harness.kernel.clock import RealClock, VirtualClock
from harness.kernel.entries import SutEntry
from harness.kernel.plugins import make_sut
from harness.kernel.process.streams import tell
from harness.kernel.protocols import SUT, Say
from harness.options.settings import RunConfig
from harness.result.programs import ran as programs

_MOST_CONNECTIONS = 256  # opened before the clock; more are opened when they are needed


def start(
    config: RunConfig, entry: SutEntry, clock: RealClock | VirtualClock, folder: Path, say: Say
) -> SUT:
    """Make the SUT; one that is isolated has its words in sut.log in the end. Raises BadInput if
    programs cannot be run as they are to be.
    """
    programs.check(config.run_code, config.task)
    options = _options(config, entry, folder, say)
    if not entry.isolated or config.in_process:
        made: SUT = make_sut(entry.factory, clock, options)
        return made
    from sut.border.isolated import Isolated
    from sut.border.threads import environment

    log_file = folder / "sut.log"
    if config.replicas > 1:
        return _replicas(config, entry, clock, options, log_file)
    return Isolated(clock, entry.target, options, log_file, environment())


def _replicas(
    config: RunConfig,
    entry: SutEntry,
    clock: RealClock | VirtualClock,
    options: Mapping[str, Any],
    log_file: Path,
) -> SUT:
    """Make copies side by side, each with a part of the machine. The variables of the user stay."""
    from sut.border.replicas.places import places
    from sut.border.replicas.replicas import Plan, Replicas
    from sut.border.threads import environment

    kind: Any = config.device.partition(":")[0] if entry.runs_model else "auto"
    own = places(
        config.replicas, kind if entry.uses_gpu else "cpu", takes_all_gpus=bool(config.device_map)
    )
    plan = Plan(
        factory=entry.target,
        options=options,
        places=own,
        log_file=log_file,
        environment=environment(),
        rows=config.rows,
        patience_s=config.sample_timeout,
    )
    return Replicas(clock, plan)


def fetch(configs: Iterable[RunConfig], say: Say) -> None:
    """Make the models of several runs loadable, before the first of them begins. Raises
    SetupFailed, once instead of in each run.
    """
    from sut.model.find import resolve

    with_model = (config for config in configs if registry.sut_entry(config.sut).runs_model)
    for name in dict.fromkeys(config.model for config in with_model):
        resolve(name, say)


def close(part: Any) -> None:
    """Close it. A system that cannot even be closed does not take the verdict with it."""
    try:
        part.close()
    except Exception as fault:
        tell(f"note: closing {type(part).__name__}: {reason(fault)}")


def _options(config: RunConfig, entry: SutEntry, folder: Path, say: Say) -> dict[str, Any]:
    if entry.starts_server:
        return _of_started(config, folder / "sut.log", say)
    if entry.asks_server:
        return _of_server(config)
    if not entry.runs_model:
        registry.check_options(config.sut, config.sut_options)
        return dict(config.sut_options)
    from sut.model.find import resolve

    model, gib = resolve(config.model, say), config.kv_cache_gib
    return {
        "path": model.path,
        "variant": config.variant,
        "max_batch": None if config.max_concurrency == "auto" else config.max_concurrency,
        "prefill_tokens": config.prefill_tokens,
        "device": config.device,
        "device_map": config.device_map,
        "adapter": None if config.adapter is None else str(config.adapter),
        "merge_adapter": config.merge_adapter,
        "tf32": config.tf32,
        "kv_cache_bytes": None if gib is None else int(gib * 2**30),
        "truncate": config.truncate,
        "trust_remote_code": config.trust_remote_code,
        "notes": list(model.notes),
    }


def _of_started(config: RunConfig, log: Path, say: Say) -> dict[str, Any]:
    """Return what `sut.started.started.Started` is made with, but for the clock."""
    from sut.model.find import resolve
    from sut.started import table
    from sut.started.order import Order

    model, gib = resolve(config.model, say), config.kv_cache_gib
    order = Order(
        model=config.model,
        path=model.path,
        variant=config.variant,
        adapter=None if config.adapter is None else str(config.adapter),
        max_concurrency=config.rows,
        kv_cache_bytes=None if gib is None else int(gib * 2**30),
        device=config.device,
        trust_remote_code=config.trust_remote_code,
        python=config.server_python,
        arguments=table.arguments_for(config.sut, config.server_args),
    )
    served = _asked(config)
    served["tokenizer"] = served["tokenizer"] or model.path
    told = {"log": log, "say": say, "notes": list(model.notes)}
    return {"kind": config.sut, "order": order, "served": served, **told}


def _of_server(config: RunConfig) -> dict[str, Any]:
    """Return what `sut.served.served.Served` is made with, but for the clock."""
    model = config.model if "model" in config.origins else ""
    return {"base_url": config.base_url, "model": model, **_asked(config)}


def _asked(config: RunConfig) -> dict[str, Any]:
    """Return how any server is asked."""
    return {
        "endpoint": config.endpoint,
        "tokenizer": config.tokenizer,
        "api_key_env": config.api_key_env or "",
        "ca_file": "" if config.ca_file is None else str(config.ca_file),
        "insecure": config.insecure,
        "shared_prefix": config.shared_prefix,
        "connections": 1 if config.pattern.is_one_by_one else _connections(config),
        "load": _load(config),
        "in_flight": config.rows if config.pattern.is_at_once else 0,
        "sample_timeout_s": config.sample_timeout,
        "clients": config.clients,
    }


def _load(config: RunConfig) -> tuple[float, float]:
    """Return the answers and the pieces of answers per second that are to come, at most; (0, 0)
    where the server decides.
    """
    if not config.pattern.is_open:
        return 0.0, 0.0
    answers_per_s = config.expected_qps * config.size_of_query
    return answers_per_s, answers_per_s * config.tokens_per_answer


def _connections(config: RunConfig) -> int:
    """Return as many as may be needed at once; an open loop has no bound."""
    wanted = max(config.rows, config.size_of_query, config.pattern.users)
    return min(wanted, _MOST_CONNECTIONS)
