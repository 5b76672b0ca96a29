"""How is a model served so that its answers stay its own? The ways, best first, each tried at load.

    in flight      rows of one cache (`slots`); requests join and leave at every step
    static         batches padded on the left, over the state that the model makes itself
    one at a time  the same without padding or mask, one request after the other

The first way whose logits are those of the model's own plain forward pass (`agreement`) is taken.
A model for which none is right is refused, with what differed: it would be served fast, and wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from harness.kernel.errors import SetupFailed, first_line
from sut.engine import agreement, state
from sut.engine.agreement import Difference, Expected
from sut.engine.batching import Engine, StaticEngine
from sut.engine.lean import LeanStep, lean_step
from sut.engine.slots import PaddingShown, SlotRunner, StaticRunner

Batching = Literal["in flight", "static", "one at a time"]
_SAME = 1e-3  # lean steps beside the model's own: the same rows and roundings, other kernels
_NOBODY_JOINS = (
    "its state cannot be kept in rows: static batches, nobody joins until all have finished"
)
_ALONE = "its answers change in a batch with padding: it is served one request at a time"


class Way(NamedTuple):
    """`runner(max_rows, max_len)` and the engine that goes with it."""

    batching: Batching
    engine: type[Engine]
    runner: Callable[[int, int], Any]
    token_bytes: int | None = None  # of the cache; None: the model's own affair
    is_lean: bool = False
    note: str = ""


def choose(model: Any, wanted: Expected, pad_id: int) -> Way:
    """Return the first way that agrees with the plain pass. Raises SetupFailed where none does."""
    try:
        state.argument(model)
    except state.NoState as error:
        raise _refused(model, {"any way": Difference(0, 0, 1.0, 0.0, str(error))}) from error
    differences: dict[str, Difference] = {}
    for way in _ways(model, pad_id):
        runner = way.runner(len(wanted.trial.prompts), wanted.trial.longest)
        found = agreement.difference(runner, wanted)
        if found is None:
            return way if way.batching != "in flight" else _in_rows(model, runner, wanted, way)
        differences[way.batching] = found
    raise _refused(model, differences)


def _ways(model: Any, pad_id: int) -> list[Way]:
    def in_rows(rows: int, length: int) -> SlotRunner:
        return SlotRunner(model, rows, length)

    def static(shown: PaddingShown) -> Callable[[int, int], StaticRunner]:
        return lambda rows, length: StaticRunner(model, rows, length, pad_id, shown)

    def single(_: int, length: int) -> StaticRunner:
        return StaticRunner(model, 1, length, pad_id, "never")

    return [
        Way("in flight", Engine, in_rows),
        Way("static", StaticEngine, static("always"), note=_NOBODY_JOINS),
        Way("static", StaticEngine, static("with prompts"), note=_NOBODY_JOINS),
        Way("one at a time", StaticEngine, single, note=_ALONE),
    ]


def _in_rows(model: Any, tried: SlotRunner, wanted: Expected, way: Way) -> Way:
    """Return the way with what a token takes, and with the lean step if the model allows it."""
    cells = len(wanted.trial.prompts) * wanted.trial.longest
    way = way._replace(token_bytes=tried.cache.num_bytes // cells)
    step, note = _lean(model, wanted)
    if step is None:
        return way._replace(note=note)
    return way._replace(
        runner=lambda rows, length: SlotRunner(model, rows, length, step), is_lean=True
    )


def _lean(model: Any, wanted: Expected) -> tuple[LeanStep | None, str]:
    """Return the lean step if it is this model's and agrees; else why it does not, if it should."""
    try:
        step = lean_step(model)
    except agreement.REFUSALS as error:
        found = f"{type(error).__name__}: {first_line(error)}"
        return None, f"its decode steps are the model's own: the lean step does not fit ({found})"
    if step is None:
        return None, ""
    if not agrees(model, step, wanted):
        return None, "its decode steps are the model's own: the lean step gives other logits"
    return step, ""


def agrees(model: Any, step: LeanStep, wanted: Expected) -> bool:
    """Say whether `step` decodes as the plain pass does, and as closely as other kernels can as the
    model's own classes do over the same rows.
    """
    rows, length = len(wanted.trial.prompts), wanted.trial.longest
    runner = SlotRunner(model, rows, length, step)
    if agreement.difference(runner, wanted) is not None:
        return False
    own = agreement.served(SlotRunner(model, rows, length), wanted.trial)
    lean = agreement.served(runner, wanted.trial)
    pairs = zip(lean, own, strict=True)
    return all(float(agreement.distances(*pair).max()) <= _SAME for pair in pairs)


def _refused(model: Any, differences: dict[str, Difference]) -> SetupFailed:
    found = "; ".join(f"{batching}: {difference}" for batching, difference in differences.items())
    return SetupFailed(
        f"serving model {model.name_or_path!r}",
        f"no way of serving it gives the logits of its own forward pass ({found})",
        "the same logits but for rounding",
        "Choose another model: answers of this one would not be its own.",
    )
