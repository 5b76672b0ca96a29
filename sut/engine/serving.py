"""How is a model served so that its answers stay its own? The ways, best first, each tried at load.

    in flight      rows of one cache (`slots`); requests join and leave at every step
    static         batches padded on the left, over the state that the model makes itself
    one at a time  the same without padding or mask, one request after the other; where the model
                   needs it, its state is made anew at each border that a text passes
    whole passes   no state: a pass over the whole text for each token, one request after the other

The first way whose logits are those of the model's own plain forward pass (`agreement`) is taken,
over short prompts and over those lengths that the run will reach. The last way is that pass itself.
Decode steps over rows are then made faster where that changes nothing: by the lean step instead of
the model's own classes, and by graphs of either (`graphs`) where the device has them. A model is
refused if even that fails: it is not causal, or its logits are no numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from harness.kernel.errors import SetupFailed, first_line
from sut.engine import agreement, trial
from sut.engine.agreement import Attempt, Difference, Expected
from sut.engine.batching import Engine, StaticEngine
from sut.engine.graphs import trying
from sut.engine.graphs.capture import NewCapture
from sut.engine.graphs.runner import GraphRunner
from sut.engine.lean import LeanStep, lean_step
from sut.engine.prefill.packed import Attention, Packed, attentions
from sut.engine.slots import SlotRunner
from sut.engine.static import PaddingShown, RenewedRunner, StaticRunner, WholeRunner

Batching = Literal["in flight", "static", "one at a time", "whole passes"]
_NOT_LEAN = "its decode steps are the model's own"
_SLOWER_PROMPTS = "its prompts are not fed in the fastest way"
_NOBODY_JOINS = "it is served in static batches, nobody joins until all have finished"
_ALONE = "it is served one request at a time"
_RENEWED = "it is served one request at a time, its state made anew at each border of length"
_WHOLE = "it is served one request at a time, with a pass over the whole text for each token"


class Way(NamedTuple):
    """`runner(max_rows, max_len)` and the engine that goes with it."""

    batching: Batching
    engine: type[Engine]
    runner: Callable[[int, int], Any]
    token_bytes: int | None = None  # of the cache; None: the model's own affair
    is_lean: bool = False
    packed: Attention | None = None  # of prompts that share a pass; None: they are padded
    note: str = ""
    in_graphs: bool = False

    @property
    def prefill(self) -> str:
        """Name how prompts of one step share a pass."""
        return "padded" if self.packed is None else f"packed, {self.packed.name}"

    @property
    def path(self) -> str:
        """Name how a decode step is computed."""
        if self.batching != "in flight":
            return "static batches"
        by = "graph" if self.in_graphs else "eager"
        return f"{by} lean" if self.is_lean else f"{by} classes"


def choose(
    model: Any,
    wanted: Sequence[Expected],
    pad_id: int,
    max_rows: int | None = None,
    new_capture: NewCapture | None = None,
) -> Way:
    """Return the first way that agrees with the plain pass in every trial, with at most `max_rows`
    rows at once, its decode steps in graphs where they can be captured. Raises SetupFailed where
    none does.
    """
    differences: dict[Batching, Difference] = {}
    for way in _ways(model, pad_id):
        attempts = _attempts(model, way, wanted, max_rows)
        found = attempts[-1].difference
        if found is None:
            way = way._replace(note=_note(way, differences))
            if way.batching != "in flight":
                return way
            way = _in_rows(model, way, wanted, max_rows, attempts)
            return _in_graphs(model, way, wanted, attempts, max_rows, new_capture)
        differences.setdefault(way.batching, found)
    raise _refused(model, differences)


def _attempts(
    model: Any, way: Way, wanted: Sequence[Expected], max_rows: int | None
) -> list[Attempt]:
    """Return what became of each trial, up to the first that differs."""
    attempts = []
    for one in wanted:
        with one.layers_of(model):
            attempts.append(_attempt(way, one, max_rows))
        if attempts[-1].difference is not None:
            break
    return attempts


def _attempt(way: Way, wanted: Expected, max_rows: int | None) -> Attempt:
    rows = len(wanted.trial.prompts)
    try:
        runner = way.runner(min(rows, max_rows or rows), wanted.trial.longest)
    except agreement.REFUSALS as error:
        return Attempt([], Difference(0, 0, 1.0, 0.0, str(error)))
    return agreement.attempt(runner, wanted)


def _ways(model: Any, pad_id: int) -> list[Way]:
    def static(shown: PaddingShown) -> Callable[[int, int], StaticRunner]:
        return lambda rows, length: StaticRunner(model, rows, length, pad_id, shown)

    def single(_: int, length: int) -> StaticRunner:
        return StaticRunner(model, 1, length, pad_id, "never")

    def renewed(_: int, length: int) -> RenewedRunner:
        return RenewedRunner(model, length, trial.borders(model.config, length))

    def whole(_: int, length: int) -> WholeRunner:
        return WholeRunner(model, length)

    return [
        _rows_of(model),
        Way("static", StaticEngine, static("always"), note=_NOBODY_JOINS),
        Way("static", StaticEngine, static("with prompts"), note=_NOBODY_JOINS),
        Way("one at a time", StaticEngine, single, note=_ALONE),
        Way("one at a time", StaticEngine, renewed, note=_RENEWED),
        Way("whole passes", StaticEngine, whole, note=_WHOLE),
    ]


def _note(way: Way, differences: dict[Batching, Difference]) -> str:
    """Say what the way costs, and why the one before it was not taken."""
    if not way.note:
        return ""
    before, found = list(differences.items())[-1]
    if before == way.batching:
        before, found = list(differences.items())[-2]
    return f"{way.note} ({before}: {found})"


def _in_rows(
    model: Any, way: Way, wanted: Sequence[Expected], max_rows: int | None, own: Sequence[Attempt]
) -> Way:
    """Return the way with what a token takes, and with the lean layers if the model allows it:
    for prompts and answers, or for answers alone.
    """
    runner = way.runner(1, 1)
    runner.prefill(0, [wanted[0].trial.prompts[0][:1]])
    way = way._replace(token_bytes=runner.cache.num_bytes)
    try:
        step = lean_step(model)
    except agreement.REFUSALS as error:
        return way._replace(note=f"{_NOT_LEAN}: the lean step does not fit ({_words(error)})")
    if step is None:
        return way
    differ: list[str] = []
    for attention in (*attentions(model), None):
        found = _why_not(model, wanted, max_rows, own, attention)
        if not found:
            return _lean(model, way, step, attention, differ)
        differ.append(found)
    return way._replace(note=f"{_NOT_LEAN}: the lean step {found}")


def _lean(
    model: Any, way: Way, step: LeanStep, attention: Attention | None, differ: Sequence[str]
) -> Way:
    """Return the way with lean answers, and with lean prompts where one of the attentions fits."""
    packed = None if attention is None else Packed(step, attention)
    way = way._replace(
        runner=lambda rows, length: SlotRunner(model, rows, length, step, packed),
        is_lean=True,
        packed=attention,
    )
    if not differ:
        return way
    return way._replace(
        note=f"{_SLOWER_PROMPTS} (the one before {differ[-1]}): they are {way.prefill}"
    )


def _in_graphs(
    model: Any,
    way: Way,
    wanted: Sequence[Expected],
    own: Sequence[Attempt],
    max_rows: int | None,
    new_capture: NewCapture | None,
) -> Way:
    """Return the way with its decode steps captured, or with the reason why they are not."""
    if new_capture is None:
        return way
    found = trying.why_not(model, way.is_lean, wanted, own, max_rows, new_capture)
    if found:
        return way._replace(note=f"{way.note}; {found}" if way.note else found)
    step = lean_step(model) if way.is_lean else None
    packed = None if step is None or way.packed is None else Packed(step, way.packed)
    return way._replace(
        runner=lambda rows, length: GraphRunner(
            model, rows, length, step, packed, capture=new_capture()
        ),
        in_graphs=True,
    )


def _why_not(
    model: Any,
    wanted: Sequence[Expected],
    max_rows: int | None,
    own: Sequence[Attempt],
    attention: Attention | None,
) -> str:
    """Try the lean step over the first layers where there is such a trial: what it computes is the
    same in all layers of a kind, and a pass over all costs as much as ten over the first.
    """
    pairs = list(zip(wanted, own, strict=True))
    for one, attempt in [pair for pair in pairs if pair[0].few_layers] or pairs:
        with one.layers_of(model):
            step = lean_step(model)
            assert step is not None
            if found := differs(model, step, one, attempt, max_rows, attention):
                return found
    return ""


def differs(
    model: Any,
    step: LeanStep,
    wanted: Expected,
    own: Attempt,
    max_rows: int | None = None,
    attention: Attention | None = None,
) -> str:
    """Say why `step` shall not decode (and prefill, with an `attention`). Empty where it does as
    the plain pass, and as closely as other kernels can as the model's `own` classes.
    """
    packed = None if attention is None else Packed(step, attention)
    lean = _attempt(_rows_of(model, step, packed), wanted, max_rows)
    if lean.difference is not None and lean.difference.error:
        return f"does not fit ({lean.difference})"
    most = agreement.SAME if packed is None else max(agreement.SAME, wanted.noise)
    is_alike = lean.difference is None and agreement.are_alike(lean.seen, own.seen, most)
    return "" if is_alike else "gives other logits"


def _rows_of(model: Any, step: LeanStep | None = None, packed: Packed | None = None) -> Way:
    return Way(
        "in flight", Engine, lambda rows, length: SlotRunner(model, rows, length, step, packed)
    )


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


def _refused(model: Any, differences: dict[Batching, Difference]) -> SetupFailed:
    found = "; ".join(f"{batching}: {difference}" for batching, difference in differences.items())
    return SetupFailed(
        f"serving model {model.name_or_path!r}",
        f"no way of serving it gives the logits of its own forward pass ({found})",
        "the same logits but for rounding",
        "Choose another model: answers of this one would not be its own.",
    )
