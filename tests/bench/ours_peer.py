"""Our engine through its door: `python -m tests.bench.ours_peer MODEL VARIANT SLOTS`, one
LocalModel in this process.

All requests are issued at once; the engine decides who joins when. Tokenising (`load`) is not
timed, as in a run.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from harness.kernel.clock import FAR_FUTURE_NS, RealClock
from harness.kernel.types import At, Output, Query, QuerySample, Sample
from sut.local_model import LocalModel
from tests.bench.answering import Answer, Answers, Work, serve, timed


class Kept:
    """A sink that keeps the token ids and counts who is still waiting."""

    def __init__(self, requests: int) -> None:
        self.ids: list[list[int]] = [[] for _ in range(requests)]
        self.open = requests

    def first_token(self, sample_id: int, token: int) -> None:
        self.ids[sample_id].append(token)

    def tokens(self, sample_id: int, ids: Sequence[int]) -> None:
        self.ids[sample_id] += ids

    def complete(self, output: Output) -> None:
        self.open -= 1

    def fail(self, sample_id: int, reason: str) -> None:
        raise RuntimeError(f"request {sample_id}: {reason}")


def load(path: str, variant: str, slots: int) -> tuple[Answer, dict[str, Any]]:
    clock = RealClock()
    sut = LocalModel(clock, path=path, variant=variant, max_batch=slots)

    def answer(work: Work) -> Answers:
        requests = range(len(work.texts))
        sink = Kept(len(requests))
        sut.load(
            [Sample(i, work.texts[i], max_new_tokens=work.new_tokens[i]) for i in requests], sink
        )

        def run() -> list[list[int]]:
            sut.issue(Query(0, [QuerySample(i, i) for i in requests], At(0)))
            sut.flush()
            while sink.open:
                clock.wait(FAR_FUTURE_NS)
            return sink.ids

        return timed(run)

    return answer, {}


if __name__ == "__main__":
    serve(lambda: load(sys.argv[1], sys.argv[2], int(sys.argv[3])))
