"""Does a runner give the logits that the model's own plain forward pass gives?

A trial is a few prompts of different lengths, served together, and tokens that follow them, a step
at a time. The plain pass takes one text at a time, without cache, mask, padding or batch: it is
the reference. The distance of two rows of logits is 1 - their cosine, each about its mean.

How far may rounding take them apart? That is measured on the model itself: in a causal model a
token's logits do not depend on what follows it, so its plain pass over a prompt and over a longer
text that begins with it differ by rounding alone (`noise`). Measured on SmolLM2-135M:

    fp32 1e-11 · fp16 6e-6 · bf16 7e-4 · NF4 5e-4 · INT8 by quanto 2e-3 · INT8 by bitsandbytes 4e-2
    state lost 0.5 to 0.9 · a pad token seen 0.17 to 0.36 · the first token not seen 0.07 to 0.35

A noise beyond that of any rounding means that the model is not causal: its perplexity would know
what comes next, and no cache can serve it.

Shapes: B prompts, S steps, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple, Protocol

import torch

from harness.kernel.errors import SetupFailed, first_line
from sut.model import faults

_MARGIN = 10.0  # times the noise: other kernels than those it comes from
_ROUNDING = {torch.float32: 3e-6, torch.float16: 2e-3}  # always allowed
_ROUNDING_ELSE = 2e-2  # bfloat16, and whatever computes in fewer bits
_MOST = 5.0  # times the rounding may be allowed by a noise
_NOT_CAUSAL = 10.0  # times the rounding is no noise any more

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


class Trial(NamedTuple):
    """Prompts that are served together, the shortest first, and the tokens that follow each.

    Prompts of more than `piece_tokens` are fed in pieces of that size, each prompt by itself.
    """

    prompts: tuple[tuple[int, ...], ...]  # B
    following: tuple[tuple[int, ...], ...]  # B, each of S tokens
    piece_tokens: int

    @property
    def longest(self) -> int:
        return len(self.prompts[-1]) + len(self.following[-1])


class Expected(NamedTuple):
    """Logits of the plain pass after the prompts and after each step, and its noise."""

    trial: Trial
    logits: tuple[torch.Tensor, ...]  # 1 + S times (B, V)
    noise: float

    def allowed(self) -> float:
        rounding = _rounding(self.logits[0].dtype)
        return min(_MOST * rounding, max(rounding, _MARGIN * self.noise))


class Runner(Protocol):
    """As `sut.engine.batching` knows it, but with the logits that the next tokens are chosen from.

    Without `in_pieces` all its rows begin in one call, with whole prompts.
    """

    max_rows: int
    in_pieces: bool

    def prefill_logits(
        self, first_row: int, pieces: Sequence[Sequence[int]], start: int
    ) -> torch.Tensor:
        """Return (B, V)."""
        ...

    def decode_logits(self, tokens: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """Return (B, V)."""
        ...


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


def short_trial(model: Any) -> Trial:
    """Return the trial of every load: three short prompts and three steps.

    Its ids lie in the middle of the vocabulary: the first are special, and odd in few bits.
    """
    size = model.config.get_text_config().vocab_size
    lengths, steps = (3, 7, 12), 3

    def ids(row: int, count: int) -> tuple[int, ...]:
        return tuple((size // 2 + (5 * i * i + 3 * i + 7 * row) % 17) % size for i in range(count))

    texts = [ids(row, length + steps) for row, length in enumerate(lengths)]
    prompts = tuple(text[:-steps] for text in texts)
    return Trial(prompts, tuple(text[-steps:] for text in texts), piece_tokens=7)


@torch.inference_mode()
def expected(model: Any, trial: Trial) -> Expected:
    """Run the plain pass. Raises SetupFailed for a model that is not causal."""
    after_prompts, after_texts = [], []
    for prompt, following in zip(trial.prompts, trial.following, strict=True):
        after_prompts.append(_plain(model, prompt)[-1])
        after_texts.append(_plain(model, (*prompt, *following))[len(prompt) - 1 :])
    first = torch.stack(after_prompts)
    noise = float(distances(torch.stack([rows[0] for rows in after_texts]), first).max())
    if not noise <= _NOT_CAUSAL * _rounding(first.dtype):
        raise SetupFailed(
            f"trying model {model.name_or_path!r}",
            f"the logits of a token change with the tokens that follow it (1 - cosine {noise:.2g})",
            "a causal language model does not know what comes next",
            "Choose another model, or make this one a decoder (is_decoder in its config.json).",
        )
    steps = [torch.stack(rows) for rows in zip(*(rows[1:] for rows in after_texts), strict=True)]
    return Expected(trial, (first, *steps), noise)


@torch.inference_mode()
def difference(runner: Runner, wanted: Expected) -> Difference | None:
    """Compare a runner with the plain pass; None if it agrees.

    A model that will have nothing to do with it is a difference as well; out of memory is raised.
    """
    try:
        found = served(runner, wanted.trial)
    except REFUSALS as error:
        if faults.is_out_of_memory(error):
            raise
        return Difference(0, 0, 1.0, 0.0, f"{type(error).__name__}: {first_line(error)}")
    allowed = wanted.allowed()
    for step, (ours, theirs) in enumerate(zip(found, wanted.logits, strict=True)):
        apart = distances(ours, theirs)
        worst = int(apart.argmax())
        if not float(apart[worst]) <= allowed:  # not a number is not near
            return Difference(step, len(wanted.trial.prompts[worst]), float(apart[worst]), allowed)
    return None


@torch.inference_mode()
def served(runner: Runner, trial: Trial) -> list[torch.Tensor]:
    """Return what the runner makes of a trial, 1 + S times (B, V), as many rows at once as fit."""
    if not runner.in_pieces:
        trial = trial._replace(piece_tokens=trial.longest)
    parts = []
    for first in range(0, len(trial.prompts), runner.max_rows):
        rows = slice(first, first + runner.max_rows)
        part = trial._replace(prompts=trial.prompts[rows], following=trial.following[rows])
        parts.append(_served_together(runner, part))
    return [torch.cat(rows) for rows in zip(*parts, strict=True)]


def distances(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """Return (B,) of (B, V) twice: 1 - cosine about the mean, over the tokens that are possible at
    all.
    """
    possible = theirs.isfinite().all(0)
    ours, theirs = ours[:, possible].double(), theirs[:, possible].double()
    ours, theirs = ours - ours.mean(-1, keepdim=True), theirs - theirs.mean(-1, keepdim=True)
    apart = 1 - torch.nn.functional.cosine_similarity(ours, theirs, dim=-1)
    return apart.nan_to_num(nan=torch.inf)


def _rounding(dtype: torch.dtype) -> float:
    return _ROUNDING.get(dtype, _ROUNDING_ELSE)


def _plain(model: Any, ids: Sequence[int]) -> torch.Tensor:
    """Return (T, V)."""
    input_ids = torch.tensor([list(ids)], device=model.device)
    logits: torch.Tensor = model(input_ids=input_ids, use_cache=False).logits[0]
    return logits


def _served_together(runner: Runner, trial: Trial) -> list[torch.Tensor]:
    prompts = trial.prompts
    found, row = [], 0
    for is_long, group in groupby(prompts, lambda prompt: len(prompt) > trial.piece_tokens):
        for together in [[prompt] for prompt in group] if is_long else [list(group)]:
            found.append(_prefilled(runner, row, together, trial.piece_tokens))
            row += len(together)
    logits = [torch.cat(found)]
    for step, tokens in enumerate(zip(*trial.following, strict=True)):
        logits.append(runner.decode_logits(tokens, [len(prompt) + step for prompt in prompts]))
    return logits


def _prefilled(
    runner: Runner, row: int, prompts: Sequence[Sequence[int]], piece_tokens: int
) -> torch.Tensor:
    """Return (B, V) after prompts that fit one piece, or after the last piece of a single one."""
    longest = max(map(len, prompts))
    for start in range(0, longest, piece_tokens):
        logits = runner.prefill_logits(
            row, [p[start : start + piece_tokens] for p in prompts], start
        )
    return logits
