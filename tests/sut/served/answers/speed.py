"""`python -m tests.sut.served.answers.speed`: how long does an event take to read, beside its JSON
alone?
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, NamedTuple

from sut.served.answers.chunks import chunk as decode
from sut.served.answers.read import Options, answer
from tests.sut.served.answers.wire import chunk, event, exchange, usage

_EVENTS = 256


class Speed(NamedTuple):
    """Microseconds an event: of 230 bytes, one chunk a read, with an id."""

    answer_us: float
    json_us: float


def measured(times: int = 40) -> Speed:
    """Return the quickest of so many rounds: whatever else the machine does makes them slower."""
    chunks = [chunk(f" w{i}", token_ids=[i], logprobs=None) for i in range(_EVENTS)]
    names = {"model": "some-organisation/a-model-of-8B-Instruct", "system_fingerprint": "fp-0123"}
    reads = [event(each | names) for each in (*chunks, chunk("", "length"), usage(_EVENTS))]
    whole = exchange([*reads, event("[DONE]")])
    bodies = [data.removeprefix(b"data: ") for data in reads]
    return Speed(
        _quickest(lambda: answer(whole, Options()), times) / len(reads),
        _quickest(lambda: [decode(body) for body in bodies], times) / len(reads),
    )


def _quickest(work: Callable[[], Any], times: int) -> float:
    best_ns = 1 << 62
    for _ in range(times):
        start_ns = perf_counter_ns()
        work()
        best_ns = min(best_ns, perf_counter_ns() - start_ns)
    return best_ns / 1e3


if __name__ == "__main__":
    found = measured(400)
    print(f"{found.answer_us:.2f} us an event, of which {found.json_us:.2f} for its JSON")
