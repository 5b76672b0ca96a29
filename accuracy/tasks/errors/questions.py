"""What does each prompt ask, without the examples before it?

Prompts of one task begin alike. Of two neighbours in order of the alphabet, the longest common
beginning is the examples, cut back to the start of a line.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from harness.kernel.types import Sample

_ENDS = ("Answer:", "A:", "Solution:")


def questions(samples: Mapping[int, Sample]) -> dict[int, str]:
    """Return the question at the end of each prompt, by index."""
    order = sorted(samples, key=lambda index: samples[index].prompt)
    common = dict.fromkeys(order, 0)
    for first, second in pairwise(order):
        length = _common(samples[first].prompt, samples[second].prompt)
        for index in (first, second):
            common[index] = max(common[index], length)
    return {index: _last(samples[index].prompt, common[index]) for index in samples}


def _common(first: str, second: str) -> int:
    """Return how many characters two prompts begin with alike; 0 if they are the same."""
    if first == second:
        return 0
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        is_same = first[low:middle] == second[low:middle]
        low, high = (middle, high) if is_same else (low, middle - 1)
    return low


def _last(prompt: str, common: int) -> str:
    """Return a prompt without the common beginning, and without its last line `Answer:`."""
    start = prompt.rfind("\n\n", 0, common + 1)
    question = prompt[start + 2 if start >= 0 else 0 :].strip()
    for end in _ENDS:
        question = question.removesuffix(end).rstrip()
    return question.removeprefix("Question:").strip()
