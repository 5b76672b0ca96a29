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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from harness.kernel import files
from harness.kernel.errors import HarnessError, RunBroke, first_line
from harness.kernel.foreign.tables import read_table
from harness.kernel.process import children
from harness.kernel.protocols import Clock
from sut.likelihood.job import Columns, Job, check, check_resumed, unlike
from sut.likelihood.local import Local
from sut.likelihood.passages import PLAIN, Passage, Tokens, fitting, passages, start_ids, tokenise
from sut.likelihood.served import Served
from sut.likelihood.writing import Writer
from sut.model import faults
from sut.prompts import encode as prompts
from sut.prompts.tokenizer import fingerprint

Event = dict[str, Any]


class Scorer(Protocol):
    """Whose losses are measured: a model that is loaded here (`local`), or one behind an address
    (`served`).
    """

    @property
    def clock(self) -> Clock: ...

    @property
    def tokenizer(self) -> Any: ...

    @property
    def context(self) -> int | None:
        """Return the most tokens of a window; None if nothing limits it."""

    def open(self) -> None:
        """Load the tokenizer, and ask how long a window may be."""

    def check_rows(self, passages: Sequence[Passage], names: Sequence[str]) -> None: ...

    def prepare(self, passages: Sequence[Passage], context: int | None) -> None:
        """Get ready to score these."""

    def described(self) -> Event: ...

    @property
    def writers(self) -> int:
        """Return how many threads write files while it works."""

    def columns(
        self,
        job: Job,
        passages: Sequence[Passage],
        texts: Sequence[Any],
        settings: Any,
        writer: Writer,
    ) -> Iterator[tuple[int, Columns]]:
        """Yield (index of a passage, its columns) as they are scored; `writer` has been asked to
        keep its distributions.
        """

    def peak_above_weights_bytes(self) -> int | None: ...


def main() -> None:
    children.bind()
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
    kind: Callable[[Mapping[str, Any]], Scorer] = Served if "url" in job.model else Local
    model = kind(job.model)
    model.open()
    rows = read_table(Path(job.texts)).to_pylist()
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
    longest = max(p.input_length for p in made)
    if no_divergence := unlike(job, model.tokenizer, ids_sha256, context, longest):
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
    model.prepare(missing, context)
    model.check_rows(missing, names)
    yield {"event": "loaded", **model.described()}
    sizes: list[list[int]] = []
    yield from _scored(job, model, tokens, missing, context, names, sizes)
    yield {
        "event": "done",
        "peak_above_weights_bytes": model.peak_above_weights_bytes(),
        **_batches(sizes),
    }


def _batches(sizes: Sequence[Sequence[int]]) -> Event:
    """Return how many tokens a batch held, and a note where memory ran out with more; `sizes` of
    each group of texts, in order.
    """
    heard = [own for own in sizes if own]
    notes = [
        f"memory ran out with batches of {own[0]:,} tokens: they hold {own[-1]:,}"
        for own in heard
        if own[-1] < own[0]
    ]
    return {"batch_tokens": min((own[-1] for own in heard), default=None), "notes": notes}


# ---- passages to parts


def _scored(
    job: Job,
    model: Scorer,
    tokens: Tokens,
    passages: Sequence[Passage],
    context: int | None,
    names: Sequence[str],
    sizes: list[list[int]],
) -> Iterator[Event]:
    """Yield an event for each passage whose part is on the disk. The plain texts come first.
    `sizes` gains, for each group, how many tokens a batch held, one after the other.
    """
    from sut.likelihood.scoring import Settings, Text

    done, first_ns = 0, model.clock.now_ns()
    start_ns = first_ns
    with faults.running("scoring the texts"), Writer(model.writers) as writer:
        for plain in (True, False):
            group = [p for p in passages if (p.condition == PLAIN) == plain]
            sizes.append([])
            settings = Settings(context, job.stride, job.batch_tokens, sizes[-1].append)
            texts = [Text(p.ids, p.first, names[p.text]) for p in group]
            beside = job if plain else replace(job, record=False, against=None, other=None)
            for i, columns in model.columns(beside, group, texts, settings, writer):
                passage, end_ns = group[i], model.clock.now_ns()
                done += len(passage.ids) - passage.first
                seconds = (end_ns - first_ns) / 1e9
                event = {"event": "scored", "text": passage.text, "tokens": done}
                part = passage, tokens, columns, (end_ns - start_ns) / 1e9
                path = job.parts / passage.file
                writer.soon(save_part, path, *part, event=event | {"seconds": seconds})
                start_ns = end_ns
                yield from writer.told()
        yield from writer.told(rest=True)


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
