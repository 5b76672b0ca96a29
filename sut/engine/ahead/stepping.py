"""Does the engine step ahead of its host? On a CUDA device, where rows of one cache are decoded,
and where that gives the tokens that steps in turn give.

It is tried at load: a few prompts, served in turn and ahead over the same runner, with rows that
end at different lengths. Both compute batches of the same rows, so the tokens are the same ones, or
something is wrong; then steps stay in turn, and a note says why. On a CPU there is nobody to be
ahead of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from harness.kernel.errors import RunBroke, first_line
from harness.kernel.types import Output
from sut.engine.agreement import REFUSALS
from sut.engine.ahead.engine import AheadEngine
from sut.engine.ahead.launcher import Launcher
from sut.engine.batching import Engine, Request
from sut.engine.trial import short_trial

_NEW_TOKENS = (4, 7, 10)
_IN_TURN = "its steps wait for one another"


class Stepping(NamedTuple):
    """The engine and what it runs on; `note` says why it is not ahead where it could have been."""

    engine: type[Engine]
    runner: Any
    note: str = ""

    @property
    def name(self) -> str:
        return "ahead" if issubclass(self.engine, AheadEngine) else "in turn"


def tried(engine: type[Engine], runner: Any, model: Any) -> Stepping:
    """Return how the runner of a loaded model is stepped."""
    if engine is not Engine or model.device.type != "cuda":
        return Stepping(engine, runner)
    prompts = [list(prompt) for prompt in short_trial(model).prompts]
    return ahead_if_same(runner, model.device, prompts)


def ahead_if_same(runner: Any, device: Any, prompts: Sequence[Sequence[int]]) -> Stepping:
    """Try it, whatever the device."""
    in_turn = Stepping(Engine, runner)
    requests = _that_fit(prompts, runner)
    if not requests:
        return in_turn
    try:
        ahead = Stepping(AheadEngine, Launcher(runner, device))
        is_same = _answers(ahead, requests) == _answers(in_turn, requests)
    except (*REFUSALS, RunBroke) as error:
        found = f"{type(error).__name__}: {first_line(error)}"
        return in_turn._replace(note=f"{_IN_TURN}: stepping ahead failed ({found})")
    finally:
        runner.most_tokens = 0  # of the run, not of this
    if not is_same:
        return in_turn._replace(note=f"{_IN_TURN}: stepping ahead gives other tokens")
    return ahead


def _that_fit(prompts: Sequence[Sequence[int]], runner: Any) -> list[tuple[Sequence[int], int]]:
    """Return prompts and most new tokens: as many as join together, within a row's length."""
    pairs = zip(prompts[: runner.max_rows], _NEW_TOKENS, strict=False)
    return [(prompt, new) for prompt, new in pairs if len(prompt) + new <= runner.max_len]


class _Answers(dict[int, list[int]]):
    """A sink that keeps what was told."""

    def first_token(self, sample_id: int, token: int) -> None:
        self[sample_id] = [token]

    def tokens(self, sample_id: int, ids: Sequence[int]) -> None:
        self[sample_id] += ids

    def complete(self, output: Output) -> None:
        """Hear nothing new: the tokens have been told."""

    def text(self, sample_id: int) -> None:
        """Hear nothing: the engine tells ids."""

    def fail(self, sample_id: int, reason: str) -> None:
        """Hear nothing: the engine raises."""


def _answers(by: Stepping, requests: Sequence[tuple[Sequence[int], int]]) -> dict[int, list[int]]:
    heard = _Answers()
    engine = by.engine(by.runner, heard, ())
    for i, (prompt, new_tokens) in enumerate(requests):
        engine.add(Request(i, prompt, new_tokens))
    while engine.busy:
        engine.step()
    return heard
