"""Is everything here, and how fast is the driver itself on this machine? (`harness doctor`)"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from harness.engine import environment, tested
from harness.engine.driver import drive
from harness.engine.recorder import Recorder
from harness.kernel.clock import RealClock
from harness.kernel.log import RunLog
from harness.kernel.protocols import SUT
from harness.kernel.texts import on_one_line
from harness.kernel.types import AfterInFlight, At, Query, QuerySample, RunSettings, Seeds
from sut import TABLE as SUTS
from sut.border.isolated import Isolated
from sut.null import Null
from sut.served.address import KEYS
from sut.started import nearby

_SHOWN = 5  # models of a server
_LONGEST = 300  # characters
_NEEDED = (*environment.PACKAGES, "rich", "typer")
IDLE_SETTINGS = RunSettings(
    scenario="single-stream", mode="performance", seeds=Seeds(1, 2, 3), num_samples=1,
    performance_samples=1, target_qps=1.0, samples_per_query=1, min_queries=1, min_duration_ns=0,
    max_queries=None, max_duration_ns=None, percentile=0.9, ttft_limit_ns=2_000_000_000,
    tpot_limit_ns=200_000_000, use_tokens=False, max_new_tokens=1, sample_timeout_ns=10_000_000_000,
    drain_timeout_ns=0, lag_limit_ns=200_000_000, equal_issue=False,
)  # fmt: skip


def examine() -> dict[str, dict[str, Any]]:
    """Return sections of label -> value."""
    env = environment.describe()
    machine = env["machine"]
    gpus = [_gpu(row) for row in env["gpus"]]
    return {
        "machine": {
            "cpu": (
                f"{machine['cpu']}, {machine['cores_allowed'] or machine['cores_logical']} cores"
            ),
            "features": " ".join(machine["cpu_flags"]) or "none that matter here",
            "memory": _memory(machine),
            "gpu": "; ".join(gpus) or f"none ({env['nvml_problem'] or 'the driver lists none'})",
            "load": " ".join(f"{x:.2f}" for x in machine["load_average"] or []),
        },
        "packages": {name: _package(name) for name in _NEEDED},
        "servers": servers(),
        "driver": measure_driver(),
    }


def servers() -> dict[str, str]:
    """Return what answers at the usual ports of this machine, by its base URL."""
    found = {server.url: _server(server) for server in nearby.servers()}
    return found or {"on this machine": f"none at the ports {', '.join(map(str, nearby.PORTS))}"}


def _server(found: nearby.Nearby) -> str:
    """Name a server and its models; both are its own words."""
    if found.wants_key:
        return f"wants a key: export {KEYS[0]}=…"
    models = ", ".join(found.models[:_SHOWN]) or "no model"
    more = len(found.models) - _SHOWN
    name = found.name or "a server that does not say which"
    return on_one_line(f"{name}: {models}" + (f" and {more} more" if more > 0 else ""), _LONGEST)


def _memory(machine: Mapping[str, Any]) -> str:
    limit = machine["memory_limit_bytes"]
    own = f", of which this process may take {limit / 2**30:.1f} GiB" if limit else ""
    return f"{machine['memory_bytes'] / 2**30:.1f} GiB{own}"


def _gpu(row: Mapping[str, Any]) -> str:
    """Name a GPU and its memory; where the driver does not tell one, say what it said."""
    refused = row["refused"]
    name = row["name"] or f"GPU {row['index']} (name: {refused['name']})"
    memory = row["memory_bytes"]
    size = f"{memory / 2**30:.0f} GiB" if memory else f"memory: {refused['memory_bytes']}"
    return f"{name}, {size}"


def measure_driver() -> dict[str, str]:
    """Measure the null SUT in process and behind the process channel, in about three seconds."""
    clock = RealClock()
    null = Null(clock)
    rate = _rate(single_stream(clock, null, 200_000))
    lag_us = server(clock, null, 1_000.0, 1_000).issue_lag_ns / 1e3
    with tempfile.TemporaryDirectory() as scratch:
        isolated = Isolated(clock, SUTS["null"].target, {}, Path(scratch) / "sut.log")
        channel_rate = _rate(single_stream(clock, isolated, 5_000))
        trip_us = isolated.ping_us()
        isolated.close()
    clock.close()
    return {
        "single-stream, in process": f"{rate:,.0f} queries/s",
        "single-stream, through the channel": f"{channel_rate:,.0f} queries/s",
        "channel round trip": f"{trip_us:.1f} us (median)",
        "issue lag at 1,000 queries/s": (
            f"{np.median(lag_us):.1f} us (median), {np.percentile(lag_us, 99):.1f} us (p99)"
        ),
    }


def single_stream(clock: RealClock, sut: SUT, queries: int) -> RunLog:
    """Describe a closed loop of `queries`, one sample each."""
    gate = AfterInFlight(1)
    plan = (Query(i, (QuerySample(i, 0),), gate) for i in range(queries))
    return _drive(clock, sut, plan, queries)


def server(clock: RealClock, sut: SUT, qps: float, queries: int) -> RunLog:
    """Describe Poisson arrivals at `qps`."""
    gaps_ns = np.random.default_rng(1).exponential(1e9 / qps, queries)
    offsets_ns = np.concatenate(([0], np.cumsum(gaps_ns[:-1]))).astype(np.int64).tolist()
    plan = (Query(i, (QuerySample(i, 0),), At(offset)) for i, offset in enumerate(offsets_ns))
    return _drive(clock, sut, plan, queries)


def _drive(clock: RealClock, sut: SUT, plan: Any, queries: int) -> RunLog:
    recorder = Recorder(clock)
    sut.load((), recorder)
    return drive(plan, sut, clock, recorder, replace(IDLE_SETTINGS, min_queries=queries))


def _rate(log: RunLog) -> float:
    return len(log) / (float(log.done_ns[-1]) / 1e9)


def _package(name: str) -> str:
    """Return the installed version, and whether it is one that the tests passed with."""
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"missing (pip install {name})"
    outside = tested.untested({name: version})
    if outside:
        return f"{version}, outside what was tested: {outside[0].range}"
    return f"{version}, tested" if tested.canonical(name) in tested.versions() else version
