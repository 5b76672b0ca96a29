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

The output layer runs over some hundred positions at a time, and only over those that predict a
scored token; what it makes is measured a few rows at a time in float32 and forgotten. So the logits
of a batch never exist at once. Models that do something to their logits after the output layer (a
cap, a scale) get them from their own forward pass, for a batch at once and in the model's own type;
which models do is tried, not assumed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from harness.kernel.errors import BadInput, RunBroke
from sut.engine.agreement import is_rounding
from sut.engine.choice import first_choice
from sut.engine.plain import first_layers, remembers
from sut.likelihood.windows import Window, windows
from sut.prompts.context import context_of

_BATCH_TOKENS, _BATCH_TOKENS_GPU = 2048, 16_384  # padding included
_LOGITS_BYTES, _LOGITS_BYTES_GPU = 96 * 2**20, 512 * 2**20  # at once, in the model's own type
_SHORT = 7  # tokens of a text that is tried beside a long one
_ROWS, _ROWS_GPU = 32, 256  # log-probabilities at once, in float32: 6 MB, which a CPU's caches hold

Columns = dict[str, NDArray[Any]]


class Text(NamedTuple):
    """Tokens from `first` on are scored. `name` is for error messages."""

    ids: Sequence[int]
    first: int = 1
    name: str = ""


class Where(NamedTuple):
    """Which rows a measure is looking at: scored tokens of one text, from token `first` of its ids
    on.
    """

    text: int
    first: int


# (where, the tokens that came (n,), log-probabilities (n, V) in float32 for each model) -> columns
# with n rows
Measure = Callable[..., Mapping[str, torch.Tensor]]


class Settings(NamedTuple):
    """`context` in tokens (None: the model's own), `stride` for texts beyond it, `batch_tokens` for
    the batches.
    """

    context: int | None = None
    stride: int | None = None
    batch_tokens: int | None = None


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


def loss(_: Where, targets: torch.Tensor, log_probs: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"nll_nats": -at(log_probs, targets), "correct": first_choice(log_probs) == targets}


