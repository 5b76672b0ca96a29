"""Does a runner give the logits that the model's own plain forward pass gives?

A trial (`trial`) is a few prompts of different lengths, served together, and tokens that follow
them, a step at a time; half-way one leaves, the last row moves into its place, and another joins
where the last one was. The plain pass (`plain`) is the reference. The distance of two rows of
logits is 1 - their cosine, each about its mean.

How far may rounding take them apart? That is measured on the model itself: in a causal model a
token's logits do not depend on what follows it, so its plain pass over a prompt and over a longer
text that begins with it differ by rounding alone (`noise`). Measured on SmolLM2-135M:

    fp32 1e-11 · fp16 6e-6 · bf16 7e-4 · NF4 5e-4 · INT8 by quanto 2e-3 · INT8 by bitsandbytes 4e-2
    state lost 0.5 to 0.9 · a pad token seen 0.17 to 0.36 · the first token not seen 0.07 to 0.35

A model may compute its earlier tokens anew as a text grows (LongRoPE takes other factors beyond its
border): its answers are those of the whole text at every step, so where a text crosses a border the
reference is a pass for each step.

Shapes: B prompts, S steps, V vocabulary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby
from typing import Any, NamedTuple, Protocol

import torch

from harness.kernel.errors import first_line
from sut.engine.plain import check_causal, check_finite, first_layers, logits_of
from sut.engine.trial import Span, Trial, long_trial, short_trial
from sut.model import faults

_MARGIN = 10.0  # times the noise: other kernels than those it comes from
_ROUNDING = {torch.float32: 3e-6, torch.float16: 2e-3}  # always allowed
_ROUNDING_ELSE = 2e-2  # bfloat16, and whatever computes in fewer bits
_MOST = 5.0  # times the rounding may be allowed by a noise
_SHORT = 64  # tokens of a text whose passes cost nothing
SAME = 1e-3  # two ways of the same rows and roundings, with other kernels
_FEW_LAYERS = 0.25  # of the rounding is allowed where most layers are left out

# what a model says to a cache, a mask or an argument that it does not know
REFUSALS = (
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
    RuntimeError,
    NotImplementedError,
    AssertionError,
)


class Expected(NamedTuple):
    """Logits of the plain pass after the prompts and after each step, and its noise."""

    trial: Trial
    logits: tuple[torch.Tensor, ...]  # 1 + S times (B, V)
    noise: float
    few_layers: bool = False  # it was the first layers' pass

    def allowed(self) -> float:
        rounding = _rounding(self.logits[0].dtype)
        least = rounding * _FEW_LAYERS if self.few_layers else rounding
        return min(_MOST * rounding, max(least, _MARGIN * self.noise))

    def layers_of(self, model: Any) -> AbstractContextManager[None]:
        """Return a block in which the model has the layers that this was expected of."""
        return first_layers(model) if self.few_layers else nullcontext()


class Runner(Protocol):
    """As `sut.engine.batching` knows it, but with the logits that the next tokens are chosen from.

    Without `in_pieces` all its rows begin in one call, with whole prompts. One that `packs` takes
    whole prompts behind the last piece of a long one.
    """

    max_rows: int
    in_pieces: bool
    packs: bool

    def prefill_logits(
        self, first_row: int, pieces: Sequence[Sequence[int]], start: int
    ) -> torch.Tensor:
        """Return (B, V)."""
        ...

    def decode_logits(self, tokens: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """Return (B, V)."""
        ...

    def move(self, source: int, target: int) -> None:
        """Copy a row over another; only with `in_pieces`."""
        ...


class Seen(NamedTuple):
    """What a runner made of a prompt after `step` further tokens (0: after the prompt)."""

    prompt: int  # its place in the trial
    step: int
    logits: torch.Tensor  # (V,)


class Difference(NamedTuple):
    """Where a runner left the plain pass: after `step` (0: after the prompt), or by `error`."""

    step: int
    prompt_tokens: int
    distance: float
    allowed: float
    error: str = ""

    def __str__(self) -> str:
        if self.error:
            return self.error
        when = f"after {self.step} further tokens" if self.step else "right after it"
        return (
            f"a prompt of {self.prompt_tokens} tokens gives other logits {when} "
            f"(1 - cosine {self.distance:.2g}; rounding explains {self.allowed:.2g})"
        )


class Attempt(NamedTuple):
    """What a runner made of a trial, and where it left the plain pass; None if it agrees."""

    seen: list[Seen]
    difference: Difference | None


def expected_of(model: Any, spans: Sequence[Span]) -> list[Expected]:
    """Run the plain pass over the trials of a run, the short one first. Raises SetupFailed for a
    model that is not causal, or whose logits are no numbers.
    """
    found = [expected(model, short_trial(model))]
    longer = long_trial(model, spans)
    return found if longer is None else [*found, expected(model, longer, few_layers=True)]


@torch.inference_mode()
def expected(
    model: Any, trial: Trial, few_layers: bool = False, each_step: bool = False
) -> Expected:
    """Run the plain pass over a trial; `each_step` with a pass for each. Raises SetupFailed as
    `expected_of`.
    """
    with first_layers(model) if few_layers else nullcontext():
        rows, noise = [], 0.0
        for prompt, following in zip(trial.prompts, trial.following, strict=True):
            logits, apart = _reference(model, prompt, following, trial.borders, each_step)
            check_finite(model, logits, prompt)
            rows.append(logits)
            noise = max(noise, apart)
        by_step = tuple(torch.stack(step) for step in zip(*rows, strict=True))
        wanted = Expected(trial, by_step, noise, few_layers)
    with first_layers(model):  # a layer that sees what follows is of a kind of its own
        _check_causal(model, trial, wanted.allowed())
    return wanted


def _reference(
    model: Any,
    prompt: Sequence[int],
    following: Sequence[int],
    borders: Sequence[int],
    each_step: bool,
) -> tuple[torch.Tensor, float]:
    """Return (1 + S, V), and how far the passes over the prompt and over the whole text differ in
    what the prompt says: by rounding alone, or because the model computes it anew.
    """
    text, end = [*prompt, *following], len(prompt)
    alone = logits_of(model, prompt, [end - 1])
    whole = logits_of(model, text, range(end - 1, len(text)))
    apart = float(distances(whole[:1], alone)[0])
    crosses = any(end <= border < len(text) for border in borders)
    if not (crosses or each_step) and apart <= _MOST * _rounding(alone.dtype):
        return torch.cat((alone, whole[1:])), apart
    steps = [logits_of(model, text[:i], [i - 1]) for i in range(end + 1, len(text) + 1)]
    return torch.cat((alone, *steps)), apart if apart <= _MOST * _rounding(alone.dtype) else 0.0


def _check_causal(model: Any, trial: Trial, allowed: float) -> None:
    """Change the second half of the longest text; of a short one the last tokens as well."""
    prompt, following = trial.prompts[-1], trial.following[-1]
    text = [*prompt, *following]
    changed = [len(text) // 2] if len(text) > _SHORT else [len(text) // 2, len(following)]
    check_causal(model, text, changed, trial.prompts[0][0], allowed, distances)


@torch.inference_mode()
def difference(runner: Runner, wanted: Expected) -> Difference | None:
    """Compare a runner with the plain pass; None if it agrees."""
    return attempt(runner, wanted).difference


@torch.inference_mode()
def attempt(runner: Runner, wanted: Expected) -> Attempt:
    """Serve a trial and compare it with the plain pass.

    A model that will have nothing to do with it is a difference as well; out of memory is raised.
    """
    try:
        seen = served(runner, wanted.trial)
    except REFUSALS as error:
        if faults.is_out_of_memory(error):
            raise
        found = f"{type(error).__name__}: {first_line(error)}"
        return Attempt([], Difference(0, 0, 1.0, 0.0, found))
    ours = torch.stack([one.logits for one in seen])
    theirs = torch.stack([wanted.logits[one.step][one.prompt] for one in seen])
    apart, allowed = distances(ours, theirs), wanted.allowed()
    for one, distance in zip(seen, apart.tolist(), strict=True):
        if not distance <= allowed:  # not a number is not near
            length = len(wanted.trial.prompts[one.prompt])
            return Attempt(seen, Difference(one.step, length, distance, allowed))
    return Attempt(seen, None)


@torch.inference_mode()
def served(runner: Runner, trial: Trial) -> list[Seen]:
    """Return what the runner makes of a trial, as many rows at once as fit."""
    if not runner.in_pieces:
        trial = trial._replace(piece_tokens=trial.longest)
    prompts = list(range(len(trial.prompts)))
    if runner.packs:
        prompts.reverse()  # the long one first: others go with its last piece
    elif runner.max_rows == 1:
        prompts.append(0)  # where a longer one was
    seen: list[Seen] = []
    for first in range(0, len(prompts), runner.max_rows):
        seen += _Served(runner, trial, prompts[first : first + runner.max_rows]).all()
    return seen


def distances(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """Return (B,) of (B, V) twice: 1 - cosine about the mean, over the tokens that are possible at
    all.
    """
    possible = theirs.isfinite().all(0)
    ours, theirs = ours[:, possible].double(), theirs[:, possible].double()
    ours, theirs = ours - ours.mean(-1, keepdim=True), theirs - theirs.mean(-1, keepdim=True)
    apart = 1 - torch.nn.functional.cosine_similarity(ours, theirs, dim=-1)
    return apart.nan_to_num(nan=torch.inf)


def are_alike(ours: Sequence[Seen], theirs: Sequence[Seen], most: float = SAME) -> bool:
    """Say whether two ways of serving a trial saw the same logits, but for their kernels: at most
    `most` apart, wherever both looked.
    """
    mine, other = _by_place(ours), _by_place(theirs)
    both = [(logits, other[place]) for place, logits in mine.items() if place in other]
    return bool((distances(*map(torch.stack, zip(*both, strict=True))) <= most).all())


def _by_place(seen: Sequence[Seen]) -> dict[tuple[int, int, int], torch.Tensor]:
    """Return the logits by prompt, step, and how often both were there before: the prompt that
    begins anew has other company then, which counts where tokens of a pass share one scale.
    """
    before: Counter[tuple[int, int]] = Counter()
    found = {}
    for one in seen:
        place = one.prompt, one.step
        found[*place, before[place]] = one.logits
        before[place] += 1
    return found


def is_rounding(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Say whether (B, V) twice differ by no more than rounding ever may."""
    return bool((distances(ours, theirs) <= _MOST * _rounding(theirs.dtype)).all())


