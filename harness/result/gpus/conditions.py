"""Did the GPUs of a run work as they should, and for this run alone?

    gpu_throttled    the share of the timed span in which heat, the power brake or the hardware held
                     the clocks of one of them down. A power cap is how a GPU at full load is meant
                     to work, so it does not count
    gpu_shared       compute processes and memory on them that are not of the run, when it began or
                     during it

A quick run stands up to MOST_THROTTLED, as a laptop's fan has its say; a profile of MLPerf asks for
a machine that can be cooled. What the driver does not tell is SKIPPED, with its words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.engine.telemetry import INTERVAL_NS
from harness.kernel.machine.slowdowns import FAULTS, REASONS
from harness.kernel.texts import shown
from harness.kernel.types import Verdict
from harness.kernel.words.figure import number, size
from harness.result.gpus.columns import Telemetry, of_each, share, within
from harness.result.gpus.energy import named

THROTTLED, SHARED = "gpu_throttled", "gpu_shared"
MOST_THROTTLED, MOST_OFFICIAL = 0.10, 0.01  # of the timed span
MOST_PROCESSES = 0  # of others
MOST_FOREIGN_BYTES = 2**30  # a desktop and the driver itself need some
_SHOWN = 3  # of these processes, by name
_LEAST_KNOWN = 0.9  # of the timed span
_UNNAMED = "the system does not say which GPUs it uses"
_COOL = "cool the machine, or lift the limit that brakes it, then run again"
_ALONE = "stop the other programs on the GPU, then run again"


def conditions(
    telemetry: Telemetry, span_ns: int, metered: Mapping[str, Any], is_official: bool
) -> list[Verdict]:
    """Judge the GPUs of a run; nothing of one without, and of runs of older versions."""
    indices = metered.get("indices") or []
    is_known = "gpu_slowdowns" in telemetry and span_ns > 0
    if not indices or not is_known:
        return []
    if metered.get("whose") != "used":
        return [Verdict(rule, "SKIPPED", detail=_UNNAMED) for rule in (THROTTLED, SHARED)]
    most = MOST_OFFICIAL if is_official else MOST_THROTTLED
    return [
        throttled(telemetry, span_ns, indices, most),
        shared(telemetry, span_ns, indices, metered.get("before") or []),
    ]


# ---- clocks that were held down


def throttled(telemetry: Telemetry, span_ns: int, indices: Sequence[int], most: float) -> Verdict:
    """Judge the share of the time in which the clocks of the worst GPU were held down."""
    columns = of_each(telemetry, "gpu_slowdowns", len(indices))
    shares = [share(telemetry, column, FAULTS, span_ns) for column in columns]
    worst, _ = max(shares)
    known = min(known for _, known in shares)
    is_sound = worst <= most
    if is_sound and known < _LEAST_KNOWN:
        why = f"why the clocks are low was told for {100 * known:.0f} % of the time"
        return Verdict(THROTTLED, "SKIPPED", detail=why)
    return Verdict(
        rule=THROTTLED,
        status="PASS" if is_sound else "FAIL",
        measured=100 * worst,
        limit=100 * most,
        unit="%",
        detail=_causes(telemetry, columns, indices, span_ns),
        remedy="" if is_sound else _COOL,
        margin=1 - worst / most,
    )


def _causes(
    telemetry: Telemetry, columns: Sequence[Sequence[Any]], indices: Sequence[int], span_ns: int
) -> str:
    """Name what held the clocks down, of each GPU."""
    parts = []
    for index, column in zip(indices, columns, strict=False):
        faults = [reason for reason in REASONS if reason.is_fault]
        shares = {r.words: share(telemetry, column, r.bit, span_ns)[0] for r in faults}
        words = [f"{words} {_percent(part)} of the time" for words, part in shares.items() if part]
        if words:
            parts.append(f"GPU {index}: {', '.join(words)}")
    return "; ".join(parts) or "neither heat nor a brake held the clocks down"


def _percent(part: float) -> str:
    return f"{number(round(100 * part, 1))} %"


# ---- others on the same GPU


def shared(
    telemetry: Telemetry,
    span_ns: int,
    indices: Sequence[int],
    before: Sequence[Mapping[str, Any]],
) -> Verdict:
    """Judge how many processes of others were on the GPUs, else how much memory of one was not
    ours.
    """
    counts = list(_counts(telemetry, span_ns, before))
    sizes = list(_sizes(telemetry, span_ns, indices, before))
    if max(counts, default=0) > MOST_PROCESSES:
        who = _who(telemetry, span_ns, before)
        return _found(max(counts), MOST_PROCESSES, "processes", who)
    if max(sizes, default=0) > MOST_FOREIGN_BYTES:
        words = f"others held {size(max(sizes))} of the memory of a GPU"
        return _found(max(sizes) / 2**30, MOST_FOREIGN_BYTES / 2**30, "GiB", words)
    if not counts and not sizes:
        return Verdict(SHARED, "SKIPPED", detail="the driver does not tell who uses the GPUs")
    alone = "no compute process of others was on them" if counts else "their processes are not told"
    rest = f"; others held {size(max(sizes))} of the memory of a GPU" if sizes else ""
    most = max(counts, default=0)
    return Verdict(SHARED, "PASS", most, MOST_PROCESSES, "processes", detail=f"{alone}{rest}")


def _counts(
    telemetry: Telemetry, span_ns: int, before: Sequence[Mapping[str, Any]]
) -> Iterator[int]:
    """Yield how many processes of others were on all GPUs: before the run, and during it."""
    at_start = [row.get("foreign_processes") for row in before]
    if at_start and None not in at_start:
        yield sum(filter(None, at_start))
    yield from _seen(telemetry, telemetry.get("gpu_foreign_processes", ()), span_ns)


def _sizes(
    telemetry: Telemetry,
    span_ns: int,
    indices: Sequence[int],
    before: Sequence[Mapping[str, Any]],
) -> Iterator[int]:
    """Yield the bytes of one GPU that others held: before the run, and during it."""
    yield from (row["foreign_bytes"] for row in before if row.get("foreign_bytes") is not None)
    for column in of_each(telemetry, "gpu_foreign_bytes", len(indices)):
        yield from _seen(telemetry, column, span_ns)


def _seen(telemetry: Telemetry, values: Sequence[Any], span_ns: int) -> list[Any]:
    """Return what was read once a second: in a short run, only right before its start."""
    return within(telemetry, values, span_ns, -INTERVAL_NS)


def _found(measured: float, limit: float, unit: str, words: str) -> Verdict:
    return Verdict(SHARED, "FAIL", measured, limit, unit, detail=words, remedy=_ALONE)


def _who(telemetry: Telemetry, span_ns: int, before: Sequence[Mapping[str, Any]]) -> str:
    """Name the processes of others, by GPU, each once."""
    at_start = [row for gpu in before for row in gpu.get("foreign") or ()]
    meanwhile = _seen(telemetry, telemetry.get("gpu_foreign", ()), span_ns)
    rows = at_start + [row for rows in meanwhile for row in rows]
    who = {(row["gpu"], row["pid"]): row for row in rows}
    said = [
        f"process {row['pid']}{_name(row)} on {named([row['gpu']])}{_held(row)}"
        for row in list(who.values())[:_SHOWN]
    ]
    more = f" and {len(who) - _SHOWN} more" if len(who) > _SHOWN else ""
    return ", ".join(said) + more if said else "processes of another container or user"


def _name(row: Mapping[str, Any]) -> str:
    return f" ({shown(str(row['name']))})" if row.get("name") else ""


def _held(row: Mapping[str, Any]) -> str:
    return f", {size(row['bytes'])}" if row.get("bytes") else ""
