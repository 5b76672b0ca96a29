"""MLPerf's own scores for answers that are no texts, each by the rule of its script, in percent.

gsm8k         mixtral-8x7b: the first number after the last "The answer is", else the last number of
              the answer, up to a line "Q:"; right if it equals the reference's as a float
exact_match   llama3.1-405b: the mean of its two kinds of question,
              needle         of the identifiers (UUIDs) found in the answer, the share of each
                             reference's characters that occur in it, to two places
              short answer   100 if what follows the last "Answer: " is part of the reference, or if
                             one of the reference's alternatives (a|b) is part of it, apart from
                             space and case
mbxp          mixtral-8x7b: programs, right if they pass their tests
exact_match   deepseek-r1, gpt-oss-120b: with LiveCodeBench's programs among the answers

Programs are not run here, so the last two have no value: MLPerf's script reads them from
mlperf_log_accuracy.json. A score's value depends on all of its samples; there is none for a part.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accuracy.metrics.references import hashed, pairs
from accuracy.metrics.rouge import by_sentence
from harness.kernel.log import RunLog
from harness.kernel.types import Metric, Sample

PROGRAMS = "its answers are programs, which are not run here"
_NUMBER = re.compile(r"-?[\d,]*\.?\d+")
_UUID = re.compile(r"\w{8}-\w{4}-\w{4}-\w{4}-\w{12}")
_SPACE = re.compile(r"\s+")
_SAID, _NEXT_QUESTION, _ANSWER = "The answer is", "\nQ:", "Answer: "


def mlperf_scores(log: RunLog, samples: Sequence[Sample], ids: NDArray[Any]) -> list[Metric]:
    """Score those of the samples `ids` that the dataset's own columns mark for one of these."""
    graders = {sample.index: sample.grader for sample in samples}
    asked: Counter[str] = Counter()
    for index, n in zip(*np.unique(log.index[ids], return_counts=True), strict=True):
        asked[graders.get(int(index), "")] += int(n)
    found = [*_gsm8k(log, samples, ids), *_exact_match(log, samples, ids)]
    if asked["mbxp"]:
        found.append(Metric("mbxp", None, "%", asked["mbxp"], PROGRAMS))
    if asked["reasoning"]:
        found.append(Metric("exact_match", None, "%", asked["reasoning"], f"some of {PROGRAMS}"))
    return found


def _gsm8k(log: RunLog, samples: Sequence[Sample], ids: NDArray[Any]) -> list[Metric]:
    """Score GSM8K itself, whose references end in `#### 18`, and its part of mixtral-8x7b's
    dataset.
    """
    ends = {s.index: hashed(s.reference) for s in samples if s.reference and not s.grader}
    numbers = {index: number.replace(",", "") for index, number in ends.items() if number}
    compared = pairs(log, numbers | _references(samples, "gsm8k"), ids)
    if not compared:
        return []
    right = [_float(final_number(text)) == _float(number) is not None for text, number in compared]
    return [Metric("gsm8k", 100 * sum(right) / len(right), "%", len(right))]


def _exact_match(log: RunLog, samples: Sequence[Sample], ids: NDArray[Any]) -> list[Metric]:
    """Score llama3.1-405b."""
    scored = [
        score(by_sentence(text), by_sentence(reference))
        for grader, score in (("needle", needle), ("short answer", short_answer))
        for text, reference in pairs(log, _references(samples, grader), ids)
    ]
    return [Metric("exact_match", sum(scored) / len(scored), "%", len(scored))] if scored else []


def _references(samples: Sequence[Sample], grader: str) -> dict[int, str]:
    return {s.index: s.reference for s in samples if s.reference and s.grader == grader}


def is_graded(sample: Sample) -> bool:
    """Tell whether MLPerf's scripts score the answer to a sample here, alone."""
    reference = sample.reference or ""
    if not sample.grader:
        return bool(hashed(reference))
    return bool(reference) and sample.grader in ("gsm8k", "needle", "short answer")


def score(text: str, sample: Sample) -> tuple[float, str]:
    """Return the score of one answer in [0, 1], and what was read of it."""
    reference = sample.reference or ""
    if sample.grader == "needle":
        return needle(by_sentence(text), by_sentence(reference)) / 100, text.strip()
    if sample.grader == "short answer":
        return short_answer(by_sentence(text), by_sentence(reference)) / 100, text.strip()
    wanted = reference if sample.grader else hashed(reference).replace(",", "")
    found = final_number(text)
    return float(_float(found) == _float(wanted) is not None), found


def final_number(text: str) -> str:
    """Return the number that an answer ends in, without commas; empty if it has none."""
    text = text.split(_NEXT_QUESTION)[0]
    _, said, after = text.rpartition(_SAID)
    numbers = _NUMBER.findall(after)[:1] if said else []
    numbers = numbers or _NUMBER.findall(text)[-1:]
    return numbers[0].replace(",", "") if numbers else ""


def _float(number: str) -> float | None:
    try:
        return float(number)
    except ValueError:
        return None


def needle(text: str, reference: str) -> float:
    """Return the score of the identifiers in an answer, 0 to 100."""
    found, wanted = _UUID.findall(text.lower()), _UUID.findall(reference.lower())
    shares = [
        sum(character in ours for character in theirs) / len(theirs)
        for ours, theirs in zip(found, wanted, strict=False)
    ]
    return round(100 * sum(shares) / len(found), 2) if found else 0.0


def short_answer(text: str, reference: str) -> float:
    """Return 100 or 0."""
    answer = text.rpartition(_ANSWER)[2]
    if answer in reference:
        return 100.0
    ours = _squeezed(answer)
    return 100.0 * any(_squeezed(theirs) in ours for theirs in reference.split("|"))


def _squeezed(text: str) -> str:
    return _SPACE.sub("", text).lower()
