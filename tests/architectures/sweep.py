"""How is each architecture served, and are its answers its own?

Four prompts of 7 to about 75 tokens are served beside each other, as a run serves them. Each answer
is held against the plainest loop there is: the whole text through an unpacked model for every
token, one text at a time, in float64 where the model allows it. Not only tokens are compared:
every row of logits that a token was chosen from must be the loop's.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from harness.kernel.clock import RealClock
from harness.kernel.errors import HarnessError
from sut.engine.agreement import distances
from sut.engine.batching import Request
from sut.engine.prepared import Prepared
from sut.engine.trial import Span
from tests.architectures import tiny

LENGTHS = (7, 11, 30, 75)
ANSWERS = (24, 20, 16, 12)  # the first two begin within a window of 16 and cross it
NEAR = 1e-4  # 1 - cosine; float32 beside float64 is below 1e-9


class Row(NamedTuple):
    """What became of one architecture. `equal` of `LENGTHS` answers; `error` where it is refused
    or cannot be built.
    """

    name: str
    served: str = ""
    equal: int = 0
    worst: float = 0.0  # distance of two rows of logits
    distinct: int = 0  # tokens that the answers have
    note: str = ""
    error: str = ""
    kind: str = "served"  # "refused", "not built"


def look(name: str, max_rows: int = 8) -> Row:
    """Build, serve and compare one architecture."""
    try:
        model = tiny.model_of(name)
        prompts = _prompts(model)
        own = Loop(copy.deepcopy(model)).answers(prompts)
    except Exception as error:
        return Row(name, kind="not built", error=_words(error))
    try:
        answers, way, notes = _served(model, prompts, max_rows)
    except HarnessError as error:
        return Row(name, kind="refused", error=_words(error))
    except Exception as error:
        return Row(name, kind="crashed", error=_words(error))
    same = [ours.tokens == theirs.tokens for ours, theirs in zip(answers, own, strict=True)]
    return Row(
        name,
        served=way,
        equal=sum(same),
        worst=max(_apart(ours, theirs) for ours, theirs in zip(answers, own, strict=True)),
        distinct=len({token for answer in own for token in answer.tokens}),
        note="; ".join(notes),
    )


class Answer(NamedTuple):
    tokens: list[int]
    logits: list[torch.Tensor]  # (V,) each


class Loop:
    """The plainest loop, in float64 if the model runs in it."""

    def __init__(self, model: Any) -> None:
        self._model = model
        try:
            self._model = copy.deepcopy(model).double()
            self._next([5, 6, 7])
        except Exception:
            self._model = model

    def answers(self, prompts: Sequence[Sequence[int]]) -> list[Answer]:
        answers = []
        for prompt, count in zip(prompts, ANSWERS, strict=True):
            ids, rows = list(prompt), []
            for _ in range(count):
                rows.append(self._next(ids))
                ids.append(int(rows[-1].argmax()))
            answers.append(Answer(ids[len(prompt) :], rows))
        return answers

    @torch.inference_mode()
    def _next(self, ids: Sequence[int]) -> torch.Tensor:
        logits: torch.Tensor = self._model(input_ids=torch.tensor([list(ids)])).logits[0, -1]
        return logits.double()


class Recording:
    """A runner that keeps the logits of each row it chose from, and a sink that files them."""

    def __init__(self, runner: Any, count: int) -> None:
        self._runner, self.max_rows, self.max_len = runner, runner.max_rows, runner.max_len
        self.answers = [Answer([], []) for _ in range(count)]
        self.engine: Any = None

    def prefill(self, first_row: int, pieces: Any, start: int) -> list[int]:
        with torch.inference_mode():
            logits = self._runner.prefill_logits(first_row, pieces, start)
        self._rows = list(logits)
        return logits.argmax(-1).tolist()

    def decode(self, tokens: Any, positions: Any) -> list[int]:
        with torch.inference_mode():
            logits = self._runner.decode_logits(tokens, positions)
        done = getattr(self.engine, "_done", ())
        self._rows = [row for i, row in enumerate(logits) if i not in done]
        return logits.argmax(-1).tolist()

    def move(self, source: int, target: int) -> None:
        self._runner.move(source, target)

    def first_token(self, sample_id: int, token: int) -> None:
        self.tokens(sample_id, [token])

    def tokens(self, sample_id: int, ids: Sequence[int]) -> None:
        self.answers[sample_id].tokens.extend(ids)
        self.answers[sample_id].logits.append(self._rows.pop(0).double())

    def complete(self, output: Any) -> None:
        pass


def _served(
    model: Any, prompts: Sequence[list[int]], max_rows: int
) -> tuple[list[Answer], str, list[str]]:
    spans = [Span.of(len(p), n) for p, n in zip(prompts, ANSWERS, strict=True)]
    notes: list[str] = []
    prepared = Prepared(RealClock(), model, spans, notes)
    way = prepared.for_serving(pad_id=0, max_rows=max_rows)
    runner = Recording(way.runner(max_rows, max(span.total for span in spans)), len(prompts))
    engine = runner.engine = way.engine(runner, runner, ())
    for i, (prompt, count) in enumerate(zip(prompts, ANSWERS, strict=True)):
        engine.add(Request(i, prompt, count))
    while engine.busy:
        engine.step()
    return runner.answers, way.batching, notes


def _prompts(model: Any) -> list[list[int]]:
    torch.manual_seed(5)
    size = model.config.get_text_config(decoder=True).vocab_size
    return [torch.randint(4, size, (length,)).tolist() for length in LENGTHS]


def _apart(ours: Answer, theirs: Answer) -> float:
    """Return the largest distance as far as the tokens are the same."""
    same = 0
    while same < len(ours.tokens) and ours.tokens[:same] == theirs.tokens[:same]:
        same += 1
    rows = [torch.stack(answer.logits[:same]) for answer in (ours, theirs)]
    return float(distances(*rows).max())


def _words(error: Exception) -> str:
    found = (
        error.facts[1] if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
    )
    return found.strip().splitlines()[0][:200]
