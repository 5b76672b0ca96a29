"""Compute one metric of Hugging Face's `evaluate` over answers that exist, and how sure its figures
are: from the values of single answers, where a figure is their mean, else by computing it again
over answers that are drawn with replacement. The network is closed.

python hf_metric.py GIVEN.json OUT

    GIVEN.json          metric, load, config, options, seed, resamples, alone_s, drawing_s,
                        answers: a list of {prompt, answer, reference}
    OUT/result.json     metric, n, figures {name: value}, left_out {name: what it is}, takes,
                        alone {name: values, one of each answer}, draws {name: values, one of each
                        draw}, why_not; or metric and failed: what went wrong, in words
"""

from __future__ import annotations

import json
import math
import random
import re
import statistics
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

FEWEST = 5  # answers to draw from
FEWEST_DRAWS = 50
PROBES = 2  # draws that tell a mean from what is one by chance
_LOOK_S = 2.0  # a slow metric is known as one after this
_WORDS = 300  # characters of what a metric says
_NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
_HERE = ("localhost", "127.0.0.1", "::1", "", None)
# What the fields of a metric's inputs are given, by their names.
_TEXTS = {
    "predictions": "answer",
    "prediction_text": "answer",
    "references": "reference",
    "text": "reference",
    "sources": "prompt",
    "data": "answer",  # of a measurement
}
_NUMBERS = {"answer_start": 0, "no_answer_probability": 0.0}
Result = tuple[dict[str, float], dict[str, list[float]], dict[str, str]]
asked_hosts: dict[str, None] = {}


class Unfit(Exception):
    """The metric cannot take such answers."""


def main() -> None:
    """Write what the metric says, or why it says nothing."""
    given, out = json.loads(Path(sys.argv[1]).read_text("utf-8")), Path(sys.argv[2])
    sys.addaudithook(stay_here)
    found = {"metric": given["metric"], "n": len(given["answers"])}
    try:
        found |= measured(given, out)
    except Unfit as error:
        found["failed"] = str(error)
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        found["failed"] = said(error)
    (out / "result.json").write_text(json.dumps(found, allow_nan=False), "utf-8")


