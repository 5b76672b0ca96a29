"""How surprised is a model by each token of these texts? `python -m sut.score_texts JOB.json`: one
model in one variant.

A passage is a text under a condition: what stands before it, and from where on its tokens are
scored. A text is tokenised once and a condition only puts ids in front, so the scored tokens are
the same under each:

    plain              [start token] text                      the whole text is scored
    vague, specific    instruction (chat template, if any) text      the same tokens as plain
    after k sentences  [start token] its first k sentences, the rest      what follows the third
                                                                          sentence is scored

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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from harness.clock import RealClock
from harness.errors import BadInput, HarnessError, RunBroke, SetupFailed
from sut import faults, peak
from sut.local_model import LocalModel, fingerprint
from sut.weights import weigh

PLAIN, SENTENCES = (
    "plain",
    ("after 0 sentences", "after 1 sentence", "after 2 sentences", "after 3 sentences"),
)
INSTRUCTIONS = ("vague", "specific", "paraphrased")
BOS = ("auto", "always", "never")
_LEAST_TOKENS = 2
_GAP = "\n\n"  # between an instruction and the text, for a model without a chat template
Event = dict[str, Any]
Columns = dict[str, NDArray[Any]]  # one entry per scored token of a passage


@dataclass(frozen=True)
class Job:
    """What the process is told. `texts` is a texts.parquet, `folder` the subject's; `model` are
    options of LocalModel.

    With `record` the distributions are kept, with `against` (the reference's folder) they are
    compared; `other` are the options of the reference itself, for the exact comparison of two
    models in one process.
    """

    texts: str
    folder: str
    model: dict[str, Any]
    bos: str = "auto"
    window: int | None = None
    stride: int | None = None
    batch_tokens: int | None = None
    conditions: tuple[str, ...] = ()
    top_k: int | None = None
    record: bool = False
    against: str | None = None
    other: dict[str, Any] | None = None

    @property
    def parts(self) -> Path:
        return Path(self.folder) / "parts"

    @property
    def distributions(self) -> Path:
        return Path(self.folder) / "distributions"

    def has(self, passage: Passage) -> bool:
        """Its part is there, and so is what else was to be kept of it."""
        kept = (
            not (self.record and passage.condition == PLAIN)
            or (self.distributions / passage.file).exists()
        )
        return kept and (self.parts / passage.file).exists()


class Passage(NamedTuple):
    """`ids` go into the model and are scored from `first` on, which is the text's own token number
    `position`.
    """

    text: int
    condition: str
    ids: list[int]
    first: int
    position: int

    @property
    def file(self) -> str:
        return f"{self.text:06d}-{self.condition.replace(' ', '-')}.npz"


@dataclass
class Tokens:
    """Of all texts, and what was left out and why."""

    ids: list[list[int]] = field(default_factory=list)
    offsets: list[list[tuple[int, int]]] = field(default_factory=list)
    excluded: list[dict[str, str]] = field(default_factory=list)

    @property
    def left_out(self) -> set[str]:
        return {one["text"] for one in self.excluded}


def main() -> None:
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)  # a library that prints must not speak for us
        job = Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
        try:
            for event in told(job):
                print(json.dumps(event), file=out, flush=True)
        except BrokenPipeError:  # whoever listened is gone, and the parts are safe
            os._exit(1)


def told(job: Job) -> Iterator[Event]:
    """What `score` says; an error is the last event."""
    try:
        yield from score(job)
    except HarnessError as error:
        yield {"event": "error", "error": type(error).__name__, "facts": error.facts}
    except BrokenPipeError:
        raise
    except (
        Exception
    ) as error:  # whatever a library raises: a sentence for the user, the rest for the log
        traceback.print_exc()
        facts = (
            "scoring the texts",
            f"{type(error).__name__}: {faults.first_line(error)}",
            "",
            "See worker.log.",
        )
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
    passages = [
        p
        for i, row in enumerate(rows)
        for p in _passages(model.tokenizer, job, start, tokens, i, row)
    ]
    context = min(model.context, job.window or model.context)
    _check(job, model, passages, rows, context)
    if unlike := _unlike(job, model.tokenizer):
        job = replace(job, against=None, other=None)
    for folder in (job.parts, job.distributions) if job.record else (job.parts,):
        folder.mkdir(parents=True, exist_ok=True)
    missing = [p for p in passages if not job.has(p)]
    yield {
        "event": "checked",
        "tokenizer": fingerprint(model.tokenizer),
        "context": context,
        "bos": "added" if start else "none",
        "chat_template": model.tokenizer.chat_template is not None,
        "excluded": tokens.excluded,
        "no_divergence": unlike,
        "passages": len(passages),
        "kept": len(passages) - len(missing),
        "tokens": sum(len(p.ids) - p.first for p in missing),
    }
    if not missing:
        return
    yield {"event": "loading"}
    model.read_weights()
    yield {"event": "loaded", **model.described()}
    yield from _scored(job, model, tokens, missing, context, [row["id"] for row in rows])
    yield {"event": "done", "peak_bytes": model.peak_bytes()}


# ---- texts to passages


def tokenise(tokenizer: Any, rows: Sequence[Mapping[str, Any]]) -> Tokens:
    """Ids and character offsets, without special tokens. A text with fewer than two tokens has
    nothing to predict.
    """
    if not tokenizer.is_fast:
        found = f"{type(tokenizer).__name__} does not say where its tokens stand"
        raise SetupFailed(
            "tokenising the texts",
            found,
            "expected a fast tokenizer",
            "Convert it to a tokenizer.json.",
        )
    tokens = Tokens()
    for row in rows:
        made = tokenizer(
            row["text"], add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        tokens.ids.append(made["input_ids"])
        tokens.offsets.append(made["offset_mapping"])
        if not row["text"].strip():
            tokens.excluded.append({"text": row["id"], "reason": "it is empty"})
        elif len(made["input_ids"]) < _LEAST_TOKENS:
            count = "one token" if made["input_ids"] else "no token"
            tokens.excluded.append({"text": row["id"], "reason": f"it has {count}"})
    return tokens


def start_ids(tokenizer: Any, bos: str) -> list[int]:
    """auto: what the tokenizer itself puts before a text. always: its start token, else the end
    token, as lm-eval does.
    """
    own = tokenizer.bos_token_id
    if bos == "never":
        return []
    if bos == "always":
        token = own if own is not None else tokenizer.eos_token_id
        return [token]
    ids = tokenizer("a")["input_ids"]
    return [own] if own is not None and ids[:1] == [own] else []


def _passages(
    tokenizer: Any, job: Job, start: list[int], tokens: Tokens, i: int, row: Mapping[str, Any]
) -> Iterator[Passage]:
    ids, offsets = tokens.ids[i], tokens.offsets[i]
    if row["id"] in tokens.left_out:
        return
    unpredicted = 0 if start else 1  # nothing predicts the first token, under no condition
    yield Passage(i, PLAIN, [*start, *ids], len(start) + unpredicted, unpredicted)
    if "instructions" in job.conditions:
        for name in INSTRUCTIONS:
            if row.get(name):
                before = instruction_ids(tokenizer, start, row[name])
                yield Passage(i, name, [*before, *ids], len(before) + unpredicted, unpredicted)
    if "sentences" in job.conditions and row["sentence_ends"]:
        cuts = [_first_after(offsets, end) for end in (0, *row["sentence_ends"])]
        rest = cuts[-1]
        if rest + unpredicted < len(ids):
            for name, cut in zip(SENTENCES, cuts, strict=True):
                before = [*start, *ids[:cut]]
                yield Passage(
                    i, name, [*before, *ids[rest:]], len(before) + unpredicted, rest + unpredicted
                )


def instruction_ids(tokenizer: Any, start: list[int], instruction: str) -> list[int]:
    """The user's turn and the beginning of the assistant's, or just the words and a blank line."""
    if tokenizer.chat_template is None:
        ids: list[int] = tokenizer(instruction + _GAP, add_special_tokens=False)["input_ids"]
        return [*start, *ids]
    turns = [{"role": "user", "content": instruction}]
    text = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _first_after(offsets: Sequence[tuple[int, int]], end: int) -> int:
    """The first token that begins at this character or later."""
    return (
        next((k for k, (begin, _) in enumerate(offsets) if begin >= end), len(offsets))
        if end
        else 0
    )


def _check(
    job: Job,
    model: _Model,
    passages: Sequence[Passage],
    rows: Sequence[Mapping[str, Any]],
    context: int,
) -> None:
    """What cannot be scored is said before the weights are read."""
    if job.window is not None and job.window > model.context:
        found = f"the model's context is {model.context} tokens"
        raise BadInput(
            f"--window {job.window}", found, "expected at most as many", "Lower it or leave it out."
        )
    if job.stride is not None and job.stride > context:
        raise BadInput(
            f"--stride {job.stride}",
            f"the window is {context} tokens",
            "expected at most as many",
            "Lower it.",
        )
    if not passages:
        raise BadInput(
            "the texts",
            "none has two tokens or more",
            "expected at least one",
            "See --text-column.",
        )
    longest = max(passages, key=lambda p: len(p.ids))
    if (
        job.stride is None and len(longest.ids) - 1 > context
    ):  # nobody needs the last token as input
        under = "" if longest.condition == PLAIN else f", {longest.condition},"
        raise BadInput(
            f"text {rows[longest.text]['id']}{under}",
            f"it has {len(longest.ids)} tokens",
            f"the context takes {context}",
            f"Pass --stride {max(1, context // 2)} to score long texts in windows, or choose"
            " shorter texts.",
        )


def _unlike(job: Job, tokenizer: Any) -> str:
    """Why the distributions cannot be compared with the reference's; empty if they can."""
    if job.against is None:
        return ""
    theirs, own = _row_of(job.against)["tokenizer"], fingerprint(tokenizer)
    if theirs == own:
        return ""
    return (
        f"its tokenizer ({own}) is not the reference's ({theirs}): there are no distributions over"
        " the same tokens"
    )


def _row_of(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(folder) / "subject.json").read_text(encoding="utf-8"))
    return found


