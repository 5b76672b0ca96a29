"""How surprised is a model by each token of these texts? `python -m sut.likelihood.worker
JOB.json`: one model in one variant.

Which tokens are scored and given what stands in `sut.likelihood.passages`.

Each passage ends as one file under parts/, whole or not at all, and a passage that has its file is
not computed again. stdout says how far the work is, one JSON object per line; what libraries print
goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from harness.kernel import files
from harness.kernel.clock import RealClock
from harness.kernel.errors import HarnessError, RunBroke, first_line
from sut.engine.trial import Span
from sut.likelihood.job import Job, check, check_resumed, unlike
from sut.likelihood.passages import PLAIN, Passage, Tokens, fitting, passages, start_ids, tokenise
from sut.local_model import LocalModel
from sut.model import faults, peak
from sut.model.weights import weigh
from sut.prompts import encode as prompts
from sut.prompts.tokenizer import fingerprint
from sut.prompts.vocabulary import check_ids, embedding_rows

Event = dict[str, Any]
Columns = dict[str, NDArray[Any]]  # one entry per scored token of a passage


def main() -> None:
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)  # a library that prints must not speak for us
        job = Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
        try:
            for event in events(job):
                print(json.dumps(event), file=out, flush=True)
        except BrokenPipeError:  # whoever listened is gone, and the parts are safe
            os._exit(1)


def events(job: Job) -> Iterator[Event]:
    """Yield the events of `score`; an error is the last one."""
    try:
        yield from score(job)
    except HarnessError as error:
        yield {"event": "error", "error": type(error).__name__, "facts": error.facts}
    except BrokenPipeError:
        raise
    except Exception as error:  # of any library: a sentence for the user, the rest for the log
        traceback.print_exc()
        found = f"{type(error).__name__}: {first_line(error)}"
        facts = ("scoring the texts", found, "", "See worker.log.")
        yield {"event": "error", "error": RunBroke.__name__, "facts": facts}


def score(job: Job) -> Iterator[Event]:
    """Check, load, score, write; an event for each step and each finished passage. Raises
    HarnessError.
    """
    import pyarrow.parquet as pq

    model = _Model(job.model)
    model.open()
    rows = pq.ParquetFile(job.texts).read().to_pylist()  # read_table would import pandas first
    tokens = tokenise(model.tokenizer, rows)
    start = start_ids(model.tokenizer, job.bos)
    made = passages(model.tokenizer, start, tokens, rows, job.conditions)
    context = job.window or model.context
    names = [row["id"] for row in rows]
    made, unfit = fitting(made, context, names)
    check(job, model.context, made, unfit, names, context)
    model.check_rows(made, names)
    ids_sha256 = prompts.fingerprint({p.text: p.ids for p in made if p.condition == PLAIN})
    check_resumed(job, ids_sha256)
    if no_divergence := unlike(job, model.tokenizer, ids_sha256):
        job = replace(job, against=None, other=None)
    for folder in (job.parts, job.distributions) if job.record else (job.parts,):
        files.subfolder(folder.parent, folder.name)
    missing = [p for p in made if not job.has(p)]
    yield {
        "event": "checked",
        "tokenizer": fingerprint(model.tokenizer),
        "ids_sha256": ids_sha256,
        "context": context,
        "bos": "added" if start else "none",
        "chat_template": model.tokenizer.chat_template is not None,
        "excluded": tokens.excluded,
        "left_out_of_conditions": unfit,
        "in_windows": sum(context is not None and p.input_length > context for p in made),
        "no_divergence": no_divergence,
        "passages": len(made),
        "kept": len(made) - len(missing),
        "tokens": sum(len(p.ids) - p.first for p in missing),
    }
    if not missing:
        return
    yield {"event": "loading"}
    longest = max(p.input_length for p in missing)
    model.read_weights(longest if context is None else min(context, longest))
    model.check_rows(missing, names)
    yield {"event": "loaded", **model.described()}
    yield from _scored(job, model, tokens, missing, context, names)
    yield {"event": "done", "peak_above_weights_bytes": model.peak_above_weights_bytes()}


# ---- the model


class _Model(LocalModel):
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


# ---- passages to parts


def _scored(
    job: Job,
    model: _Model,
    tokens: Tokens,
    passages: Sequence[Passage],
    context: int | None,
    names: Sequence[str],
) -> Iterator[Event]:
    """Yield an event for each passage whose part is on the disk. The plain texts come first."""
    from sut.likelihood.scoring import Settings, Text

    settings = Settings(context, job.stride, job.batch_tokens)
    done, first_ns = 0, model.clock.now_ns()
    start_ns = first_ns
    with faults.running("scoring the texts"):
        for plain in (True, False):
            group = [p for p in passages if (p.condition == PLAIN) == plain]
            texts = [Text(p.ids, p.first, names[p.text]) for p in group]
            scored = _losses(model.model, texts, settings)
            if plain:
                scored = _columns(job, model, group, texts, settings)
            for i, columns in scored:
                passage, end_ns = group[i], model.clock.now_ns()
                path = job.parts / passage.file
                save_part(path, passage, tokens, columns, (end_ns - start_ns) / 1e9)
                start_ns, done = end_ns, done + len(passage.ids) - passage.first
                seconds = (end_ns - first_ns) / 1e9
                yield {"event": "scored", "text": passage.text, "tokens": done, "seconds": seconds}


def _columns(
    job: Job, model: _Model, passages: Sequence[Passage], texts: Sequence[Any], settings: Any
) -> Iterator[tuple[int, Columns]]:
    """Yield the columns of the plain texts: with their distributions kept, beside the reference's,
    or neither.
    """
    from sut.likelihood import distributions

    if job.record:
        for i, kept in distributions.record(model.model, texts, settings, top_k=job.top_k):
            distributions.save(job.distributions / passages[i].file, kept)
            yield i, {"nll_nats": kept.nll_nats, "correct": kept.top == kept.targets}
    elif job.other is not None:
        reference = _Model(job.other)
        reference.open()
        reference.read_weights(max(len(text.ids) for text in texts))
        model.start_counting()
        for i, found in distributions.exact(reference.model, model.model, texts, settings):
            yield i, _beside(found)
    elif job.against is not None:
        theirs = Path(job.against) / "distributions"

        def recorded(i: int) -> distributions.Distributions:
            return distributions.load(theirs / passages[i].file)

        for i, found in distributions.compare(model.model, texts, recorded, settings):
            yield i, _beside(found)
    else:
        yield from _losses(model.model, texts, settings)


def _losses(model: Any, texts: Sequence[Any], settings: Any) -> Iterator[tuple[int, Columns]]:
    from sut.likelihood.scoring import token_scores

    for i, scores in token_scores(model, texts, settings):
        yield i, scores._asdict()


def _beside(found: Any) -> Columns:
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


def save_part(
    path: Path, passage: Passage, tokens: Tokens, columns: Columns, seconds: float
) -> None:
    """Save the columns beside what they are about: position, token and place of each, and the
    character where they begin.
    """
    own = slice(passage.position, None)
    offsets = np.asarray(tokens.offsets[passage.text], np.int32)
    with files.replacing(path) as file:
        np.savez(
            file,
            position=np.arange(passage.position, len(offsets), dtype=np.int32),
            token_id=np.asarray(tokens.ids[passage.text][own], np.int32),
            start=offsets[own, 0],
            end=offsets[own, 1],
            begins_at=np.int32(offsets[passage.position - 1, 1] if passage.position else 0),
            seconds=np.float64(seconds),
            **cast(dict[str, Any], columns),
        )


if __name__ == "__main__":
    main()
