"""The engine of a server, and the same engine called bare: `python -m tests.bench.serving_peer
MODEL VARIANT ROUNDS` prints tokens per second and the time to a first token, in turn.

bare      Engine.step in a loop, in this process: no process, no channel, no request of its own
child     `sut.serving.engine`: requests through the socket, a message for each step
drawn     the same at temperature 1 with top_p 0.9; logprobs: greedy with five of them a token

Greedy answers are compared. Who shares a step depends on when requests arrive, and rounding on
that, so a near tie may go either way: in bf16 now and then, in fp32 hardly ever.
"""

from __future__ import annotations

import json
import os
import select
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sut.border.threads import environment

REQUESTS, NEW_TOKENS, MAX_LEN = 64, 32, 256
ALONE = 15  # requests with nobody else there, for the first token
DRAWN = {"temperature": 1.0, "top_p": 0.9, "seed": 1}


class Kept:
    """A sink that keeps what it hears."""

    def __init__(self) -> None:
        self.ids: dict[int, list[int]] = {}

    def first_token(self, sample_id: int, token: int) -> None:
        self.ids[sample_id] = [token]

    def tokens(self, sample_id: int, ids: Sequence[int]) -> None:
        self.ids[sample_id] += ids

    def complete(self, output: object) -> None: ...


class Bare:
    def __init__(self, options: Any) -> None:
        from harness.kernel.clock import RealClock
        from sut.serving.model import ServedModel

        self.now_ns = RealClock.now_ns
        self._model = ServedModel(RealClock(), options)

    def answers(self, prompts: Sequence[Sequence[int]]) -> tuple[float, dict[int, list[int]]]:
        """Return tokens per second, and the answers."""
        kept, engine = self._engine(prompts)
        start_ns = self.now_ns()
        while engine.busy:
            engine.step()
        seconds = (self.now_ns() - start_ns) / 1e9
        return sum(map(len, kept.ids.values())) / seconds, kept.ids

    def first_token_ms(self, prompt: Sequence[int]) -> float:
        start_ns = self.now_ns()
        kept, engine = self._engine([prompt])
        while not kept.ids:
            engine.step()
        return (self.now_ns() - start_ns) / 1e6

    def _engine(self, prompts: Sequence[Sequence[int]]) -> tuple[Kept, Any]:
        from sut.engine.batching import Request

        kept = Kept()
        engine = self._model._way.engine(self._model._runner, kept, ())
        for i, prompt in enumerate(prompts):
            engine.add(Request(i, prompt, NEW_TOKENS))
        return kept, engine


class Child:
    def __init__(self, options: Any, log_file: Path) -> None:
        from harness.kernel.clock import RealClock
        from sut.serving.engine import Engine

        self.now_ns = RealClock.now_ns
        self.engine = Engine(options, log_file, environment())

    def answers(
        self, prompts: Sequence[Sequence[int]], **wanted: Any
    ) -> tuple[float, dict[int, list[int]]]:
        start_ns = self.now_ns()
        for i, prompt in enumerate(prompts):
            self._submit(i, prompt, **wanted)
        ids: dict[int, list[int]] = {}
        while self.engine.open_requests:
            for event in self._read():
                ids.setdefault(event.id, []).extend(getattr(event, "ids", ()))
        seconds = (self.now_ns() - start_ns) / 1e9
        return sum(map(len, ids.values())) / seconds, ids

    def first_token_ms(self, prompt: Sequence[int]) -> float:
        start_ns = self.now_ns()
        self._submit(0, prompt)
        while not self._read():
            pass
        spent_ns = self.now_ns() - start_ns
        self.engine.cancel(0)
        while self.engine.open_requests:
            self._read()
        return spent_ns / 1e6

    def _submit(self, i: int, prompt: Sequence[int], **wanted: Any) -> None:
        from sut.serving.messages import Request

        asked = {"max_tokens": NEW_TOKENS, "ignore_eos": True, **wanted}
        self.engine.submit(Request(id=i, prompt_ids=list(prompt), **asked))

    def _read(self) -> list[Any]:
        select.select([self.engine.fd], [], [])
        return self.engine.read()


def measured(model: str, variant: str, rounds: int) -> dict[str, Any]:
    from sut.model.find import resolve
    from sut.serving.messages import Options
    from tests.bench.questions import Questions

    path = resolve(model, lambda text: None).path
    prompts = Questions(Path(path)).equal(REQUESTS, NEW_TOKENS).prompts
    options = Options(path=path, variant=variant, max_len=MAX_LEN)
    with tempfile.TemporaryDirectory() as scratch:
        bare, child = Bare(options), Child(options, Path(scratch) / "engine.log")
        try:
            bare.answers(prompts[:8]), child.answers(prompts[:8])
            return _in_turn(bare, child, prompts, rounds)
        finally:
            child.engine.close()


def _in_turn(
    bare: Bare, child: Child, prompts: Sequence[Sequence[int]], rounds: int
) -> dict[str, Any]:
    rates: dict[str, list[float]] = {"bare": [], "child": [], "drawn": [], "logprobs": []}
    for _ in range(rounds):
        rate, expected = bare.answers(prompts)
        rates["bare"].append(rate)
        rate, found = child.answers(prompts)
        rates["child"].append(rate)
        same = shared(found, expected)
        rates["drawn"].append(child.answers(prompts, **DRAWN)[0])
        rates["logprobs"].append(child.answers(prompts, logprobs=5)[0])
    return {
        "tokens_per_s": {name: statistics.median(found) for name, found in rates.items()},
        "ratio": statistics.median(
            c / b for c, b in zip(rates["child"], rates["bare"], strict=True)
        ),
        "same": same,
        "ttft_ms": first_token_ms(bare, child, prompts),
    }


def first_token_ms(bare: Bare, other: Any, prompts: Sequence[Sequence[int]]) -> dict[str, float]:
    """Return the medians of both, and of how much later the other's comes, asked in turn."""
    pairs = [(bare.first_token_ms(p), other.first_token_ms(p)) for p in prompts[:ALONE]]
    return {
        "bare": statistics.median(b for b, _ in pairs),
        "other": statistics.median(o for _, o in pairs),
        "above": statistics.median(o - b for b, o in pairs),
    }


def shared(found: Mapping[int, list[int]], expected: Mapping[int, list[int]]) -> float:
    """Return the share of the answers that are the expected ones."""
    return sum(found[i] == ids for i, ids in expected.items()) / len(expected)


if __name__ == "__main__":
    os.environ.update(environment())
    print(json.dumps(measured(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
