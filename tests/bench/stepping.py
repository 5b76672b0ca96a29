"""What does the engine itself take for a step, where the model takes nothing? Steps in turn beside
steps ahead, of 1, 32 and 256 rows; and the launches of a step ahead beside the tensors of a step in
turn, which the host does while a GPU computes the step before.

Runners answer at once with tokens that end nothing. CPU time, so that others on the machine count
little; medians of rounds, both ways in turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import torch

from sut.engine.ahead.engine import AheadEngine
from sut.engine.ahead.launcher import Launcher
from sut.engine.ahead.pace import Pace
from sut.engine.batching import Engine, Request
from sut.engine.choice import Chooser
from tests.bench.rows import Row, compared

ROWS = (1, 32, 256)
STEPS = 400
VOCABULARY = 32


class Free:
    """Tokens at once, in both ways."""

    max_len = 10**9

    def __init__(self, rows: int) -> None:
        self.max_rows = rows
        self._tokens = [5] * rows

    def prefill(self, first_row: int, pieces: Any, start: int) -> list[int]:
        return self._tokens[: len(pieces)]

    def decode(self, tokens: Any, positions: Any) -> list[int]:
        return self._tokens[: len(tokens)]

    def launch_prefill(self, first_row: int, pieces: Any, start: int) -> Free:
        return self

    def launch(self, positions: Any) -> Free:
        return self

    def is_known(self) -> bool:
        return False

    def tokens(self) -> list[int]:
        return self._tokens

    def move(self, source: int, target: int) -> None:
        pass


class FreeLogits(Chooser):
    """Logits at once; what is made of them is not free."""

    max_len = 10**9

    def __init__(self, rows: int) -> None:
        self.max_rows = rows
        self._logits = torch.rand(rows, VOCABULARY)

    def prefill_logits(self, first_row: int, pieces: Any, start: int) -> torch.Tensor:
        return self._logits[: len(pieces)]

    def decode_logits(self, tokens: Any, positions: Any) -> torch.Tensor:
        ids, at = torch.tensor(tokens), torch.tensor(positions)
        return self.logits_at(ids, at, max(positions) + 1)

    def logits_at(self, ids: torch.Tensor, at: torch.Tensor, length: int) -> torch.Tensor:
        return self._logits[: len(ids)]

    def count_held(self, positions: Any) -> None:
        sum(positions)

    def move(self, source: int, target: int) -> None:
        pass


class AsOnADevice(Pace):
    """Ahead, though a CPU is never slower than itself."""

    def goes_ahead(self) -> bool:
        return True


class Deaf:
    """A sink that does nothing."""

    def first_token(self, sample_id: int, token: int) -> None:
        pass

    def tokens(self, sample_id: int, ids: Any) -> None:
        pass

    def complete(self, output: Any) -> None:
        pass

    text = fail = complete


def rows(rounds: int = 5) -> Iterator[Row | str]:
    kinds: dict[str, tuple[Callable[[int], Any], Callable[[int], Any]]] = {
        "the engine alone": (Free, Free),
        "with its tensors": (_launcher, FreeLogits),
    }
    for what, (of_ahead, in_turn) in kinds.items():
        for count in ROWS:
            found = [
                (step_us(AheadEngine, of_ahead(count)), step_us(Engine, in_turn(count)))
                for _ in range(rounds)
            ]
            ahead, turn = (median(column) for column in zip(*found, strict=True))
            name = f"stepping, {count} rows, us of CPU a step: {what}"
            yield compared(name, ahead, turn, ahead / turn, "", True, "{:,.1f}")
    yield "stepping: ours is ahead, the peer is in turn; a GPU computes meanwhile"


def step_us(engine_of: type[Engine], runner: Any) -> float:
    """Return the microseconds of CPU time of a decode step with all rows running."""
    engine = engine_of(runner, Deaf(), (), 10**9)  # type: ignore[arg-type]
    if isinstance(engine, AheadEngine):
        engine._pace = AsOnADevice()
    for i in range(runner.max_rows):
        engine.add(Request(i, [1], 10**6))
    for _ in range(5):
        engine.step()
    start = time.process_time()
    for _ in range(STEPS):
        engine.step()
    return (time.process_time() - start) / STEPS * 1e6


def _launcher(count: int) -> Launcher:
    return Launcher(FreeLogits(count), torch.device("cpu"))
