"""How many users does it hold, how many of their requests were good, and where is its peak? As
figures, as a sentence and as a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.kernel.words.figure import Figure, at, number
from reports.blocks import Table, pairs

Result = Mapping[str, Any]
_NAMES = {"ttft_ms": "TTFT", "tpot_ms": "TPOT", "latency_ms": "latency"}


def _percent(share: float) -> str:
    return number(100 * share)


FIGURES = (
    Figure(
        "goodput_per_s", "requests within all limits", at("goodput", "requests_per_s", "value"),
        "requests/s", "higher", group="Goodput", brief="{}",
    ),
    Figure(
        "goodput_share", "share of the requests", at("goodput", "share", "value"), "%", "higher",
        _percent, group="Goodput", brief="{} of all requests",
    ),
    Figure(
        "goodput_tokens_per_s", "tokens of these", at("goodput", "tokens_per_s"), "tokens/s",
        "higher", group="Goodput", brief="{}",
    ),
    Figure(
        "users", "users at once", at("capacity", "users", "value"), "", group="Capacity", brief="",
    ),
    Figure(
        "tokens_per_s_per_user", "tokens of one user", at("capacity", "tokens_per_s_per_user"),
        "tokens/s", "higher", group="Capacity", brief="",
    ),
)  # fmt: skip
GROUPS = ("Goodput", "Capacity")


def sentence(result: Result) -> str:
    """Say how many users were served at once, and how fast; nothing where it is not known."""
    found = result.get("capacity") or {}
    if not found:
        return ""
    users, pace = _users(found["users"]), _pace(found)
    if result["status"] == "VALID" and result["mode"] == "find-peak":
        return f"Holds up to {users} at {pace}: {number(result['result']['value'])} queries/s."
    if result["status"] == "VALID":
        return f"Held {users} at {pace}; it may hold more (--mode find-peak finds out)."
    return f"Had {users} at {pace}; that is no capacity, because the run is {result['status']}."


def peak_sentence(result: Result) -> str:
    """Say where the peak is and what the search cost; nothing for other runs."""
    found = (result.get("capacity") or {}).get("peak") or {}
    peak = found.get("peak_qps")
    if not peak:
        return ""
    where = f"The highest rate is about {_three(peak['value'])} queries/s"
    where += f" ({_three(peak['low'])} to {_three(peak['high'])}, 90 % interval)."
    spent = f" The search took {found['queries']:,} queries"
    others = found.get("bisection_queries")
    return f"{where}{spent}; plain bisection would have taken {others:,}." if others else where


def goodput(result: Result) -> Table | None:
    """Return the goodput, and how many requests kept each limit; None where there are no limits."""
    found = result.get("goodput") or {}
    if not found:
        return None
    rate, share = found["requests_per_s"], found["share"]
    rows = [("all limits", _interval(share, 100, "% of the requests"))]
    if rate is not None:
        rows.append(("requests within all limits", _interval(rate, 1, "requests/s")))
    if found["tokens_per_s"] is not None:
        rows.append(("tokens of these", f"{number(found['tokens_per_s'])} tokens/s"))
    for name, limit_ms in found["slo"].items():
        kept = number(100 * found["share_by"][name.removesuffix("_ms")])
        rows.append((f"{_NAMES[name]} within {_time(limit_ms)}", f"{kept} % of the requests"))
    whose = "--slo" if found["origin"] == "--slo" else "the limits that are judged"
    note = f"Limits: {whose}. A request that failed is within none. Intervals: 95 %."
    return pairs("Goodput", rows, note)


def capacity(result: Result) -> Table | None:
    """Return the users of a run, and of a search its peak; None where these are not known."""
    found = result.get("capacity") or {}
    if not found:
        return None
    users = found["users"]
    rows = [("users at once", _interval(users, 1, ""))]
    if found["tpot_ms"] is not None:
        rows.append(("time per token", f"{number(found['tpot_ms'])} ms"))
        rows.append(("tokens of one user", f"{number(found['tokens_per_s_per_user'])} tokens/s"))
    rows.append(("latency, mean", f"{number(found['latency_ms'])} ms"))
    words = filter(None, (sentence(result), peak_sentence(result)))
    note = "A user is a request that is open: their mean number is rate × latency (Little's law)."
    return pairs("Capacity", rows, " ".join((*words, note)))


def _users(users: Mapping[str, float]) -> str:
    value, low, high = (users[name] for name in ("value", "low", "high"))
    noun = "user" if _two(value) == "1" else "users"
    return f"about {_two(value)} {noun} at once ({_two(low)} to {_two(high)})"


def _pace(found: Result) -> str:
    if found["tpot_ms"] is None:
        return f"{_time(found['latency_ms'])} an answer"
    each = f"{number(found['tokens_per_s_per_user'])} tokens/s each"
    return f"{_time(found['tpot_ms'])} a token ({each})"


def _interval(found: Mapping[str, float | None], scale: float, unit: str) -> str:
    value, low, high = (found.get(name) for name in ("value", "low", "high"))
    if value is None:
        return "-"
    text = f"{number(scale * value)} {unit}".strip()
    if low is None or high is None:
        return text
    return f"{text} ({number(scale * low)} to {number(scale * high)})"


def _time(ms: float) -> str:
    return f"{number(ms / 1000)} s" if ms >= 1000 else f"{number(ms)} ms"


def _two(value: float) -> str:
    return f"{value:.2g}" if abs(value) < 100 else f"{value:,.0f}"


def _three(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