def at(log_probs: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Return the values (n,) of (n, V) at one id per row."""
    return log_probs.gather(-1, ids[:, None])[:, 0]


# ---- the walk


class _Job(NamedTuple):
    text: int
    window: Window

    @property
    def length(self) -> int:
        return self.window.end - 1 - self.window.start

    @property
    def tokens(self) -> int:
        return self.window.end - self.window.scored


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
    context = settings.context or _context(models, texts)
    jobs = []
    for i, text in enumerate(texts):
        cut = windows(len(text.ids), context, settings.stride, text.first, _name(texts, i))
        jobs += [_Job(i, window) for window in cut]
    if not jobs:
        return
    missing = Counter(job.text for job in jobs)
    parts: dict[int, dict[int, Columns]] = {}
    layers = layers or _side_by_side(models)
    budget = settings.batch_tokens or _per_device(models[0], _BATCH_TOKENS, _BATCH_TOKENS_GPU)
    longest = max(job.length for job in jobs)
    if budget > 1 and any(layer.changes_beside(longest) for layer in layers):
        budget = 1  # each text alone
    for batch in batches(jobs, budget):
        for job, columns in zip(batch, _measured(layers, texts, batch, measure), strict=True):
            parts.setdefault(job.text, {})[job.window.scored] = columns
            missing[job.text] -= 1
            if not missing[job.text]:
                yield job.text, _joined(parts.pop(job.text))


def _side_by_side(models: Sequence[Any]) -> list[OutputLayer]:
    """Return the output layers; all give as many rows at a time as the one that gives fewest."""
    layers = [OutputLayer(model) for model in models]
    rows = min(layer.rows for layer in layers)
    for layer in layers:
        layer.rows = rows
    return layers


def _context(models: Sequence[Any], texts: Sequence[Text]) -> int:
    """Return the smallest context of the models; without any limit, what the longest text takes."""
    named = [found for model in models if (found := context_of(model.config)) is not None]
    longest = max((len(text.ids) for text in texts), default=1)
    return min(named, default=max(1, longest))


_Item = TypeVar("_Item", bound=Any)  # has a length


def batches(items: Sequence[_Item], batch_tokens: int) -> Iterator[list[_Item]]:
    """Yield batches, longest first, so that memory runs out at once or never. An item beyond the
    budget goes alone.
    """
    batch: list[_Item] = []
    for item in sorted(items, key=lambda one: -one.length):
        if batch and batch[0].length * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


@torch.inference_mode()
def _measured(
    layers: Sequence[OutputLayer], texts: Sequence[Text], batch: Sequence[_Job], measure: Measure
) -> list[Columns]:
    """Return the columns of each job of a batch."""
    ids, rows, columns, targets = _tensors(texts, batch)
    chunks = [layer.logits(ids, rows, columns) for layer in layers]
    ends = list(accumulate(job.tokens for job in batch))
    found: list[list[Mapping[str, torch.Tensor]]] = [[] for _ in batch]

    def take(logits: Sequence[torch.Tensor], first: int) -> int:
        """Measure the batch's rows from `first` on, a few at a time and never of two jobs; return
        where they end.
        """
        _check_vocabularies(logits)
        row, last, device = first, first + len(logits[0]), layers[0].device
        while row < last:
            job = bisect_right(ends, row)
            end = min(row + _per_device(layers[0], _ROWS, _ROWS_GPU), last, ends[job])
            where = Where(batch[job].text, batch[job].window.end - (ends[job] - row))
            log_probs = [
                one[row - first : end - first].float().log_softmax(-1).to(device) for one in logits
            ]
            _check_finite(log_probs, texts, where)
            found[job].append(measure(where, targets[row:end].to(device), *log_probs))
            row = end
        return row

    row = 0
    while row < len(targets):
        row = take([next(chunk) for chunk in chunks], row)  # gone before the next are made
    return [
        {key: torch.cat([p[key] for p in pieces]).cpu().numpy() for key in pieces[0]}
        for pieces in found
    ]


def _tensors(texts: Sequence[Text], batch: Sequence[_Job]) -> tuple[torch.Tensor, ...]:
    """Return ids (B, T), then for each of N scored tokens the row and column that predicts it, and
    the token itself.
    """
    ids = torch.zeros((len(batch), batch[0].length), dtype=torch.long)
    targets: list[int] = []
    for i, (text, window) in enumerate(batch):
        ids[i, : window.end - 1 - window.start] = torch.tensor(
            texts[text].ids[window.start : window.end - 1]
        )
        targets += texts[text].ids[window.scored : window.end]
    rows = torch.repeat_interleave(torch.tensor([job.tokens for job in batch]))
    columns = [
        torch.arange(job.window.scored, job.window.end) - 1 - job.window.start for job in batch
    ]
    return ids, rows, torch.cat(columns), torch.tensor(targets)


def _check_finite(log_probs: Sequence[torch.Tensor], texts: Sequence[Text], where: Where) -> None:
    """Refuse logits that are not finite: one is enough to make its row's smallest log-probability
    so. Raises RunBroke.
    """
    for one in log_probs:
        fine = one.amin(-1).isfinite()
        if not fine.all():
            position = where.first + int(fine.int().argmin())
            found = f"the logits that predict token {position} are not all finite"
            todo = "Try a variant of wider range, bf16 or fp32."
            raise RunBroke(_name(texts, where.text), found, "a model's logits are numbers", todo)


def _check_vocabularies(chunk: Sequence[torch.Tensor]) -> None:
    sizes = sorted({logits.shape[-1] for logits in chunk})
    if len(sizes) > 1:
        found = f"vocabularies of {' and '.join(f'{size:,}' for size in sizes)} tokens"
        fine = "expected distributions over the same tokens"
        raise BadInput("comparing two models", found, fine, "Compare variants of one model.")


def _joined(parts: Mapping[int, Columns]) -> Columns:
    if len(parts) == 1:
        return next(iter(parts.values()))
    ordered = [parts[start] for start in sorted(parts)]
    return {key: np.concatenate([part[key] for part in ordered]) for key in ordered[0]}


def _name(texts: Sequence[Text], i: int) -> str:
    return f"text {texts[i].name or i}"


def _per_device(thing: Any, cpu: int, gpu: int) -> int:
    return cpu if thing.device.type == "cpu" else gpu


# ---- the output layer


class OutputLayer:
    """Logits at chosen positions, `_LOGITS_BYTES` at a time where the model allows it."""

    @torch.inference_mode()
    def __init__(self, model: Any) -> None:
        self._model, self.device, self._head = model, model.device, model.get_output_embeddings()
        first = torch.zeros(1, dtype=torch.long)
        states, logits = self._run(torch.tensor([[1, 0]]), first, first, 1)
        is_last = states is not None and torch.equal(
            self._head(states[None])[0].float(), logits.float()
        )
        self._in_pieces = is_last  # or the model does something to them afterwards
        self.rows = max(1, _per_device(self, _LOGITS_BYTES, _LOGITS_BYTES_GPU) // logits[0].nbytes)
        self._changes: dict[int, bool] = {}  # by the longest text

    def logits(
        self, ids: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
    ) -> Iterator[torch.Tensor]:
        """Yield logits (n, V) again and again, N in all: of ids (B, T) at N positions."""
        starts = range(0, len(rows), self.rows)
        if not self._in_pieces:
            _, logits = self._run(ids, rows, columns, len(rows))
            yield from (logits[start : start + self.rows] for start in starts)
            return
        states, _ = self._run(ids, rows, columns, 1)
        yield from (self._head(states[None, start : start + self.rows])[0] for start in starts)

    def changes_beside(self, longest: int) -> bool:
        """Say whether the logits of a short text change when one of `longest` tokens shares its
        batch, as LongRoPE's do: the longest text chooses the factors of all.
        """
        if longest not in self._changes:
            self._changes[longest] = longest > _SHORT and self._changed_beside(longest)
        return self._changes[longest]

    @torch.inference_mode()
    def _changed_beside(self, longest: int) -> bool:
        size = self._model.config.get_text_config(decoder=True).vocab_size
        ids = torch.arange(2 * longest).remainder(size // 2).add(size // 4).view(2, longest)
        row, last = torch.zeros(1, dtype=torch.long), torch.tensor([_SHORT - 1])
        with first_layers(self._model):
            _, alone = self._run(ids[:1, :_SHORT], row, last, 1)
            _, beside = self._run(ids, row, last, 1)
        return not is_rounding(beside, alone)

    def _run(
        self, ids: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, count: int
    ) -> tuple[Any, torch.Tensor]:
        """Return what the output layer sees at these positions, (N, D), and the model's logits at
        the first `count`, (count, V).

        The layer is given these few as one sequence. No states if the model does not call it;
        logits at all N then.
        """
        kept: list[torch.Tensor] = []

        def pick(_: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
            states, *rest = args
            kept.append(states[rows.to(states.device), columns.to(states.device)])
            return kept[0][None, :count], *rest

        if remembers(self._model):
            self._model(input_ids=ids[:1, :1].to(self.device), use_cache=False)
        handle = self._head.register_forward_pre_hook(pick) if self._head is not None else None
        try:
            logits = self._model(input_ids=ids.to(self.device), use_cache=False).logits
        finally:
            if handle is not None:
                handle.remove()
        if kept:
            return kept[0], logits[0]
        return None, logits[rows.to(logits.device), columns.to(logits.device)]
