"""Where do tokens go that nobody has read yet? Into a buffer on the device, from which the next
step takes them; a copy comes to the host.

    newest      (R,) the newest token of each row
    positions   (R,) where it belongs

A steady step sends nothing to the device and brings one copy of its tokens back; nothing in it
waits (`tests/sut/engine/ahead/test_launcher.py` counts). Shapes: R rows, B running rows, V
vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from sut.engine.ahead.transfers import Coming, sent
from sut.engine.choice import most_likely


class Chosen(NamedTuple):
    """The next tokens (B,), NOT_FINITE where there is none; and what else the host shall know."""

    tokens: torch.Tensor
    told: tuple[torch.Tensor, ...] = ()


Choose = Callable[[torch.Tensor], Chosen]  # of logits (B, V); on the device, without waiting


def greedy(logits: torch.Tensor) -> Chosen:
    return Chosen(most_likely(logits))


class OnTheWay:
    """A launch whose tokens come to the host by themselves."""

    def __init__(self, chosen: Chosen) -> None:
        self._coming = Coming(chosen.tokens, *chosen.told)

    def is_known(self) -> bool:
        return self._coming.is_here()

    def tokens(self) -> list[int]:
        found: list[int] = self._coming.wait()[0].tolist()
        return found

    def told(self) -> tuple[torch.Tensor, ...]:
        """Wait for what was chosen beside the tokens."""
        return self._coming.wait()[1:]


class Launcher:
    """Launches the steps of a runner that takes its tokens from the device (`SlotRunner`)."""

    def __init__(self, runner: Any, device: torch.device) -> None:
        self.max_rows, self.max_len = runner.max_rows, runner.max_len
        self.packs = getattr(runner, "packs", False)  # prompts, into one pass
        self._runner, self._device = runner, device
        self._newest = torch.zeros(runner.max_rows, dtype=torch.int64, device=device)
        self._positions = torch.zeros_like(self._newest)
        self.prefill_logits, self.decode_logits = runner.prefill_logits, runner.decode_logits

    @torch.inference_mode()
    def launch_prefill(
        self,
        first_row: int,
        pieces: Sequence[Sequence[int]],
        start: int,
        choose: Choose = greedy,
    ) -> OnTheWay:
        """Only the first piece may have a start; those beside it begin at 0."""
        logits = self._runner.prefill_logits(first_row, pieces, start)
        rows = slice(first_row, first_row + len(pieces))
        ends = [start + len(pieces[0]), *map(len, pieces[1:])]
        self._positions[rows] = sent(ends, self._device, torch.int64)
        return self._choose(rows, logits, choose)

    @torch.inference_mode()
    def launch(self, positions: Sequence[int], choose: Choose = greedy) -> OnTheWay:
        rows = slice(0, len(positions))
        self._runner.count_held(positions)
        at = self._positions[rows]
        logits = self._runner.logits_at(self._newest[rows], at, max(positions) + 1)
        at += 1
        return self._choose(rows, logits, choose)

    @torch.inference_mode()
    def begin(self, tokens: Sequence[int], positions: Sequence[int]) -> None:
        """Say what the newest token of each row is, where the host has chosen them."""
        rows = slice(0, len(tokens))
        both = sent([tokens, positions], self._device, torch.int64)
        self._newest[rows], self._positions[rows] = both[0], both[1]

    @torch.inference_mode()
    def move(self, source: int, target: int) -> None:
        self._runner.move(source, target)
        for tensor in (self._newest, self._positions):
            tensor[target] = tensor[source]

    def _choose(self, rows: slice, logits: torch.Tensor, choose: Choose) -> OnTheWay:
        chosen = choose(logits)
        self._newest[rows] = chosen.tokens.clamp(min=0)  # a row without a next token feeds any
        return OnTheWay(chosen)
