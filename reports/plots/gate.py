"""How sure is the gate, and where do outputs leave the reference? Coordinates for the page, whose
template draws them in its own colours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from reports.blocks import between, percent, tone
from reports.tables import ROUGE

Found = Mapping[str, Any]
Row = Mapping[str, Any]


class Mark(NamedTuple):
    """One ratio in the forest: where its point and the ends of its interval lie, from left to
    right.
    """

    name: str
    x: float
    low: float
    high: float
    y: float
    text: str
    tone: str


class Frame(NamedTuple):
    """Where things stand in a forest, in pixels: the axis from `left` to `right`, the names of the
    figures up to `names`, their values from `values` on. Without these each head has its own line.
    """

    left: int
    right: int
    width: int
    names: int
    values: int | None


ROOMY, PHONE = Frame(210, 830, 1080, 196, 846), Frame(92, 326, 338, 82, None)


class Forest(NamedTuple):
    """All coordinates are in pixels of a picture `frame.width` by `height`; lines are (x, text, how
    the text hangs on it).
    """

    frame: Frame
    height: float
    heads: list[tuple[float, str]]
    marks: list[Mark]
    lines: list[tuple[float, str, str]]
    ticks: list[tuple[float, str]]


_TOP, _LINE, _GAP = 26, 20, 12


def forest(found: Found, reading: str, rows: Sequence[Row], frame: Frame = ROOMY) -> Forest:
    """Place the ratios of ROUGE with their intervals, beside the targets."""
    target = found["target"]
    shares = sorted({0.99, 0.999, target["share"]} if reading != "published" else {target["share"]})
    ratios = [_known(row["readings"][reading]["ratios"]) for row in rows]
    every = [ratio[key] for of in ratios for ratio in of for key in ("value", "low", "high")]
    ends = [end for end in every if end is not None]
    low, high = min([*ends, *shares, 1.0]), max([*ends, *shares, 1.0])
    room = 0.06 * (high - low)
    low, high = low - room, high + room

    def x(value: float) -> float:
        return round(frame.left + (frame.right - frame.left) * (value - low) / (high - low), 1)

    heads, marks, y = [], [], float(_TOP)
    for row, of in zip(rows, ratios, strict=True):
        if frame.values is None:
            y += _LINE
        heads.append((y + _LINE * (len(of) + 1) / 2 - 1 if frame.values else y, row["label"]))
        for r in of:
            y += _LINE
            status = r["calls"].get(target["key"], {}).get("status", "")
            low_at, high_at = (
                x(r["value"] if r[end] is None else r[end]) for end in ("low", "high")
            )
            text = f"{percent(r['value'])}  {between(r['low'], r['high'], percent)}"
            name = ROUGE[r["name"]]
            marks.append(Mark(name, x(r["value"]), low_at, high_at, y, text, tone(status)))
        y += _GAP
    sides = ["end" if i == 0 and len(shares) > 1 else "start" for i in range(len(shares))]
    hung = [
        (x(share), f"{100 * share:g} %", side) for share, side in zip(shares, sides, strict=True)
    ]
    ticks = [(x(t), f"{100 * t:g}") for t in _ticks(low, high)]
    return Forest(frame, y + 34, heads, marks, hung, ticks)


def _known(ratios: Sequence[Row]) -> list[Row]:
    return [ratio for ratio in ratios if ratio["name"] in ROUGE and ratio["value"] is not None]


def _ticks(low: float, high: float) -> list[float]:
    """Return three to seven round values."""
    step = 10 ** math.floor(math.log10((high - low) / 2))
    step = next(step * k for k in (1, 2, 5, 10) if (high - low) / (step * k) <= 6)
    return [round(k * step, 10) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


class Bar(NamedTuple):
    text: str
    outputs: int
    height: float


def bars(row: Row) -> list[Bar]:
    """Return the histogram of first divergence: heights from 0 to 1."""
    most = max((part["outputs"] for part in row["divergence"]), default=0) or 1
    return [Bar(_span(part), part["outputs"], part["outputs"] / most) for part in row["divergence"]]


def _span(part: Row) -> str:
    first, last = part["first"], part["last"]
    return f"{first}" if first == last else f"{first}-{last}"
