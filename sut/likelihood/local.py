"""A model that is loaded here, to be asked for the losses of texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.kernel.clock import RealClock
from sut.engine.trial import Span
from sut.likelihood.job import Columns, Job
from sut.likelihood.passages import Passage
from sut.likelihood.writing import Writer
from sut.local_model import LocalModel
from sut.model import peak
from sut.model.weights import weigh
from sut.prompts.vocabulary import check_ids, embedding_rows

_WRITERS = 4  # threads: writing a text's files takes as long as a GPU needs for its tokens


class Local(LocalModel):
    """The loading of a local model, without what only answering needs."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(RealClock(), **options)
        self.clock = self._clock

    def open(self) -> None:
        self._check_variant()
        self._load_tokenizer()

    def read_weights(self, longest: int) -> None:
        """Load and try the model for texts of up to `longest` tokens."""
        self._load_model([Span(longest, longest)])
        self.start_counting()

    def start_counting(self) -> None:
        """Count from now: what is in memory is not what scoring takes."""
        self._held_bytes = peak.reset()
        if self._model.device.type == "cuda":
            self._held_bytes = peak.reached_bytes()

    def prepare(self, passages: Sequence[Passage], context: int | None) -> None:
        longest = max(p.input_length for p in passages)
        self.read_weights(longest if context is None else min(context, longest))

    @property
    def writers(self) -> int:
        return _WRITERS if self._model.device.type == "cuda" else 0

    def columns(
        self,
        job: Job,
        passages: Sequence[Passage],
        texts: Sequence[Any],
        settings: Any,
        writer: Writer,
    ) -> Iterator[tuple[int, Columns]]:
        """Yield the columns of texts: with their distributions kept, beside the reference's, or
        neither.
        """
        from sut.likelihood import distributions

        if job.record:
            for i, kept in distributions.record(self.model, texts, settings, top_k=job.top_k):
                writer.soon(distributions.save, job.distributions / passages[i].file, kept)
                yield i, {"nll_nats": kept.nll_nats, "correct": kept.top == kept.targets}
        elif job.other is not None:
            reference = Local(job.other)
            reference.open()
            reference.read_weights(max(len(text.ids) for text in texts))
            self.start_counting()
            for i, found in distributions.exact(reference.model, self.model, texts, settings):
                yield i, beside(found)
        elif job.against is not None:
            theirs = Path(job.against) / "distributions"

            def recorded(i: int) -> distributions.Distributions:
                return distributions.load(theirs / passages[i].file)

            for i, found in distributions.compare(self.model, texts, recorded, settings):
                yield i, beside(found)
        else:
            yield from _losses(self.model, texts, settings)

    @property
    def tokenizer(self) -> Any:
        return self._tokenizer

    @property
    def model(self) -> Any:
        return self._model

    @property
    def context(self) -> int | None:
        return self._context

    def check_rows(self, passages: Sequence[Passage], names: Sequence[str]) -> None:
        """Refuse ids that the embedding has no row for: what its configuration says before the
        weights are read, the matrix itself then.
        """
        rows = embedding_rows(self._config) if self._model is None else self._embedding_rows
        for passage in passages:
            check_ids(f"text {names[passage.text]}", passage.ids, rows, self._tokenizer)

    def described(self) -> dict[str, Any]:
        return {
            "parameters": self._weights.parameters,
            "trainable_parameters": self.trainable_parameters(),
            "trainable": self.trainable(),
            "repeated_parameters": self._weights.repeated_parameters,
            "architecture": self._model.config.model_type,
            "weights_bytes": weigh(self._model).held_bytes,
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "device": str(self._model.device),
            "tf32": self._tf32,
            "load_s": self._load_s,
            **self._stored,
            "adapter": self._adapter_facts,
            "notes": self._notes,
        }

    def peak_above_weights_bytes(self) -> int:
        """Return the peak above the weights."""
        return max(0, peak.reached_bytes() - self._held_bytes)

    def _prepare(self, model: Any, spans: Sequence[Span]) -> None:
        """Pack its layers. Raises SetupFailed for a model that knows what comes next: its losses
        would be none.
        """
        from sut.engine.prepared import Prepared

        self._prepared = Prepared(self._clock, model, spans, self._notes)
        self._prepared.for_scoring()


def _losses(model: Any, texts: Sequence[Any], settings: Any) -> Iterator[tuple[int, Columns]]:
    from sut.likelihood.scoring import token_scores

    for i, scores in token_scores(model, texts, settings):
        yield i, scores._asdict()


def beside(found: Any) -> Columns:
    """Return a part's columns. `kld_error` is the standard error of `kld`, which lies between
    `kld_low` and `kld_high` for certain.
    """
    return {
        "nll_nats": found.nll_variant,
        "correct": found.correct,
        "kld": found.kld.astype(np.float32),
        "kld_low": found.kld_low.astype(np.float32),
        "kld_high": found.kld_high.astype(np.float32),
        "kld_error": found.kld_error.astype(np.float32),
        "same_top": found.same_top,
        "nll_reference": found.nll_reference,
        "p_reference": np.exp(-found.nll_reference),
        "p": np.exp(-found.nll_variant),
    }
