"""The folders TEST06, TEST07 and TEST09 of a result: written from what a compliance run showed, and
checked in a tree.

The submission checker reads one page of each: three lines of TEST06's, the words TEST PASS in the
others'. Whether the logs beside a page bear it out is our own question.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.kernel.foreign.parsed import loads
from reports.mlperf.files import ACCURACY, DETAIL, SUMMARY
from reports.submission.places import Place, Problem, Tree, is_text, lines_of
from reports.submission.rules import MAX_ACCURACY_LOG_BYTES, TESTS, Benchmark

_FIRST, _EOS, _LENGTH = "First token check pass", "EOS check pass", "Sample length check pass"
_PASS, _FAIL = "TEST PASS", "TEST FAIL"
_VIEWABLE_BYTES = 4096  # of a cut accuracy log, at either end
_TOKEN_DIGITS = 8  # hex digits of an int32


# ---- what a compliance run showed


@dataclass(frozen=True, slots=True)
class Outputs:
    """TEST06: are the outputs what they claim to be? `first_token` None: not checked (offline)."""

    first_token: bool | None
    eos: bool
    length: bool
    name: str = "TEST06"

    @property
    def passed(self) -> bool:
        return self.first_token is not False and self.eos and self.length

    def page(self) -> str:
        first = "Skipped" if self.first_token is None else self.first_token
        how = "complete" if self.passed else "failed"
        lines = [f"{_FIRST}: {first}", f"{_EOS}: {self.eos}", f"{_LENGTH}: {self.length}"]
        return "\n".join([*lines, f"TEST06 verification {how}"]) + "\n"


@dataclass(frozen=True, slots=True)
class Quality:
    """TEST07: MLPerf's exact match under load, in percent. `score` None: nobody has scored it."""

    score: float | None
    least: float
    name: str = "TEST07"

    @property
    def passed(self) -> bool:
        return self.score is not None and self.score >= self.least

    def page(self) -> str:
        told = "not scored" if self.score is None else f"{self.score:.4f}"
        lines = [f"'exact_match': {told}", f"Accuracy threshold: {self.least:g}"]
        return "\n".join([*lines, _PASS if self.passed else _FAIL]) + "\n"


@dataclass(frozen=True, slots=True)
class Lengths:
    """TEST09: the mean length of the logged answers, in tokens."""

    samples: int
    mean: float
    least: float
    most: float
    name: str = "TEST09"

    @property
    def passed(self) -> bool:
        return self.samples > 0 and self.least <= self.mean <= self.most

    def page(self) -> str:
        lines = [
            f"Total samples: {self.samples}",
            f"Mean output tokens: {self.mean:.2f}",
            f"Min threshold: {self.least:g}",
            f"Max threshold: {self.most:g}",
        ]
        return "\n".join([*lines, _PASS if self.passed else _FAIL]) + "\n"


Finding = Outputs | Quality | Lengths


def files(finding: Finding, logs: Mapping[str, bytes]) -> dict[str, str]:
    """Return the files of a test's folder (path inside it -> text). `logs`: the run's three."""
    found = {TESTS[finding.name]: finding.page()}
    answers = logs[ACCURACY]
    if finding.name == "TEST06":  # a hundred answers: they stay whole
        return found | {f"accuracy/{ACCURACY}": answers.decode()}
    return found | {
        f"accuracy/{ACCURACY}": truncated(answers),
        "accuracy/accuracy.txt": hash_line(answers),
        f"performance/run_1/{DETAIL}": logs[DETAIL].decode(),
        f"performance/run_1/{SUMMARY}": logs[SUMMARY].decode(),
    }


def truncated(log: bytes) -> str:
    """Cut a long log to its two ends, with a line of dots to show that something is missing."""
    if len(log) <= MAX_ACCURACY_LOG_BYTES:
        return log.decode()
    ends = log[:_VIEWABLE_BYTES], log[-_VIEWABLE_BYTES:]
    return "\n\n...\n\n".join(end.decode(errors="ignore") for end in ends)


def hash_line(log: bytes) -> str:
    return f"hash={hashlib.sha256(log).hexdigest()}\n"


# ---- what a tree has of it


def compliance(tree: Tree, place: Place, benchmark: Benchmark) -> Iterator[Problem]:
    """Check the pages of the tests that the closed and the network division need."""
    for test in benchmark.tests:
        folder = f"{place.results}/{test}"
        path = f"{folder}/{TESTS[test]}"
        if path not in tree:
            yield Problem(path, f"missing; the {place.division} division needs it")
        elif not is_text(tree[path]):
            yield Problem(path, "not UTF-8")
        elif test == "TEST06":
            yield from _outputs_page(tree[path], path, place)
            yield from _outputs_log(tree, f"{folder}/accuracy/{ACCURACY}")
        else:
            yield from _other_page(tree[path], path, test)
            yield from _other_logs(tree, folder)


def _outputs_page(text: str, path: str, place: Place) -> Iterator[Problem]:
    lines = [line.strip() for line in lines_of(text)]
    told = {
        name: [line for line in lines if line.startswith(name)] for name in (_FIRST, _EOS, _LENGTH)
    }
    fine = {name: [f"{name}: True"] for name in told}
    fine[_FIRST].append(f"{_FIRST}: Skipped")
    for name, found in told.items():
        if not set(found) & set(fine[name]):
            yield Problem(path, found[0] if found else f"no line {fine[name][0]!r}")
        elif len(set(found)) > 1:
            yield Problem(path, f"it says both {found[0]!r} and {found[1]!r}", seen=False)
    skips = told[_FIRST] == [f"{_FIRST}: Skipped"]
    if skips and place.kind != "Offline":
        yield Problem(path, f"{_FIRST}: Skipped, which is for offline alone", seen=False)
    if "TEST06 verification failed" in lines:
        yield Problem(path, "TEST06 verification failed", seen=False)


def _outputs_log(tree: Tree, path: str) -> Iterator[Problem]:
    """Repeat the two checks that need no EOS id on the answers beside the page."""
    if path not in tree:
        yield Problem(path, "missing", seen=False)
        return
    try:
        answers = loads(tree[path])
        wrong = [str(row["seq_id"]) for row in answers if not _is_consistent(row)]
    except (ValueError, TypeError, KeyError) as error:
        yield Problem(path, f"no accuracy log ({type(error).__name__}: {error})", seen=False)
        return
    if not answers:
        yield Problem(path, "no answer was logged", seen=False)
    if wrong:
        what = (
            f"answers whose first token or count is not that of their ids: {', '.join(wrong[:5])}"
        )
        yield Problem(path, what, seen=False)


def _is_consistent(answer: Mapping[str, Any]) -> bool:
    data, first = answer["data"], answer.get("token_data", "")
    count = len(data) // _TOKEN_DIGITS
    return bool(data.startswith(first[: len(data)]) and count == int(answer["token_count"]))


def _other_page(text: str, path: str, test: str) -> Iterator[Problem]:
    if _PASS not in text:
        yield Problem(path, f"no line {_PASS}: {test} was not passed")
    elif _FAIL in text:
        yield Problem(path, f"it says both {_PASS} and {_FAIL}", seen=False)


def _other_logs(tree: Tree, folder: str) -> Iterator[Problem]:
    for name in (f"accuracy/{ACCURACY}", *(f"performance/run_1/{n}" for n in (DETAIL, SUMMARY))):
        if f"{folder}/{name}" not in tree:
            yield Problem(f"{folder}/{name}", "missing", seen=False)