def _rounding(dtype: torch.dtype) -> float:
    return _ROUNDING.get(dtype, _ROUNDING_ELSE)


class _Served:
    """Prompts of a trial that share a batch: `rows` says whose each row is, `steps` how far it
    is.
    """

    def __init__(self, runner: Runner, trial: Trial, rows: list[int]) -> None:
        self._runner, self._trial, self._rows = runner, trial, rows
        self._steps = [0] * len(rows)

    def all(self) -> Iterator[Seen]:
        count = len(self._trial.following[0])
        yield from self._prefill()
        for step in range(count):
            if step == (count + 1) // 2 and self._runner.in_pieces and len(self._rows) > 1:
                yield from self._leave_and_join()
            yield from self._decode()

    def _prefill(self) -> Iterator[Seen]:
        row = 0
        prompts = [self._trial.prompts[i] for i in self._rows]
        for together in self._together(prompts):
            logits = _prefilled(self._runner, row, together, self._trial.piece_tokens)
            for i, one in enumerate(logits, row):
                yield Seen(self._rows[i], 0, one)
            row += len(together)

    def _together(self, prompts: list[tuple[int, ...]]) -> Iterator[list[tuple[int, ...]]]:
        """Return what is fed in one call, but for pieces of a long prompt that go before."""
        most = self._trial.piece_tokens
        if self._runner.packs:
            alone = max(0, sum(len(prompt) > most for prompt in prompts) - 1)
            yield from ([prompt] for prompt in prompts[:alone])
            yield prompts[alone:]
            return
        for is_long, group in groupby(prompts, lambda prompt: len(prompt) > most):
            alike = list(group)
            yield from ([prompt] for prompt in alike) if is_long else [alike]

    def _leave_and_join(self) -> Iterator[Seen]:
        """The first row leaves, the last moves into its place, and the first prompt begins anew
        where the last one was.
        """
        joins, last = self._rows[0], len(self._rows) - 1
        self._runner.move(last, 0)
        self._rows = [self._rows[last], *self._rows[1:last], joins]
        self._steps = [self._steps[last], *self._steps[1:last], 0]
        prompt = self._trial.prompts[joins]
        logits = _prefilled(self._runner, last, [prompt], self._trial.piece_tokens)
        yield Seen(joins, 0, logits[0])

    def _decode(self) -> Iterator[Seen]:
        tokens, positions = [], []
        for prompt, step in zip(self._rows, self._steps, strict=True):
            tokens.append(self._trial.following[prompt][step])
            positions.append(len(self._trial.prompts[prompt]) + step)
        logits = self._runner.decode_logits(tokens, positions)
        for i, prompt in enumerate(self._rows):
            self._steps[i] += 1
            yield Seen(prompt, self._steps[i], logits[i])


def _prefilled(
    runner: Runner, row: int, prompts: Sequence[Sequence[int]], piece_tokens: int
) -> torch.Tensor:
    """Return (B, V) after prompts of which the first alone may take more than one piece."""
    start = (len(prompts[0]) - 1) // piece_tokens * piece_tokens
    for begin in range(0, start, piece_tokens):
        runner.prefill_logits(row, [prompts[0][begin : begin + piece_tokens]], begin)
    return runner.prefill_logits(row, [prompts[0][start:], *prompts[1:]], start)
