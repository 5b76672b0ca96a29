"""The figures of lm-eval's gsm8k, gsm8k_cot, mmlu_generative and triviaqa, pattern by pattern.

They stand beside our own readings (`number`, `letter`), so that a run can be compared with one of
lm-eval. Its patterns compare texts, not values (18.00 is not 18), and take for a number whatever
looks like one: the "..." at the end of a text, too.
"""

from __future__ import annotations

import re
import string

from accuracy.tasks.scoring.mark import Given, Mark, Scorer, marked
from harness.kernel.types import Sample

_HASHED = re.compile(r"#### (-?[0-9.,]+)")
_STATED = re.compile(r"The answer is (-?[0-9.,]+).")
_NUMBER = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
_IGNORED = [re.compile(pattern) for pattern in (",", r"\$", "(?s).*#### ", r"\.$")]
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def strict_match(given: Given, sample: Sample) -> Mark:
    """Take the first "#### 18"."""
    return _first(_HASHED, given, sample)


def strict_match_cot(given: Given, sample: Sample) -> Mark:
    """Take the first "The answer is 18.", which some character has to follow."""
    return _first(_STATED, given, sample)


def flexible_extract(given: Given, sample: Sample) -> Mark:
    """Take the last number, or what looks like one."""
    found = [one or other for one, other in _NUMBER.findall(given.text)]
    return _number(found[-1] if found else "", sample)


def plain_match(given: Given, sample: Sample) -> Mark:
    """Compare with each accepted answer, a line each, without case and punctuation."""
    answer = given.text.strip()
    accepted = map(plain, (sample.reference or "").split("\n"))
    return marked(bool(answer) and plain(answer) in accepted, answer)


def _first(pattern: re.Pattern[str], given: Given, sample: Sample) -> Mark:
    found = pattern.search(given.text)
    return _number(found[1] if found else "", sample)


def _number(answer: str, sample: Sample) -> Mark:
    """Compare as text, without commas, dollars, a last point, and what stands up to ####."""
    is_right = bool(answer) and _bare(answer) == _bare(_target(sample))
    return marked(is_right, answer)


def _target(sample: Sample) -> str:
    return (sample.reference or "").rpartition("####")[2].strip()


def _bare(text: str) -> str:
    for pattern in _IGNORED:
        text = pattern.sub("", text)
    return text.lower()


def plain(text: str) -> str:
    return text.lower().translate(_NO_PUNCTUATION)


TABLE: dict[str, Scorer] = {
    "strict_match": strict_match,
    "strict_match_cot": strict_match_cot,
    "flexible_extract": flexible_extract,
    "plain_match": plain_match,
}
