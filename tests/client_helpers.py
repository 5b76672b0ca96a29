"""A pool of workers that asks the golden server, and what it heard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from harness.kernel.answers import Answer, Window
from harness.kernel.clock import RealClock
from harness.kernel.types import At, Query, QuerySample
from sut.served.address import address
from sut.served.answers.read import Options, answer
from sut.served.client.heads import request
from sut.served.client.pool import Limits, Pool

READ = partial(answer, options=Options())
PATIENCE_NS = 30_000_000_000


class Heard:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, int]] = []
        self.answers: dict[int, Answer] = {}
        self.is_over, self.reason = False, ""

    def sent(self, place: int, due_ns: int, issued_ns: int) -> None:
        self.rows.append((place, due_ns, issued_ns))

    def answered(self, answer: Answer) -> None:
        assert answer.sample_id not in self.answers
        self.answers[answer.sample_id] = answer

    def ended(self, reason: str = "") -> None:
        self.is_over, self.reason = True, reason

    @property
    def failures(self) -> dict[int, str]:
        return {i: answer.failure for i, answer in sorted(self.answers.items()) if answer.failure}


def asked(where, *, number: int = 1, tokens: int = 4, **fields: object) -> dict[int, bytes]:
    """Return the requests of so many samples."""
    made = {}
    for index in range(number):
        words = {"prompt": f"question {index}", "stream": True, "max_tokens": tokens}
        body = json.dumps({**words, "return_token_ids": True, **fields}).encode()
        made[index] = request(where, "/completions", body)
    return made


@contextmanager
def pooled(golden, workers: int = 1, connections: int = 4, **options: object) -> Iterator[Pool]:
    """Yield a pool that is ready for samples with the indices 0 to 7."""
    limits = Limits(**{key: options.pop(key) for key in Limits._fields if key in options})
    where = address(golden.url, **{k: options.pop(k) for k in ("ca_file",) if k in options})
    clock = RealClock()
    pool = Pool(clock, where, READ, workers, limits)
    pool.clock = clock
    try:
        pool.prepare(asked(where, number=8, **options))
        pool.warm(connections)
        yield pool
    finally:
        pool.close()
        clock.close()


def timed(number: int, gap_ms: float = 2.0) -> list[Query]:
    """Plan so many queries with a sample each, at equal distances."""
    return [Query(i, (QuerySample(i, i % 8),), At(int(i * gap_ms * 1e6))) for i in range(number)]


def dispatched(pool: Pool, plan: list[Query], window: Window = Window()) -> Heard:  # noqa: B008
    """Let the pool follow a plan to its end."""
    heard = Heard()
    heard.start_ns = pool.dispatch(plan, window, heard)
    finish(pool, heard)
    return heard


def finish(pool: Pool, heard: Heard) -> None:
    until_ns = pool.clock.now_ns() + PATIENCE_NS
    while not heard.is_over:
        assert pool.clock.wait(until_ns) < until_ns, "the plan has no end"
