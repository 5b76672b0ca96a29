"""Does the accuracy run cover the dataset, and does it reach its targets?

`scores_in` reads an accuracy.txt as the official checker's patterns do: the number of ROUGE may
stand in quotes, the others may not, and of several numbers in a line the last one counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from reports.mlperf.files import ACCURACY, DETAIL, SUMMARY
from reports.submission.places import Log, Place, Problem, Tree, is_text, lines_of, read_log
from reports.submission.rules import MAX_ACCURACY_LOG_BYTES, QUOTED, Benchmark

_HASH = re.compile(r"hash=\w+")


def accuracy(tree: Tree, place: Place, benchmark: Benchmark) -> Iterator[Problem]:
    """Check the folder accuracy of one result."""
    folder = f"{place.results}/accuracy"
    yield from _detail(tree, f"{folder}/{DETAIL}", benchmark)
    if f"{folder}/{SUMMARY}" not in tree:
        yield Problem(f"{folder}/{SUMMARY}", "missing", seen=False)
    yield from _answers(tree, f"{folder}/{ACCURACY}")
    yield from _scores(tree, f"{folder}/accuracy.txt", place, benchmark)


def _detail(tree: Tree, path: str, benchmark: Benchmark) -> Iterator[Problem]:
    log, complaint = read_log(tree, path)
    if complaint:
        yield Problem(path, complaint)
        return
    wanted = benchmark.accuracy_samples or benchmark.samples
    count = _samples(log)
    if count != wanted:
        yield Problem(path, f"{count} samples; the dataset has {wanted}")
    if log.errors:
        yield Problem(path, f"errors in the log: {len(log.errors)}, the first: {log.errors[0]}")
    mode = log.values.get("effective_test_mode")
    if mode != "AccuracyOnly":
        yield Problem(path, f"the mode is {mode}, not AccuracyOnly", seen=False)
    if log.doubled:
        what = f"{', '.join(log.doubled)}: more than one line; LoadGen writes one"
        yield Problem(path, what, seen=False)


def _samples(log: Log) -> object:
    return log.values.get(
        "effective_accuracy_sample_count", log.values.get("qsl_reported_total_count")
    )


def _answers(tree: Tree, path: str) -> Iterator[Problem]:
    if path not in tree:
        yield Problem(path, "missing")
        return
    size_bytes = len(tree[path].encode(errors="surrogateescape"))
    if size_bytes > MAX_ACCURACY_LOG_BYTES:
        yield Problem(path, f"{size_bytes} bytes; at most {MAX_ACCURACY_LOG_BYTES}")


def _scores(tree: Tree, path: str, place: Place, benchmark: Benchmark) -> Iterator[Problem]:
    """Check the accuracy: the open division must report it (which the checker does not ask for);
    the others must reach it.
    """
    if path not in tree or not is_text(tree[path]):
        yield Problem(path, "missing" if path not in tree else "not UTF-8")
        return
    text, gated = tree[path], place.division != "open"
    if not any(_HASH.fullmatch(line) for line in lines_of(text)):
        yield Problem(path, f"no line hash=<sha256 of the whole {ACCURACY}>", gated)
    try:
        found = scores_in(text, benchmark.accuracy)
    except ValueError as error:
        yield Problem(path, str(error))
        return
    needed = [name for name, (least, _) in benchmark.accuracy.items() if least]
    if missing := [name for name in needed if name not in found]:
        yield Problem(path, f"no {', '.join(missing)}", gated)
    for name, values in found.items():
        if len(set(values)) > 1:
            told = " and ".join(f"{value:g}" for value in values)
            yield Problem(path, f"{name} is there more than once, as {told}", seen=False)
    for name, (least, most) in benchmark.accuracy.items():
        wrong = [value for value in found.get(name, ()) if not least <= value <= most]
        if gated and wrong:
            yield Problem(path, f"{name} is {wrong[0]:g}; it must be {least:.8g} to {most:.8g}")


def scores_in(text: str, names: Iterable[str]) -> dict[str, list[float]]:
    """Return those of `names` that an accuracy.txt has, with one value for each line that has it.

    Raises ValueError for digits and points that are no number.
    """
    found: dict[str, list[float]] = {}
    for line in lines_of(text):
        for name in names:
            pattern = rf"'{name}':\s+'?([\d.]+)" if name in QUOTED else rf"'{name}':\s([\d.]+)"
            if numbers := re.findall(pattern, line):
                found.setdefault(name, []).append(_number(name, numbers[-1]))
    return found


def _number(name: str, digits: str) -> float:
    try:
        return float(digits)
    except ValueError:
        raise ValueError(f"{name} is {digits}, which is not a number") from None
