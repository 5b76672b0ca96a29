"""What does a family say in words? Who is first by what, where likelihoods and tasks part, what a
precision changes behind a perplexity that hardly moves, and what a size is worth beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.kernel.words.figure import size
from harness.kernel.words.judged import Judged
from reports.pages.family.tables import change, judged, shown_columns

Family = Mapping[str, Any]
_NEAR = 0.05  # of 1: a perplexity that hardly moves
_MANY = 0.05  # of the questions: answers that change
_SAID = 3  # of one kind
_OF_SIZE = ("parameters", "disk_bytes", "weights_bytes")


def sentences(found: Family) -> list[str]:
    """Return the sentences, the most important first."""
    parts = (
        [*_apart(found)], [*_flips(found)], [*_firsts(found)], [*_steps(found)],
        [*_agreements(found)],
    )  # fmt: skip
    return [words for part in parts for words in part]


def _cut(told: Sequence[str], what: str) -> Iterator[str]:
    """Yield the first few, and how many there are more."""
    yield from told[:_SAID]
    if len(told) > _SAID:
        yield f"and {len(told) - _SAID} more {what}: see the page"


def _figures(found: Family) -> dict[str, Judged]:
    return {one["key"]: judged(one) for one in found["columns"]}


def _rows(found: Family) -> dict[str, Any]:
    return {row["label"]: row for row in found["rows"]}


# ---- likelihoods and tasks


def _apart(found: Family) -> Iterator[str]:
    """Yield one sentence for each likelihood and task that disagree, on the widest apart."""
    best: dict[tuple[str, str], list[Any]] = {}
    for one in found["disagreements"]:
        best.setdefault((one["figure"], one["other"]), []).append(one)
    told = [_apart_words(found, group) for group in best.values()]
    yield from _cut(told, "such disagreements")


def _apart_words(found: Family, group: Sequence[Mapping[str, Any]]) -> str:
    one, figures, rows = group[0], _figures(found), _rows(found)
    figure, other = figures[one["figure"]], figures[one["other"]]
    values = {
        label: [_text(judge, rows[label]["figures"][judge.name]["value"])
                for judge in (figure, other)]
        for label in (one["better"], one["but"])
    }  # fmt: skip
    (ours, our_other), (theirs, their_other) = values[one["better"]], values[one["but"]]
    most = {True: "lowest" if figure.better == "lower" else "highest",
            False: "lower" if figure.better == "lower" else "higher"}[one["is_first"]]  # fmt: skip
    has = f"the {most} {figure.label} ({ours})" if one["is_first"] else (
        f"a {most} {figure.label} than {one['but']} ({ours} against {theirs})"
    )  # fmt: skip
    more = _more(found, one["other"])
    rest = f", and {len(group) - 1} more such pairs" if len(group) > 1 else ""
    return (
        f"{one['better']} has {has}, but {one['but']} {more}"
        f" ({their_other} against {our_other}){rest}"
    )


def _more(found: Family, key: str) -> str:
    column = next(one for one in found["columns"] if one["key"] == key)
    if column["figure"] == "task_solved":
        other = f" ({column['other']})" if column["other"] else ""
        return f"solves decidedly more of {column['of']}{other}"
    return f"is decidedly better by {column['label']}"


def _text(figure: Judged, value: float) -> str:
    return figure.text(value)


def _flips(found: Family) -> Iterator[str]:
    of = {one["key"]: one["of"] for one in found["columns"]}
    told = []
    rows = sorted(found["flips"], key=lambda one: -(one["lost"] + one["won"]) / one["n"])
    for one in rows:
        ratio, moved = one["perplexity"]["value"], one["lost"] + one["won"]
        if ratio is None or abs(ratio - 1) > _NEAR or moved < max(2, _MANY * one["n"]):
            continue
        percent = f"{100 * abs(ratio - 1):.1f} %"
        way = f"within {percent}" if percent == "0.0 %" else (
            f"{percent} {'above' if ratio > 1 else 'below'}"
        )  # fmt: skip
        way = "within 0.05 %" if percent == "0.0 %" else way
        told.append(
            f"{one['label']} has a perplexity of {of[one['texts']]} {way}"
            f" {'of that of' if percent == '0.0 %' else 'that of'} {one['reference']}, but"
            f" {moved} of {one['n']} answers to {of[one['figure']]} change ({one['lost']} lost,"
            f" {one['won']} won)"
        )
    yield from _cut(told, "such precisions")


# ---- who is first


def _firsts(found: Family) -> Iterator[str]:
    """Say who alone is first by which figures, a line each; and by which nobody is."""
    figures, rows = _figures(found), _rows(found)
    of_bits = {one["of"] for one in found["columns"] if one["figure"] == "bits_per_byte"}
    shown = {
        one["key"]
        for one in shown_columns(found)
        if one["figure"] != "text_perplexity" or one["of"] not in of_bits
    }
    by: dict[tuple[str, str, str], list[str]] = {}
    shared: dict[tuple[str, ...], list[str]] = {}
    tied: list[str] = []
    for rank in found["ranks"]:
        key = rank["figure"]
        if key not in shown:
            continue
        figure = figures[key]
        first = [label for label, place in rank["places"].items() if place == 1]
        if len(first) == len(rank["places"]):
            tied.append(figure.label)
        elif len(first) == 1:
            value = _text(figure, rows[first[0]]["figures"][key]["value"])
            how = "first" if rank["open"] else "decidedly first"
            about = first[0], how, _among(found, rank)
            by.setdefault(about, []).append(f"{figure.label} ({value})")
        else:
            shared.setdefault(tuple(first), []).append(figure.label)
    for (label, how, among), labels in by.items():
        alone = "" if "decidedly" in how else ", by the value alone"
        yield f"{label} is {how}{among} by {'; '.join(labels)}{alone}"
    for several, labels in shared.items():
        who = f"{', '.join(several[:-1])} and {several[-1]}"
        yield f"{who} share the first place by {'; '.join(labels)}"
    if tied:
        yield f"nobody is decidedly first by {'; '.join(tied)}"


def _among(found: Family, rank: Mapping[str, Any]) -> str:
    """Say of whom somebody is first, where these are not all."""
    if len(rank["places"]) == len(found["rows"]):
        return ""
    return f" of {', '.join(rank['places'])}"


# ---- sizes and precisions


def _steps(found: Family) -> Iterator[str]:
    """Say, by each figure, what a size up buys against what the lowest precision costs."""
    figures, rows = _figures(found), _rows(found)
    told = []
    for key, figure in figures.items():
        steps = [one for one in found["steps"] if one["figure"] == key]
        ups = [one for one in steps if one["kind"] == "size"]
        downs = [one for one in steps if one["kind"] == "precision"
                 and not rows[one["to"]]["variant"].startswith("lora")]  # fmt: skip
        if not ups or not downs or key.startswith("text_perplexity"):
            continue
        whole = [one for one in ups if not rows[one["of"]]["reference"]]
        up = (whole or ups)[-1]
        words = [
            f"a size up ({up['of']} to {up['to']}) {_change(figure, up)}",
                 f"a precision down ({downs[-1]['of']} to {downs[-1]['to']})"
                 f" {_change(figure, downs[-1])}"]  # fmt: skip
        told.append(f"{figure.label}: {'; '.join(words)}")
    yield from _cut(told, "figures")
    yield from _cut([*_trades(found, figures, rows)], "such trades")


def _change(figure: Judged, step: Mapping[str, Any]) -> str:
    if step["change"]["value"] is None:
        return "is not known"
    value, between = change(figure, step["change"])
    if step["call"] not in ("better", "worse"):
        return f"moves it by {value}{f' ({between})' if between else ''}, not decided"
    verb = "buys" if step["call"] == "better" else "costs"
    ends = [step["change"][end] for end in ("low", "high")]
    if None in ends:
        return f"{verb} {value.lstrip('+-')}"
    less, more = (figure.write(end) for end in sorted(map(abs, ends)))
    return f"{verb} {value.lstrip('+-')} ({less} to {more})"


def _trades(found: Family, figures: Mapping[str, Judged], rows: Mapping[str, Any]) -> Iterator[str]:
    """Say which larger model in less memory is better or worse than a smaller one, and by what."""
    by: dict[tuple[str, str, str], list[str]] = {}
    for one in found["steps"]:
        is_decided = one["call"] in ("better", "worse")
        if one["kind"] == "trade" and is_decided and not one["figure"].startswith("text_"):
            about = one["to"], one["of"], one["call"]
            by.setdefault(about, []).append(figures[one["figure"]].label)
    for (to, of, how), labels in by.items():
        sizes = [size(rows[label]["weights_bytes"]) for label in (to, of)]
        yield (
            f"{to} is decidedly {how} than {of} by {'; '.join(labels)}, with less memory for its"
            f" weights ({' against '.join(sizes)})"
        )


# ---- do figures agree?


def _agreements(found: Family) -> Iterator[str]:
    """Say with which answers each likelihood shares an order, and with which none is shown."""
    columns = {one["key"]: one for one in found["columns"]}
    shared, unknown = list[str](), dict[tuple[str, int], list[str]]()
    for one in found["agreements"]:
        figure, other = (columns[one[name]] for name in ("figure", "other"))
        if figure["figure"] not in _LIKELIHOODS or other["figure"] in _NO_ANSWERS:
            continue
        order = one["order"]
        numbers = f"tau {order['tau']:+.2f}, p = {order['p_value']:.2g}"
        if order["p_value"] <= _CHANCE:
            way = "the same order" if order["tau"] > 0 else "opposite orders"
            shared.append(
                f"{figure['label']} and {other['label']} put the {order['n']} members in much {way}"
                f" (Kendall's {numbers}{_dependent(found, one)})"
            )
            continue
        few = f" where {order['least_p']:.2g} is the least" if order["least_p"] > _CHANCE else ""
        about = figure["label"], order["n"]
        unknown.setdefault(about, []).append(f"{other['label']} ({numbers}{few})")
    yield from _cut(shared, "pairs of figures")
    for (label, n), others in unknown.items():
        yield (
            f"{label} does not show how the {n} members do at other figures: Kendall's tau with"
            f" {'; '.join(others)}"
        )


def _dependent(found: Family, agreement: Mapping[str, Any]) -> str:
    """Say that precisions of one model are no independent members; nothing where there are none."""
    labels = agreement["labels"]
    models = {row["model"] for row in found["rows"] if row["label"] in labels}
    if len(models) == len(labels):
        return ""
    count = f"{len(models)} models" if len(models) > 1 else "one model"
    return f"; but they are of {count}, and its precisions are not independent"


_CHANCE = 0.05
_NO_ANSWERS = ("text_perplexity", "bits_per_byte", "perplexity", "mean_kld", "rouge_ratio")
_LIKELIHOODS = ("text_perplexity", "bits_per_byte", "perplexity")
