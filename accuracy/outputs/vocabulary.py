"""Do the ids of an answer mean something by themselves? A SUT could send any ids in time, and find
out afterwards, when nobody measures, which text to make of them.

So it decodes some ids before the run, drawn at random, and again after it: they must mean the same
(`commit`, `broken`). Ids that were asked about could be avoided, but then they are missing among
those of the answers, where chance would put one in 16. And the tokens of an answer, decoded one by
one, must say the words of the answer: only letters and digits of ASCII are compared, since spaces
and pieces of other letters depend on the tokens beside them.

Tokens that say nothing at all are counted (`silent`): they pad an answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import SystemRandom
from typing import NamedTuple

import numpy as np

from harness.kernel.log import RunLog
from harness.kernel.types import Int32s, Int64s

Decode = Callable[[Sequence[Sequence[int]]], list[str] | None]
RANGE, COMMITTED = 32_768, 2_048  # ids asked about, out of how many: every vocabulary has these
SURELY = 1e-6  # the chance of blaming an honest SUT for avoiding them
ANSWERS = 1_000  # compared with their tokens, drawn at random
TOLERATED = 0.10  # the share of answers that a tokenizer's own rules may change
_AT_ONCE = 512  # outputs per call
_NO_LETTER = re.compile(r"[^A-Za-z0-9]+")


class Fault(NamedTuple):
    """What is wrong, and the sample that shows it."""

    sample_id: int
    words: str


class Vocabulary(NamedTuple):
    """What came out after the run. `committed` of the ids were asked about before it, `used` of
    these stand in answers; `silent` tokens say nothing, the last one of an answer left out.
    """

    faults: list[Fault]
    committed: int
    used: int
    silent: int


def commit(decode: Decode) -> dict[int, str]:
    """Let a SUT say what some ids mean, before the run; {} if it cannot decode."""
    drawn = SystemRandom().sample(range(RANGE), COMMITTED)
    return _meanings(decode, drawn) or {}


def check(
    log: RunLog, texts: Mapping[int, str], decode: Decode, before: Mapping[int, str]
) -> Vocabulary:
    """Hold the answers (`texts`, the SUT's decoding) against their tokens."""
    ids, counts = np.unique(log.token_ids, return_counts=True)
    after = _meanings(decode, [*ids.tolist(), *before]) or {}
    used = [token for token in ids.tolist() if token in before]
    faults = [*_changed(log, before, after), *_avoided(ids, len(used), len(before))]
    faults += _other_words(log, texts, after)
    return Vocabulary(faults, len(before), len(used), _silent(log, ids, counts, after))


def _meanings(decode: Decode, ids: Sequence[int]) -> dict[int, str] | None:
    """Return the text of each id alone; None if the SUT has no texts."""
    wanted = list(dict.fromkeys(ids))
    found: dict[int, str] = {}
    for first in range(0, len(wanted), _AT_ONCE):
        some = wanted[first : first + _AT_ONCE]
        texts = decode([[token] for token in some])
        if texts is None:
            return None
        found |= zip(some, texts, strict=True)
    return found


def _changed(log: RunLog, before: Mapping[int, str], after: Mapping[int, str]) -> Iterator[Fault]:
    """Find the samples with a token that meant something else before the run."""
    changed = [token for token, text in before.items() if after.get(token) != text]
    if not changed:
        return
    at = np.flatnonzero(np.isin(log.token_ids, changed))
    owners = np.searchsorted(log.token_start, at, side="right") - 1
    for sample, k in {int(i): int(k) for i, k in zip(owners[::-1], at[::-1], strict=True)}.items():
        token = int(log.token_ids[k])
        was, now = before[token], after.get(token, "")
        yield Fault(sample, f"token {token} meant {was!r} before the run and {now!r} after it")
    if not len(at):
        token = changed[0]
        was, now = before[token], after.get(token, "")
        yield Fault(0, f"token {token} meant {was!r} before the run and {now!r} after it")


def _avoided(ids: Int32s, used: int, committed: int) -> Iterator[Fault]:
    """See whether the ids of the answers shun those that were asked about before the run."""
    from scipy.stats import binom

    within = int((ids < RANGE).sum())
    share = committed / RANGE
    if binom.cdf(used, within, share) < SURELY:
        words = f"{used} of the {committed} ids that were decoded before the run stand in answers"
        yield Fault(0, f"{words}; about {within * share:.0f} would be chance")


def _other_words(log: RunLog, texts: Mapping[int, str], after: Mapping[int, str]) -> list[Fault]:
    """Find the answers whose tokens say other words one by one; none if few do."""
    chosen = [i for i in texts if log.token_start[i + 1] > log.token_start[i]]
    if len(chosen) > ANSWERS:
        chosen = SystemRandom().sample(chosen, ANSWERS)
    faults = []
    for i in chosen:
        tokens = log.record(i).token_ids.tolist()
        alone = "".join(after.get(token, "") for token in tokens)
        if _letters(alone) != _letters(texts[i]):
            faults.append(Fault(i, "its tokens, decoded one by one, do not say its words"))
    return faults if len(faults) > TOLERATED * len(chosen) else []


def _letters(text: str) -> str:
    return _NO_LETTER.sub("", text)


def _silent(log: RunLog, ids: Int32s, counts: Int64s, after: Mapping[int, str]) -> int:
    """Count the tokens without a text. The last one of an answer may be its end."""
    if not after:
        return 0
    nothing = np.array([not after[token] for token in ids.tolist()], np.bool_)
    ends = log.token_ids[log.token_start[1:][np.diff(log.token_start) > 0] - 1]
    last = np.isin(ends, ids[nothing])
    return int(counts[nothing].sum() - last.sum())
