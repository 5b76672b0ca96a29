"""Why is a candidate's verdict what it is? The ratio that decides, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from accuracy.gate.ratios import Judged, Ratio, Verdict, share_key

_ROUGE = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L", "rougeLsum": "ROUGE-Lsum"}
NAMES = _ROUGE | {f"multilingual_{kind}": f"multilingual {name}" for kind, name in _ROUGE.items()}


def reason(verdict: Verdict, judged: Sequence[Judged], share: float) -> str:
    """Say which ratio decides: of those with the joined verdict, ROUGE before lengths, the lowest
    first; and which kinds are not judged.
    """
    left_out = [f"{_name(one.ratio)} is {one.not_judged}" for one in judged if one.not_judged]
    return "; ".join([_deciding(verdict, judged, share), *left_out])


def _name(ratio: Ratio) -> str:
    return NAMES.get(ratio.name, f"{ratio.name} per sample")


def _deciding(verdict: Verdict, judged: Sequence[Judged], share: float) -> str:
    key = share_key(share)
    deciding = [
        one for one in judged if one.verdicts and one.verdicts[key].status == verdict.status
    ]
    ratio, _, limits, _ = min(
        deciding, key=lambda one: (one.limits is not None, one.ratio.value or 0)
    )
    name = _name(ratio)
    if ratio.value is None and ratio.reference == 0:
        return f"{name} of the reference is 0: there is nothing to keep; judge --against reference"
    if ratio.value is None:
        return f"{name} is not a number for some samples: there is nothing to compare"
    limit, figure = _limit(key, limits), f"{name} {figure_text(ratio)}"
    if verdict.status == "FAIL":
        return f"{figure} misses {limit}"
    if verdict.status == "PASS" and limits is None:
        return f"all keep {limit}; the least is {figure}"
    if verdict.status == "PASS":
        return f"{figure} is within {limit}"
    if ratio.low is None:
        return (
            f"{figure}: the reference scores above 0 in too few samples to tell; use more samples"
        )
    more = "no number of samples would decide"
    if verdict.needed:
        more = f"about {rounded(verdict.needed):,} samples would decide"
    return f"{figure} may lie on either side of {limit}; {more}"


def _limit(key: str, limits: tuple[float, float] | None) -> str:
    if limits is None:
        return f"{key} %"
    return " to ".join(f"{100 * end:g}" for end in limits if math.isfinite(end)) + " %"


def figure_text(ratio: Ratio) -> str:
    """Return "99.62 % (98.90 to 100.31)"."""
    value, low, high = ratio.value, ratio.low, ratio.high
    if value is None:
        return "-"
    if low is None or high is None:
        return f"{100 * value:.2f} %"
    if low == high == value == 1:
        return "exactly 100 %"
    return f"{100 * value:.2f} % ({100 * low:.2f} to {100 * high:.2f})"


def rounded(count: int) -> int:
    """Round up to two figures: more would promise too much."""
    step: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // step) * step
