"""How well does a model predict given tokens? Teacher-forced: one pass over a text, its tokens from
`first` on are scored.

What comes before `first` is context: a start token, an instruction, the first sentences, a prompt.
The logits at position i - 1 predict token i, so nothing predicts token 0 and nobody needs the last
token as input.

A text beyond the model's context is scored in windows (`sut.likelihood.windows`).

Batches hold windows of similar length under a budget of tokens, padded on the right: under a causal
mask no real token sees padding, so nobody's figures depend on who shares the batch (but for
bitsandbytes' INT8, which looks for outliers in the whole batch). A model whose short texts change
beside a long one all the same (LongRoPE, dynamic NTK) scores each text alone.

The logits of a batch never exist at once (`forward.output_layer`): what the output layer makes is
measured a few rows at a time in float32 and forgotten. What is measured stays on the device until
the batch is done, and comes to the host in one transfer. On a GPU the next batch is launched before
that: between two batches nobody waits for anybody.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from harness.kernel.errors import BadInput, RunBroke
from sut.engine.choice import first_choice
from sut.likelihood.forward.batch import Job, Owners, Span, batch_of, leading
from sut.likelihood.forward.budget import batch_tokens
from sut.likelihood.forward.device import is_gpu, per_device
from sut.likelihood.forward.output_layer import OutputLayer, side_by_side
from sut.likelihood.forward.transfer import Arriving
from sut.likelihood.windows import windows
from sut.model import faults, peak
from sut.prompts.context import context_of

_ROWS = 32  # log-probabilities at once, in float32: 6 MB, which a CPU's caches hold
_BYTES_GPU = 256 * 2**20  # the same on a GPU
_AHEAD, _AHEAD_GPU = 0, 1  # batches that are launched before one is waited for
_FINITE = "is finite"  # a column of ours beside the measure's

Columns = dict[str, NDArray[Any]]


class Text(NamedTuple):
    """Tokens from `first` on are scored. `name` is for error messages."""

    ids: Sequence[int]
    first: int = 1
    name: str = ""


class Rows(NamedTuple):
    """Which rows a measure is looking at: scored tokens of these spans, one after the other, and
    the number (n,) that each has in its text. On the CPU there is always one span.
    """

    spans: Sequence[Span]
    positions: torch.Tensor


# (rows, the tokens that came (n,), log-probabilities (n, V) in float32 for each model) -> columns
# with n rows. It must not wait for the device, and may see rows a second time.
Measure = Callable[..., Mapping[str, torch.Tensor]]


def _nobody(batch_tokens: int) -> None:
    """Hear it and do nothing."""


class Settings(NamedTuple):
    """`context` in tokens (None: the model's own), `stride` for texts beyond it, `batch_tokens` for
    the batches (None: by the device). `heard` is told how many they hold, and again if memory runs
    out and they hold fewer.
    """

    context: int | None = None
    stride: int | None = None
    batch_tokens: int | None = None
    heard: Callable[[int], None] = _nobody


DEFAULTS = Settings()


class TokenScores(NamedTuple):
    """Of one text's scored tokens, in order: loss in nats (float32), and whether the model would
    have chosen it itself.
    """

    nll_nats: NDArray[np.float32]
    correct: NDArray[np.bool_]


def token_scores(
    model: Any, texts: Sequence[Text], settings: Settings = DEFAULTS
) -> Iterator[tuple[int, TokenScores]]:
    """Yield (index of a text, its scores) as the texts are done, in no order; a text with nothing
    to score is left out.

    `model` is a causal language model of the transformers library. Raises BadInput for a text
    beyond the context without a stride, RunBroke for logits that are not finite.
    """
    for text, columns in walk((model,), texts, loss, settings):
        yield text, TokenScores(columns["nll_nats"], columns["correct"])


def loss(_: Rows, targets: torch.Tensor, log_probs: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"nll_nats": -at(log_probs, targets), "correct": first_choice(log_probs) == targets}


def at(log_probs: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Return the values (n,) of (n, V) at one id per row."""
    return log_probs.gather(-1, ids[:, None])[:, 0]


def by_text(of_one: Callable[..., Mapping[str, torch.Tensor]]) -> Measure:
    """Return the measure that gives `of_one` the rows of one span at a time, with the span."""

    def measure(
        rows: Rows, targets: torch.Tensor, *log_probs: torch.Tensor
    ) -> Mapping[str, torch.Tensor]:
        found, start = [], 0
        for span in rows.spans:
            own = slice(start, start + span.number)
            found.append(of_one(span, targets[own], *(one[own] for one in log_probs)))
            start = own.stop
        return _one_after_the_other(found)

    return measure


# ---- the walk


def walk(
    models: Sequence[Any],
    texts: Sequence[Text],
    measure: Measure,
    settings: Settings = DEFAULTS,
    layers: Sequence[OutputLayer] | None = None,
) -> Iterator[tuple[int, Columns]]:
    """Yield (index of a text, what `measure` made of it) as the texts are done; several models see
    the same rows. `layers` are theirs, for whoever walks again and again.
    """
    jobs = _jobs(models, texts, settings)
    if not jobs:
        return
    layers = layers or side_by_side(models)
    ahead = per_device(layers[0].device, _AHEAD, _AHEAD_GPU)
    done, launched = _Texts(texts, jobs), deque[_Launched]()
    for batch in _launches(layers, jobs, measure, settings):
        launched.append(batch)
        if len(launched) > ahead:
            yield from done.with_(launched.popleft())
    for batch in launched:
        yield from done.with_(batch)


def _jobs(models: Sequence[Any], texts: Sequence[Text], settings: Settings) -> list[Job]:
    """Return all windows, longest first, so that memory runs out at once or never."""
    context = settings.context or _context(models, texts)
    jobs = []
    for i, text in enumerate(texts):
        cut = windows(len(text.ids), context, settings.stride, text.first, _name(texts, i))
        jobs += [Job(i, text.ids, window) for window in cut]
    return sorted(jobs, key=lambda job: -job.length)


def _context(models: Sequence[Any], texts: Sequence[Text]) -> int:
    """Return the smallest context of the models; without any limit, what the longest text takes."""
    named = [found for model in models if (found := context_of(model.config)) is not None]
    longest = max((len(text.ids) for text in texts), default=1)
    return min(named, default=max(1, longest))


class _Launched(NamedTuple):
    """A batch whose columns are on their way."""

    jobs: Sequence[Job]
    columns: Arriving


def _launches(
    layers: Sequence[OutputLayer], jobs: Sequence[Job], measure: Measure, settings: Settings
) -> Iterator[_Launched]:
    """Yield the batches as they are launched. Where memory runs out, a batch holds half as much
    from then on.
    """
    budget = _budget(layers, jobs, settings)
    settings.heard(budget)
    first = 0
    while first < len(jobs):
        batch = leading(jobs[first:], budget)
        columns = _measured(layers, batch, measure)
        if columns is None:
            budget = batch[0].length * (len(batch) // 2)
            settings.heard(budget)
            continue
        yield _Launched(batch, columns)
        first += len(batch)


def _budget(layers: Sequence[OutputLayer], jobs: Sequence[Job], settings: Settings) -> int:
    longest = jobs[0].length
    budget = settings.batch_tokens or batch_tokens(layers, longest, sum(j.length for j in jobs))
    if budget > 1 and any(layer.changes_beside(longest) for layer in layers):
        return 1  # each text alone
    return budget


def _measured(
    layers: Sequence[OutputLayer], jobs: Sequence[Job], measure: Measure
) -> Arriving | None:
    """Return the columns of a batch; None where a GPU has no memory for several windows at once."""
    device = layers[0].device
    try:
        return Arriving(_columns(layers, jobs, measure), device)
    except RuntimeError as error:
        if not is_gpu(device) or len(jobs) == 1 or not faults.is_out_of_memory(error):
            raise
    peak.give_back()
    return None


@torch.inference_mode()
def _columns(
    layers: Sequence[OutputLayer], jobs: Sequence[Job], measure: Measure
) -> Mapping[str, torch.Tensor]:
    """Return the columns of a batch's rows, on the device."""
    device, owners = layers[0].device, Owners(jobs)
    batch = batch_of(jobs, device)
    chunks = [layer.logits(batch.ids, batch.rows, batch.columns) for layer in layers]
    found: list[Mapping[str, torch.Tensor]] = []

    def take(logits: Sequence[torch.Tensor], first: int) -> int:
        """Measure the rows from `first` on, a few at a time; return where they end."""
        _check_vocabularies(logits)
        row, last = first, first + len(logits[0])
        while row < last:
            end = min(last, _end(owners, row, logits[0].shape[-1], device))
            own = [one[row - first : end - first] for one in logits]
            rows = Rows(owners.spans(row, end), batch.positions[row:end])
            found.append(_of_rows(rows, batch.targets[row:end], own, measure, device))
            row = end
        return row

    row = 0
    while row < len(batch.targets):
        row = take([next(chunk) for chunk in chunks], row)  # gone before the next are made
    return _one_after_the_other(found)


def _end(owners: Owners, row: int, vocabulary: int, device: torch.device) -> int:
    """Return where the rows end that are measured at once: on the CPU at the end of their text."""
    if is_gpu(device):
        return row + max(1, _BYTES_GPU // (4 * vocabulary))
    return min(row + _ROWS, owners.end_of(row))


def _of_rows(
    rows: Rows,
    targets: torch.Tensor,
    logits: Sequence[torch.Tensor],
    measure: Measure,
    device: torch.device,
) -> Mapping[str, torch.Tensor]:
    """Return the measure's columns and whether all logits of a row are finite: one that is not is
    enough to make the row's smallest log-probability so.
    """
    log_probs = [one.log_softmax(-1, dtype=torch.float32).to(device) for one in logits]
    least = torch.stack([one.amin(-1) for one in log_probs])
    return {**measure(rows, targets, *log_probs), _FINITE: least.isfinite().all(0)}


def _one_after_the_other(found: Sequence[Mapping[str, torch.Tensor]]) -> Mapping[str, torch.Tensor]:
    if len(found) == 1:
        return found[0]
    return {key: torch.cat([columns[key] for columns in found]) for key in found[0]}


def _check_vocabularies(chunk: Sequence[torch.Tensor]) -> None:
    sizes = sorted({logits.shape[-1] for logits in chunk})
    if len(sizes) > 1:
        found = f"vocabularies of {' and '.join(f'{size:,}' for size in sizes)} tokens"
        fine = "expected distributions over the same tokens"
        raise BadInput("comparing two models", found, fine, "Compare variants of one model.")


# ---- what has arrived


class _Texts:
    """Texts whose windows arrive one by one."""

    def __init__(self, texts: Sequence[Text], jobs: Sequence[Job]) -> None:
        self._texts, self._missing = texts, Counter(job.text for job in jobs)
        self._parts: dict[int, dict[int, Columns]] = {}

    def with_(self, batch: _Launched) -> Iterator[tuple[int, Columns]]:
        """Wait for a batch and yield the texts that it completes. Raises RunBroke."""
        arrays, owners = batch.columns.arrays(), Owners(batch.jobs)
        self._check_finite(arrays.pop(_FINITE), owners)
        for job, end in zip(batch.jobs, owners.ends, strict=True):
            own = {key: column[end - job.rows : end] for key, column in arrays.items()}
            self._parts.setdefault(job.text, {})[job.window.scored] = own
            self._missing[job.text] -= 1
            if not self._missing[job.text]:
                yield job.text, _joined(self._parts.pop(job.text))

    def _check_finite(self, is_finite: NDArray[np.bool_], owners: Owners) -> None:
        if is_finite.all():
            return
        (span,) = owners.spans(row := int(is_finite.argmin()), row + 1)
        found = f"the logits that predict token {span.first} are not all finite"
        todo = "Try a variant of wider range, bf16 or fp32."
        raise RunBroke(_name(self._texts, span.text), found, "a model's logits are numbers", todo)


def _joined(parts: Mapping[int, Columns]) -> Columns:
    if len(parts) == 1:
        return next(iter(parts.values()))
    ordered = [parts[start] for start in sorted(parts)]
    return {key: np.concatenate([part[key] for part in ordered]) for key in ordered[0]}


def _name(texts: Sequence[Text], i: int) -> str:
    return f"text {texts[i].name or i}"
