"""Does a variant keep enough of its reference's quality? One score per sample in, ratios with
intervals and verdicts out.

A ratio is the mean of the candidate's scores over the mean of the reference's, on the same samples.
Its interval is a paired percentile bootstrap: samples are drawn with replacement, candidate and
reference together, the same draw for every ratio. Nothing over nothing is no ratio: what the
reference does not have cannot be kept, so it is UNDECIDED.

At a limit a ratio is judged twice. `official` asks MLPerf's question: is the figure itself inside?
`status` asks what the samples can tell: PASS if the whole interval is inside the limit, FAIL if all
of it is outside, else UNDECIDED.

Several ratios are joined by the worst: PASS if all pass, FAIL if one fails, else UNDECIDED. To pass
wrongly, the ratio that is truly below has to pass wrongly, so passing needs no correction for their
number. Failing does not either as long as the ratios move together, as kinds of ROUGE do; at worst
its error is that of one ratio times how many there are.

How many samples would decide: the width of an interval shrinks with 1/sqrt(n), so n grows with the
square of (distance from the figure to the interval's end) / (distance from the figure to the
limit). This assumes that the figure stays where it is and that further samples are like these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accuracy.resampling import CONFIDENCE, RESAMPLES, Floats, times_drawn
from harness.kernel.errors import BadInput

TARGETS = (0.99, 0.999)  # MLPerf's two, always shown
LENGTH = (0.9, 1.1)  # mean tokens per sample, as a share of the reference's
FEW = 30  # with fewer samples a percentile interval is narrower than it says
_BEYOND = 10**9  # more samples than anybody has

Progress = Callable[[int], object]
Word = Literal["PASS", "FAIL", "UNDECIDED"]


@dataclass(frozen=True, slots=True)
class Ratio:
    """`value` is None where the reference scores 0 or a score is no number, `low` and `high` also
    where the reference does in some draw.
    """

    name: str
    candidate: float | None
    reference: float | None
    value: float | None
    low: float | None
    high: float | None
    n: int


class Verdict(NamedTuple):
    """A verdict at a limit; `needed` is how many samples would decide it, None if it is decided or
    no number would.
    """

    status: Word
    official: Word
    needed: int | None = None


NO_FIGURE = Verdict("UNDECIDED", "UNDECIDED")


class Judged(NamedTuple):
    """A ratio with its verdict at each share; `limits` where these are not the share, no verdicts
    where it is only shown: `not_judged` says why, where the figure is not defined for the data.
    """

    ratio: Ratio
    verdicts: Mapping[str, Verdict]
    limits: tuple[float, float] | None
    not_judged: str = ""


def share_key(share: float) -> str:
    """Return "99.9" for 0.999."""
    return f"{100 * share:.10g}"


# ---- ratios


def ratios(
    candidate: Mapping[str, Floats],
    reference: Mapping[str, Floats],
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    progress: Progress | None = None,
) -> list[Ratio]:
    """Return one ratio per name, over the same samples in the same order.

    `progress` is told how many resamples are done. Raises BadInput for fewer than two samples.
    """
    names = list(candidate)
    ours = np.array([candidate[name] for name in names], np.float64)
    theirs = np.array([reference[name] for name in names], np.float64)
    n = _checked(ours.shape[1], theirs.shape[1])
    scores = np.concatenate((ours, theirs)).T.copy()
    drawn = np.empty((0, len(names)))
    tail = (1 - confidence / 100) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        for times in times_drawn(n, resamples):
            sums = times @ scores
            drawn = np.concatenate((drawn, sums[:, : len(names)] / sums[:, len(names) :]))
            if progress is not None:
                progress(len(drawn))
        low, high = np.quantile(drawn, (tail, 1 - tail), axis=0).tolist()
    made = []
    for k, name in enumerate(names):
        means = float(ours[k].mean()), float(theirs[k].mean())
        is_same = np.array_equal(ours[k], theirs[k])
        made.append(_ratio(name, n, means, is_same, (low[k], high[k])))
    return made


def of_sums(
    name: str,
    ours: Floats,
    theirs: Floats,
    figure: Callable[[Floats], Floats],
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Ratio:
    """Return the ratio of two figures that are made of sums over the samples, as BLEU is: of the
    counts (n, k) that each sample adds. `figure` makes (B,) of (B, k).
    """
    n = _checked(len(ours), len(theirs))
    drawn, tail = [], (1 - confidence / 100) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        for times in times_drawn(n, resamples):
            drawn.append(figure(times @ ours) / figure(times @ theirs))
        low, high = np.quantile(np.concatenate(drawn), (tail, 1 - tail)).tolist()
    mine, other = (float(figure(one.sum(axis=0)[None])[0]) for one in (ours, theirs))
    return _ratio(name, n, (mine, other), np.array_equal(ours, theirs), (low, high))


def _checked(n: int, others: int) -> int:
    if n != others:
        raise ValueError(f"{n} scores beside {others}")
    if n < 2:
        words = f"{n} sample{'s' * (n != 1)} with a score"
        raise BadInput(
            "gate",
            words,
            "at least 2 are needed to tell how far chance moves a mean",
            "Raise --num-samples.",
        )
    return n


def _ratio(
    name: str, n: int, figures: tuple[float, float], is_same: bool, ends: tuple[float, float]
) -> Ratio:
    (mine, other), (low, high) = figures, ends
    if not (math.isfinite(mine) and math.isfinite(other)):
        return Ratio(name, _number(mine), _number(other), None, None, None, n)
    if other == 0:
        return Ratio(name, mine, other, None, None, None, n)
    if is_same:  # the sums of some draws may differ in the last bit
        return Ratio(name, mine, other, 1.0, 1.0, 1.0, n)
    if not (math.isfinite(low) and math.isfinite(high)):
        return Ratio(name, mine, other, mine / other, None, None, n)
    return Ratio(name, mine, other, mine / other, low, high, n)


def _number(figure: float) -> float | None:
    return figure if math.isfinite(figure) else None


# ---- verdicts


def judge(ratio: Ratio, least: float, most: float = math.inf) -> Verdict:
    """Say whether the ratio is within [least, most]."""
    value, low, high = ratio.value, ratio.low, ratio.high
    if value is None:
        return NO_FIGURE
    official: Word = "PASS" if least <= value <= most else "FAIL"
    if low is None or high is None:
        return Verdict("UNDECIDED", official)
    if least <= low and high <= most:
        return Verdict("PASS", official)
    if high < least or low > most:
        return Verdict("FAIL", official)
    return Verdict("UNDECIDED", official, _needed(ratio.n, value, low, high, least, most))


def _needed(n: int, value: float, low: float, high: float, least: float, most: float) -> int | None:
    """Return how many samples would decide: by the worse of the two ends if the figure is inside,
    by the end towards the limit if it is outside.
    """
    ends = [(value - low, value - least), (high - value, most - value)]
    if value < least:
        ends = [(high - value, least - value)]
    elif value > most:
        ends = [(value - low, value - most)]
    ends = [(width, distance) for width, distance in ends if width > 0]
    if any(distance <= 0 for _, distance in ends):
        return None  # the figure is exactly at its limit
    growth = max((width / distance) ** 2 for width, distance in ends)
    return max(n + 1, math.ceil(n * growth)) if n * growth < _BEYOND else None


def join(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the worst of several, and how many samples would decide it: the soonest FAIL, else the
    last of the PASSes.
    """
    if not verdicts:
        return NO_FIGURE
    official = _worst([verdict.official for verdict in verdicts])
    status = _worst([verdict.status for verdict in verdicts])
    if status != "UNDECIDED":
        return Verdict(status, official)
    open_ = [verdict for verdict in verdicts if verdict.status == "UNDECIDED"]
    failing = [verdict for verdict in open_ if verdict.official == "FAIL"]
    counts = [verdict.needed for verdict in failing or open_]
    known = [count for count in counts if count is not None]
    if failing:
        return Verdict(status, official, min(known, default=None))
    return Verdict(status, official, max(known) if len(known) == len(counts) else None)


