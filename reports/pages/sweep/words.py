"""What did a sweep find, in sentences?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.kernel.words.figure import number

_MOST_CURVES, _MOST_NAMED = 6, 5
_LABELS = {
    "target_qps": "queries/s",
    "max_concurrency": "requests at once",
    "samples_per_query": "samples per query",
}
_MEASURED = ("VALID", "INVALID")
Found = Mapping[str, Any]
Point = Mapping[str, Any]


def load_label(found: Found) -> str:
    """Return the words for the load that was swept."""
    return _LABELS.get(found["load"], found["load"].replace("_", " "))


def sentences(found: Found) -> list[str]:
    """Return what was found, a line each."""
    told = [_most(found, "tokens_per_s", "most tokens/s")]
    if any("goodput_per_s" in point["figures"] for point in found["points"]):
        told.append(_most(found, "goodput_per_s", "highest goodput, requests/s"))
    told += [_knee(curve, found) for curve in found["curves"][:_MOST_CURVES]]
    return [sentence for sentence in (*told, _front(found), _rounds(found)) if sentence]


def missing(found: Found) -> list[str]:
    """Return what has no figures and why, the first few by name."""
    lost = [point for point in found["points"] if point["status"] not in (*_MEASURED, "NOT RUN")]
    groups: dict[tuple[str, str], list[str]] = {}
    for point in lost:
        groups.setdefault((point["status"], point["reason"]), []).append(point["label"])
    told = [f"{_named(who)}: {status}, {why}" for (status, why), who in groups.items()]
    if (more := len(told) - _MOST_NAMED) > 0:
        told = [*told[:_MOST_NAMED], f"and {more:,} more reasons, in the table below"]
    if found["not_run"]:
        told.append(f"interrupted: {len(found['not_run']):,} runs were not made")
    return told


def _named(labels: Sequence[str]) -> str:
    more = len(labels) - 1
    return f"{labels[0]} and {more:,} more" if more else labels[0]


def _most(found: Found, name: str, what: str) -> str:
    known = [p for p in found["points"] if p["status"] == "VALID" and name in p["figures"]]
    if not known:
        return ""
    best = max(known, key=lambda point: point["figures"][name]["value"])
    return f"{what}: {best['label']}, {_with_interval(best['figures'][name])}{_beside(found)}"


def _beside(found: Found) -> str:
    """Say how little a single run tells."""
    return "" if found["repeats"] > 1 else " (one run each: no interval; --repeats gives one)"


def _with_interval(figure: Mapping[str, Any]) -> str:
    if figure["low"] is None or figure["low"] == figure["high"]:
        return number(figure["value"])
    return f"{number(figure['value'])} ({number(figure['low'])} to {number(figure['high'])})"


def _knee(curve: Mapping[str, Any], found: Found) -> str:
    knee = curve["knee"]
    if knee is None:
        return ""
    words = f"knee of {curve['label']}: {number(knee['load'])} {load_label(found)}"
    if knee["low"] is not None:
        words += f" (95 %: {knee_range(knee)})"
    if not knee["is_bracketed"]:
        words += ", at the edge of what was swept: it may lie beyond"
    return words


def knee_range(knee: Mapping[str, Any]) -> str:
    """Write the interval of a knee, of swept loads."""
    if knee["low"] is None:
        return ""
    low, high = number(knee["low"]), number(knee["high"])
    return f"all repeats at {low}" if low == high else f"{low} to {high}"


def _front(found: Found) -> str:
    points = [found["points"][place] for place in found["front"]]
    if len(points) < 2:
        return ""
    slow, fast = points[0], points[-1]
    return (
        f"best trade-offs between one user and all: {len(points)} of {len(found['points']):,},"
        f" from {_trade(slow)} to {_trade(fast)}"
    )


def _trade(point: Point) -> str:
    user, device = (
        number(point["figures"][name]["value"])
        for name in ("tokens_per_s_per_user", "tokens_per_s_per_device")
    )
    return f"{user} tokens/s per user at {device} per device ({point['label']})"


def _rounds(found: Found) -> str:
    """Say which rounds of repeats were decidedly slower or faster than the mean."""
    apart = [
        f"round {i} was {100 * abs(each['value'] - 1):.1f} % {_how(each)}"
        for i, each in enumerate(found["rounds"], 1)
        if each["low"] > 1 or each["high"] < 1
    ]
    if not apart:
        return ""
    return f"the machine drifted: {', '.join(apart)}; the order was shuffled, so all rows have it"


def _how(each: Mapping[str, Any]) -> str:
    return "faster than the mean of all" if each["value"] > 1 else "slower than the mean of all"
