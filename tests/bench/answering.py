"""A peer of the generation benchmarks answers work over its own stdin and stdout, one line of JSON
each way.

Standard library only: peers with a virtual environment of their own import this, too. What a
library prints to stdout goes to stderr instead, so a peer imports its library in `load`. The first
line says that the model is loaded; the seconds are the peer's, without the channel.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TextIO


class Work(NamedTuple):
    """Request i asks `texts[i]` (token ids: `prompts[i]`, chat template included) for exactly
    `new_tokens[i]` tokens.
    """

    texts: Sequence[str]
    prompts: Sequence[Sequence[int]]
    new_tokens: Sequence[int]


class Answers(NamedTuple):
    """Token ids per request, and the seconds from the first request to the last token."""

    ids: list[list[int]]
    seconds: float


Answer = Callable[[Work], Answers]


def serve(load: Callable[[], tuple[Answer, dict[str, Any]]]) -> None:
    """Load, say the facts, then answer every line until stdin ends."""
    out = _own_stdout()
    answer, facts = load()
    print(json.dumps(facts), file=out, flush=True)
    for line in sys.stdin:
        work = Work(*json.loads(line))
        answers = answer(work)
        assert [len(ids) for ids in answers.ids] == list(work.new_tokens), (
            "every answer has the length that was asked for"
        )
        print(json.dumps(answers), file=out, flush=True)


def timed(answer: Callable[[], list[list[int]]]) -> Answers:
    start = time.perf_counter()
    ids = answer()
    return Answers(ids, time.perf_counter() - start)


def _own_stdout() -> TextIO:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return out