def _worst(words: Sequence[Word]) -> Word:
    order: tuple[Word, ...] = ("FAIL", "UNDECIDED", "PASS")
    return min(words, key=order.index)


# ---- MLPerf's published targets


class Published(NamedTuple):
    """The reference's own figures (submission checker v6.1 and before) and the shares of them that
    pass.

    ROUGE is F x 100; lengths are means per sample (MLPerf's gen_len over its number of samples).
    `unjudged` are figures that MLPerf asks for too and that are no ROUGE.
    """

    rouge: Mapping[str, float]
    share: float
    tokens: float | None = None
    characters: float | None = None
    length: tuple[float, float] = LENGTH
    unjudged: tuple[str, ...] = ()

    def figures(self) -> dict[str, float]:
        """Return its figures by name, ROUGE as a share of 1."""
        lengths = {"tokens": self.tokens, "characters": self.characters}
        figures = {kind: value / 100 for kind, value in self.rouge.items()}
        return figures | {name: value for name, value in lengths.items() if value is not None}


def _three(rouge1: float, rouge2: float, rouge_l: float) -> dict[str, float]:
    return {"rouge1": rouge1, "rouge2": rouge2, "rougeL": rouge_l}


_LLAMA2, _GPT_J = _three(44.4312, 22.0352, 28.6162), _three(42.9865, 20.1235, 29.9881)
_GPT_J_CHARACTERS = 4_016_878 / 13_368
PUBLISHED = {
    "llama2-70b-99.9": Published(_LLAMA2, 0.999, tokens=294.45),
    "llama2-70b-99": Published(_LLAMA2, 0.99, tokens=294.45),
    "llama3.1-8b": Published(
        _three(38.7792, 15.9075, 24.4957) | {"rougeLsum": 35.793},
        0.99,
        characters=8_167_644 / 13_368,
    ),
    "llama3.1-8b-edge": Published(
        _three(39.06, 16.1147, 24.6375) | {"rougeLsum": 36.124}, 0.99, characters=3_051_113 / 5_000
    ),
    "llama3.1-405b": Published({"rougeL": 21.6666}, 0.99, tokens=684.68, unjudged=("exact_match",)),
    "mixtral-8x7b": Published(
        _three(45.5989, 23.3526, 30.4608), 0.99, tokens=144.84, unjudged=("gsm8k", "mbxp")
    ),
    "gpt-j-99.9": Published(_GPT_J, 0.999, characters=_GPT_J_CHARACTERS, length=(0.9, math.inf)),
    "gpt-j-99": Published(_GPT_J, 0.99, characters=_GPT_J_CHARACTERS, length=(0.9, math.inf)),
}


def against_itself(
    scores: NDArray[Any], same: NDArray[np.bool_], kinds: Sequence[str]
) -> NDArray[Any]:
    """Return scores against the reference's own text, where a text against itself is exactly 1.

    ROUGE says 0 for an empty text beside an empty one, and ROUGE-2 for one word beside itself.
    `same`: the texts are equal.
    """
    found = np.array(scores, np.float64)
    found[same | (found[:, list(kinds).index("rougeL")] == 1)] = 1.0
    return found