def stay_here(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse every way to another machine. An audit hook: it cannot be taken away."""
    if event not in _NETWORK:
        return
    where = arguments[0] if event.startswith("socket.get") else arguments[1]
    host = where[0] if isinstance(where, tuple) else where
    is_path = event in ("socket.connect", "socket.sendto") and not isinstance(where, tuple)
    if is_path or host in _HERE:
        return
    asked_hosts[host if isinstance(host, str) else repr(host)] = None
    raise ConnectionError(f"the network is closed to metrics: {host}")


def said(error: BaseException) -> str:
    """Return what an exception says, on one line, and what it wanted from the network."""
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if re.search(r"\w", line)]
    words = f"{type(error).__name__}: {' '.join(telling)}" if telling else type(error).__name__
    if isinstance(error, ImportError):
        words = f"{words[:_WORDS]} (in the environment of {sys.executable})"
        return words
    words = words if len(words) <= _WORDS else f"{words[:_WORDS]} ..."
    if asked_hosts:
        words += f"; it asked for {', '.join(asked_hosts)}, and the network is closed to it"
    return words


# ---- the metric


def measured(given: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Load the metric and compute it. Raises Unfit, and whatever the metric raises."""
    import evaluate

    name, answers = given["metric"], given["answers"]
    print(f"loading {name}", flush=True)
    with suppress(ImportError):
        import numpy

        numpy.random.seed(given["seed"])  # evaluate takes its own seed from this state
    random.seed(given["seed"])
    place = str(out / "cache")
    metric = evaluate.load(given["load"], given["config"], cache_dir=place, keep_in_memory=True)
    chosen = features_of(metric.features)
    print(f"{name} takes {shown(chosen)}", flush=True)

    def compute(places: Sequence[int]) -> Result:
        columns = {
            column: [filled(inner, column, answers[at], i) for i, at in enumerate(places)]
            for column, inner in chosen.items()
        }
        return told(name, metric.compute(**columns, **given["options"]))

    everything = range(len(answers))
    figures, lists, left_out = compute(everything)
    print(f"{name}: {figures}", flush=True)
    alone, why = values_alone(compute, len(answers), given["alone_s"], name)
    means = {}
    for one, values in lists.items():
        if len(values) == len(answers) and is_list_of_answers(one, values, alone):
            figures[f"{one} (mean)"] = statistics.fmean(values)
            means[f"{one} (mean)"] = values
        else:
            left_out[one] = f"a list of {len(values)} numbers"
    if len(alone) == len(answers) > 1:
        means |= means_of(compute, figures, [numbers for numbers, _ in alone], given["seed"])
    others = {one: value for one, value in figures.items() if one not in means}
    draws: dict[str, list[float]] = {}
    whys = [why] if why else []
    if others:
        drawn, reason = values_drawn(compute, len(answers), given, name)
        draws, biased = draws_of(others, drawn)
        whys = [reason] if reason else biased or whys
    is_known = means.keys() | draws.keys()
    return {
        "figures": figures,
        "left_out": left_out,
        "alone": means,
        "draws": draws,
        "why_not": "; ".join(whys) if figures.keys() - is_known else "",
        "takes": shown(chosen),
    }


def told(name: str, result: Any) -> Result:
    """Return the numbers of a result, its lists of numbers, and what else is in it."""
    numbers: dict[str, float] = {}
    lists: dict[str, list[float]] = {}
    left_out: dict[str, str] = {}
    for key, value in flat(result, ""):
        key = key or name
        if isinstance(value, list) and value and all(map(is_number, value)):
            lists[key] = [float(one) for one in value]
        elif is_number(value):
            numbers[key] = float(value)
        elif isinstance(value, float):
            left_out[key] = f"{value}"
        elif isinstance(value, list):
            left_out[key] = f"a list of {len(value)}"
        else:
            left_out[key] = "no number" if value is not None else "nothing"
    return numbers, lists, left_out


def flat(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield the parts of a result by their names, `outer.inner`; arrays as lists."""
    for plain in ("tolist", "item"):
        if hasattr(value, plain):
            value = getattr(value, plain)()
            break
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from flat(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple):
        yield key, [one.item() if hasattr(one, "item") else one for one in value]
    else:
        yield key, value


def is_number(value: Any) -> bool:
    is_one = isinstance(value, int | float) and not isinstance(value, bool)
    return is_one and abs(value) < 1e300  # neither NaN nor infinite


def same(ours: float, theirs: float) -> bool:
    return math.isclose(ours, theirs, rel_tol=1e-6, abs_tol=1e-9)


# ---- how sure


def values_alone(
    compute: Any, n: int, most_s: float, name: str
) -> tuple[list[tuple[dict[str, float], dict[str, list[float]]]], str]:
    """Return what the metric says of each answer alone, and why not of all of them."""
    found: list[tuple[dict[str, float], dict[str, list[float]]]] = []
    begun = shown_at = time.monotonic()
    for place in range(n):
        try:
            numbers, lists, _ = compute([place])
        except Exception as error:
            return found, f"answer {place + 1} alone: {said(error)}"
        found.append((numbers, lists))
        now = time.monotonic()
        if now - shown_at > _LOOK_S:
            shown_at = now
            print(f"{name}: {place + 1} of {n} answers alone", flush=True)
        if now - begun > _LOOK_S and (now - begun) / (place + 1) * n > most_s:
            each = (now - begun) / (place + 1)
            return found, f"one answer takes {each:.2g} s, and all of them more than {most_s:g} s"
    return found, ""


def means_of(
    compute: Any, figures: Mapping[str, float], alone: Sequence[Mapping[str, float]], seed: int
) -> dict[str, list[float]]:
    """Return the values of those figures that are the mean of what the metric says of each answer
    alone: of all answers, and of drawn ones, among which some are twice.
    """
    draw, places = random.Random(seed), range(len(alone))
    tried = [(list(places), figures)]
    for _ in range(PROBES):
        drawn = draw.choices(places, k=len(alone))
        with suppress(Exception):
            tried.append((drawn, compute(drawn)[0]))
    found = {}
    for name in figures:
        values = [numbers.get(name, math.nan) for numbers in alone]
        means = [statistics.fmean(values[at] for at in drawn) for drawn, _ in tried]
        theirs = [numbers.get(name, math.nan) for _, numbers in tried]
        if all(map(same, means, theirs)):
            found[name] = values
    return found


def values_drawn(
    compute: Any, n: int, given: Mapping[str, Any], name: str
) -> tuple[list[dict[str, float]], str]:
    """Return the figures of answers drawn with replacement, and why there are none."""
    if n < FEWEST:
        return [], f"{n} answers are too few to draw from"
    draw, found, most_s = random.Random(given["seed"]), list[dict[str, float]](), given["drawing_s"]
    begun = shown_at = time.monotonic()
    for number in range(given["resamples"]):
        try:
            found.append(compute(draw.choices(range(n), k=n))[0])
        except Exception as error:
            return [], f"over drawn answers: {said(error)}"
        now = time.monotonic()
        if now - shown_at > _LOOK_S:
            shown_at = now
            print(f"{name}: {number + 1} draws", flush=True)
        each = (now - begun) / (number + 1)
        if len(found) < FEWEST_DRAWS and each * FEWEST_DRAWS > most_s:
            return [], f"it takes {each:.2g} s, too long to compute it {FEWEST_DRAWS} times"
        if now - begun > most_s:
            break
    return found, ""


def draws_of(
    figures: Mapping[str, float], drawn: Sequence[Mapping[str, float]]
) -> tuple[dict[str, list[float]], list[str]]:
    """Return the draws of each figure, and of which they say nothing: one that is far from its own
    draws, such as a share of duplicates, changes by the drawing itself.
    """
    found, whys = dict[str, list[float]](), []
    for name, value in figures.items():
        values = [numbers.get(name, math.nan) for numbers in drawn]
        if not values or not all(map(math.isfinite, values)):
            continue
        mean, std = statistics.fmean(values), statistics.stdev(values)
        if abs(mean - value) > std and not same(mean, value):
            whys.append(f"{name} is {mean:.3g} on average over drawn answers, which repeat some")
        else:
            found[name] = values
    return found, whys


def is_list_of_answers(name: str, values: Sequence[float], alone: Sequence[Any]) -> bool:
    """Does a list have a number for each answer? Then one answer alone has a list of its one."""
    if not alone:
        return False
    return all(
        len(lists.get(name, ())) == 1 and math.isclose(lists[name][0], value, rel_tol=1e-3)
        for (_, lists), value in zip(alone, values, strict=False)
    )


# ---- what it takes


def features_of(declared: Any) -> Mapping[str, Any]:
    """Return those of the declared inputs that answers can be given to. Raises Unfit."""
    several = declared if isinstance(declared, list) else [declared]
    fitting = [features for features in several if not problem(features, "")]
    if not fitting:
        takes = " or ".join(map(shown, several))
        raise Unfit(f"{problem(several[0], '')}; it takes {takes}")
    plain = [features for features in fitting if not any(map(inner_of, features.values()))]
    return dict((plain or fitting)[0])


def problem(feature: Any, name: str) -> str:
    """Say why answers cannot be given to it; "" if they can."""
    if isinstance(feature, Mapping):
        found = [problem(inner, inner_name) for inner_name, inner in feature.items()]
        return next(filter(None, found), "")
    inner = inner_of(feature)
    if inner is not None:
        if name == "predictions":
            return "it wants a list for each prediction, and an answer is one text"
        return problem(inner, name)
    dtype = str(getattr(feature, "dtype", feature))
    if name in _NUMBERS or (name in (*_TEXTS, "id") and "string" in dtype):
        return ""
    if name in _TEXTS:
        return f"it wants {dtype} for {name}, and answers are texts"
    return f"it wants {name}, which answers do not have"


def inner_of(feature: Any) -> Any:
    """Return what a list of the features is made of; None for anything else."""
    if isinstance(feature, list | tuple) and feature:
        return feature[0]
    return getattr(feature, "feature", None)


def filled(feature: Any, name: str, answer: Mapping[str, str], place: int) -> Any:
    """Return what a feature is given: the answer, its reference and its place, by its names."""
    if isinstance(feature, Mapping):
        return {one: filled(inner, one, answer, place) for one, inner in feature.items()}
    inner = inner_of(feature)
    if inner is not None:
        return [filled(inner, name, answer, place)]
    if name == "id":
        return str(place)
    return _NUMBERS[name] if name in _NUMBERS else answer[_TEXTS[name]]


def shown(feature: Any) -> str:
    """Write declared inputs on one line."""
    if isinstance(feature, Mapping):
        return f"{{{', '.join(f'{name}: {shown(inner)}' for name, inner in feature.items())}}}"
    inner = inner_of(feature)
    if inner is not None:
        return f"list of {shown(inner)}"
    return str(getattr(feature, "dtype", feature))


if __name__ == "__main__":
    main()
