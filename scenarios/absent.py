"""Why does no sample of a run have a TTFT or a TPOT, and what follows for their limits?

TPOT is the time between tokens. Where no answer has a second token there is no such time: the first
token is all of the answer, and TTFT judges it, so the limit of TPOT is SKIPPED (LoadGen counts such
answers as kept). So it is where every answer came whole: its 0 ms would be the way of a message,
not the speed of the system. A figure that exists and is not reported is another matter: nobody
knows whether the limit is kept, so it FAILs, with the two ways out: report it, or judge the whole
latency.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.kernel.log import RunLog
from harness.kernel.types import RunSettings, Status
from harness.kernel.words.endings import to_finish

_OR_WHOLE = "or judge the whole latency instead, with --target-latency"
FIRST = f"make the SUT report its first token as soon as it has it, {_OR_WHOLE}"
_COUNT = f"make the SUT report how many tokens an answer has, {_OR_WHOLE}"
_MORE = f"allow longer answers (--max-new-tokens) to judge TPOT, {_OR_WHOLE}"
_STREAM = f"make the SUT report each token as soon as it has it, to judge TPOT, {_OR_WHOLE}"
_ENDED = f"ask for longer answers to judge TPOT, {_OR_WHOLE}"


def withheld(name: str, log: RunLog) -> int:
    """Return how many completed answers have the figure and do not report what it takes: they may
    be over the limit.
    """
    if name == "latency":
        return 0
    without_first = log.completed & (log.first_ns < 0)
    if name == "ttft":
        return int(without_first.sum())
    return int((without_first & (log.tokens > 1)).sum())


class Absence(NamedTuple):
    """`status` of the limit of a figure that no sample has, what was seen, and what to do."""

    status: Status
    detail: str
    remedy: str


def absence(name: str, log: RunLog, settings: RunSettings) -> Absence:
    """Say why no sample has the figure `name` ("ttft", "tpot" or "latency")."""
    done = log.completed
    if name == "latency" or not done.any():
        todo = to_finish(log) or "see why no sample completed"
        return Absence("FAIL", "no sample has this measurement", todo)
    tokens = log.tokens[done]
    if name == "tpot" and not tokens.any():
        return Absence("FAIL", "the SUT does not say how many tokens its answers have", _COUNT)
    if name == "tpot" and not np.any(tokens > 1):
        why = "every answer ended with its first token"
        if settings.max_new_tokens == 1:
            return Absence("SKIPPED", "no answer has a second token: --max-new-tokens is 1", _MORE)
        return Absence("SKIPPED", f"no answer has a second token: {why}", _ENDED)
    if name == "tpot" and log.came_whole.any() and not withheld(name, log):
        why = "every answer came whole: there is no time between its tokens"
        return Absence("SKIPPED", why, _STREAM)
    return Absence("FAIL", "no answer reported its first token", FIRST)
