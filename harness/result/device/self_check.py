"""How fast is a decode step, beside what the device's memory allows, and what may slow it down?

The system under test notes what its steps took and what the least is (`sut.limit.check` says how).
Here the reasons join that its facts suggest. A step below a tenth of its limit is told in a note:
so slow is no property of a precision, it is how it was run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.kernel.words.figure import number

LEAST_SHARE = 0.10  # of the limit, without a note
_FEW_ROWS, _MANY_ROWS = 4, 16
_UNKNOWN = "its facts do not say why"
_OWN_CLASSES = ("the model's own classes", "eager classes", "graph classes")
_EXPANDED = (
    "nf4",
    "int8-quanto",
    "int4-quanto",
)  # variants whose weights become the activations' type again


def figures(check: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what result.json has as `self_check`; {} for a SUT that has none."""
    if not check:
        return {}
    rows = check.get("rows")
    path = {"path": str(facts.get("decode_step", ""))}
    return {**check, **path, "slowed_by": list(_reasons(facts, rows)) if rows else []}


def notes(found: Mapping[str, Any]) -> list[str]:
    """Say that a step is below a tenth of its limit and what the reason may be, and that the clock
    ran while steps were captured.
    """
    return [*_too_slow(found), *_captured(found.get("captured_in_run") or 0)]


def _captured(count: int) -> list[str]:
    if count == 0:
        return []
    were, steps = ("was", "one step") if count == 1 else ("were", f"{count} steps")
    return [f"{steps} {were} captured as a graph while the clock ran, and took longer for it"]


def _too_slow(found: Mapping[str, Any]) -> list[str]:
    share = found.get("share")
    if share is None or share >= LEAST_SHARE:
        return []
    rows, step, limit = found["rows"], number(found["step_ms"]), number(found["limit_ms"])
    at = f"{rows} row" if rows == 1 else f"{rows} rows"
    return [
        f"a decode step of {at} took {step} ms, and the device's memory allows {limit} ms"
        f" ({100 * share:.2g} % of the speed that it allows): {why(found)}"
    ]


def why(found: Mapping[str, Any]) -> str:
    """Name the likely reasons of a slow step, as the end of a sentence."""
    reasons = found["slowed_by"]
    return f"likely because {' and '.join(reasons)}" if reasons else _UNKNOWN


def _reasons(facts: Mapping[str, Any], rows: int) -> Iterator[str]:
    """Yield what is known to slow a step down, the likeliest first."""
    on_gpu = str(facts.get("device", "")).startswith("cuda")
    if any(not place.startswith("cuda") for place in facts.get("weights_on", ())) and on_gpu:
        yield "part of its weights is brought to the GPU in every step"
    yield from _of_precision(facts, on_gpu)
    yield from _of_path(facts, on_gpu, rows)
    if not on_gpu and rows >= _MANY_ROWS:
        yield f"the arithmetic of {rows} rows takes the processor longer than reading the weights"


def _of_precision(facts: Mapping[str, Any], on_gpu: bool) -> Iterator[str]:
    variant = str(facts.get("variant", "")).removeprefix("lora-")
    if facts.get("emulated") or (variant.startswith("fp8") and not on_gpu):
        yield "its precision is emulated, with the same rounding and none of the speed"
    elif variant in _EXPANDED:
        yield f"its weights are expanded to {facts.get('dtype', 'a wider type')} in every step"
    elif variant == "int8":
        yield "its activations are quantised, and outliers computed apart, in every step"
    if facts.get("dtype") == "float16" and not on_gpu:
        yield "processors have no fast arithmetic in float16"
    if facts.get("adapter") and not facts["adapter"].get("merged"):
        yield "its adapter is not merged into the weights"


def _of_path(facts: Mapping[str, Any], on_gpu: bool, rows: int) -> Iterator[str]:
    path = str(facts.get("decode_step", ""))
    if facts.get("batching", "in flight") != "in flight":
        yield f"it is served {_SERVED.get(facts['batching'], facts['batching'])}"
    elif path in _OWN_CLASSES:
        yield "its decode steps are those of the model's own classes"
    if on_gpu and path and not path.startswith("graph"):
        few = ", which few rows hardly hide" if rows <= _FEW_ROWS else ""
        yield f"each operation of a step is launched by itself{few}"
    if not on_gpu and facts.get("packed_layers") == 0:
        yield "its layers are not packed for the processor"


_SERVED = {
    "static": "in static batches",
    "one at a time": "one request at a time",
    "whole passes": "by passes over the whole text",
}