# ---- the model


class _Model(LocalModel):
    """The loading of a local model, without what only answering needs."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(RealClock(), **options)
        self.clock = self._clock

    def open(self) -> None:
        self._check_variant()
        self._load_tokenizer()

    def read_weights(self) -> None:
        self._load_model()
        self.start_counting()

    def start_counting(self) -> None:
        """What is in memory now is not what scoring takes."""
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
    def context(self) -> int:
        return int(self._context)

    def described(self) -> dict[str, Any]:
        return {
            "parameters": self._weights.parameters,
            "weights_bytes": weigh(self._model).held_bytes,
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "device": str(self._model.device),
            "load_s": self._load_s,
            "adapter": self._adapter_facts,
            "notes": self._notes,
        }

    def peak_bytes(self) -> int:
        """Above the weights."""
        return max(0, peak.reached_bytes() - self._held_bytes)

    def _prepare(self, model: Any) -> None:
        self._pack(model)


# ---- passages to parts


def _scored(
    job: Job,
    model: _Model,
    tokens: Tokens,
    passages: Sequence[Passage],
    context: int,
    names: Sequence[str],
) -> Iterator[Event]:
    """An event for each passage whose part is safe on the disk. The plain texts come first."""
    from sut.scoring import Settings, Text

    settings = Settings(context, job.stride, job.batch_tokens)
    done, first_ns = 0, model.clock.now_ns()
    start_ns = first_ns
    with faults.running("scoring the texts"):
        for plain in (True, False):
            group = [p for p in passages if (p.condition == PLAIN) == plain]
            texts = [Text(p.ids, p.first, names[p.text]) for p in group]
            for i, columns in (
                _columns(job, model, group, texts, settings)
                if plain
                else _losses(model.model, texts, settings)
            ):
                end_ns = model.clock.now_ns()
                save_part(
                    job.parts / group[i].file, group[i], tokens, columns, (end_ns - start_ns) / 1e9
                )
                start_ns, done = end_ns, done + len(group[i].ids) - group[i].first
                seconds = (end_ns - first_ns) / 1e9
                yield {"event": "scored", "text": group[i].text, "tokens": done, "seconds": seconds}


def _columns(
    job: Job, model: _Model, passages: Sequence[Passage], texts: Sequence[Any], settings: Any
) -> Iterator[tuple[int, Columns]]:
    """Of the plain texts: with their distributions kept, beside the reference's, or neither."""
    from sut import distributions

    if job.record:
        for i, kept in distributions.record(model.model, texts, settings, top_k=job.top_k):
            distributions.save(job.distributions / passages[i].file, kept)
            yield i, {"nll_nats": kept.nll_nats, "correct": kept.top == kept.targets}
    elif job.other is not None:
        reference = _Model(job.other)
        reference.open()
        reference.read_weights()
        model.start_counting()
        for i, found in distributions.exact(reference.model, model.model, texts, settings):
            yield i, _beside(found)
    elif job.against is not None:
        theirs = Path(job.against) / "distributions"
        for i, found in distributions.compare(
            model.model, texts, lambda i: distributions.load(theirs / passages[i].file), settings
        ):
            yield i, _beside(found)
    else:
        yield from _losses(model.model, texts, settings)


def _losses(model: Any, texts: Sequence[Any], settings: Any) -> Iterator[tuple[int, Columns]]:
    from sut.scoring import token_scores

    for i, scores in token_scores(model, texts, settings):
        yield i, scores._asdict()


def _beside(found: Any) -> Columns:
    """`kld_error` is the standard error of `kld`, which lies between `kld_low` and `kld_high` for
    certain.
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
    """The columns beside what they are about: position, token and place of each, and the character
    where they begin.
    """
    own = slice(passage.position, None)
    offsets = np.asarray(tokens.offsets[passage.text], np.int32)
    scratch = path.with_suffix(".tmp")
    with scratch.open("wb") as file:
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
    scratch.replace(path)


if __name__ == "__main__":
    main()
