"""Runs for the scripts of the compliance tests: honest systems and cheats, and what each script and
our audit have to say to them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import sut
from harness.kernel.types import Output
from harness.mlperf.audit import audit
from reports.mlperf.files import ACCURACY, DETAIL, SUMMARY
from sut.simulated import EOS, Simulated
from tests.official import programs
from tests.official.trees import AUDITS, run

SCENARIOS = {
    "server": "Server",
    "offline": "Offline",
    "single-stream": "SingleStream",
    "multi-stream": "MultiStream",
}


class EosInside(Simulated):
    """Goes on after its end-of-sequence token."""

    def _answer(self, index: int) -> list[int]:
        ids = super()._answer(index)
        return [*ids[:2], EOS, *ids[2:-1], 7]


class Silent(Simulated):
    """Completes some samples with nothing."""

    def _complete(self, sample_id: int, ids: list[int]) -> None:
        super()._complete(sample_id, [] if sample_id % 10 == 3 else ids)


class TellsNoFirstToken(Simulated):
    """Returns whole answers, so its first token has no time."""

    def _first(self, sample_id: int, ids: list[int]) -> None:
        self._next(sample_id, ids, len(ids))


class GivesUp(Simulated):
    """Cuts its answers off long before their limit."""

    def _complete(self, sample_id: int, ids: list[int]) -> None:
        self._sink.complete(Output(sample_id, "length", ids[:-1], reported_tokens=len(ids) - 1))

    def _answer(self, index: int) -> list[int]:
        return [*super()._answer(index)[:3], EOS]


class Pads(Simulated):
    """Fills its answers up with end-of-sequence tokens."""

    def _answer(self, index: int) -> list[int]:
        return [*super()._answer(index), EOS, EOS]


class BeginsOtherwise(Simulated):
    """Another model's answers wherever they are timed: it has been loaded for that."""

    def _answer(self, index: int) -> list[int]:
        return [token if token == EOS else token + 1 for token in super()._answer(index)]


class GoesOnOtherwise(Simulated):
    """The right first token, and then another model's."""

    def _answer(self, index: int) -> list[int]:
        first, *rest = super()._answer(index)
        return [first, *(token if token == EOS else token + 1 for token in rest)]


class KeepsAnswers(Simulated):
    """Answers a question that it has answered before at once."""

    def load(self, samples: Any, sink: Any) -> None:
        super().load(samples, sink)
        self._known: set[int] = set()

    def _admit(self) -> None:
        while self._waiting and self._busy < self._slots:
            sample_id, index = self._waiting[0]
            if index not in self._known:
                self._known.add(index)
                rest, self._waiting = self._waiting, type(self._waiting)([self._waiting.popleft()])
                super()._admit()
                self._waiting = rest
                continue
            self._waiting.popleft()
            ids = self._answer(index)
            self._sink.first_token(sample_id, ids[0])
            self._sink.tokens(sample_id, ids[1:])
            self._sink.complete(Output(sample_id, "eos", ids, reported_tokens=len(ids)))


def folder_of(kind: type[Simulated], place: Path, **flags: Any) -> Path:
    """A finished run of a system of this kind."""
    own = sut.TABLE["simulated"]
    sut.TABLE["simulated"] = own._replace(factory=f"{kind.__module__}:{kind.__name__}")
    try:
        return run(place, **({"profile": "llama3.1-8b", "target_qps": 20} | flags))
    finally:
        sut.TABLE["simulated"] = own


class Row(NamedTuple):
    """`refused_by`: both, ours, theirs or neither; `why` where they differ."""

    test: str
    name: str
    verdicts: Callable[[Path], tuple[bool, programs.Answer]]  # (ours accepts, theirs)
    refused_by: str = "both"
    why: str = ""


def accepts(folder: Path, *companions: Path, rules: tuple[str, ...]) -> bool:
    """No rule that begins so fails or is in doubt."""
    verdicts = audit(folder, companions)["verdicts"]
    return all(
        verdict["status"] in ("PASS", "SKIPPED")
        for verdict in verdicts
        if verdict["rule"].startswith(rules)
    )


# ---- TEST06


def _test06(
    kind: type[Simulated], scenario: str, **options: Any
) -> Callable[[Path], tuple[bool, programs.Answer]]:
    def verdicts(place: Path) -> tuple[bool, programs.Answer]:
        flags = AUDITS["TEST06"] | {"num_samples": 200, "sut_options": {"tokens": 8} | options}
        made = folder_of(kind, place, scenario=scenario, **flags)
        theirs = programs.test06(made, SCENARIOS[scenario], place / "official")
        return accepts(made, rules=("TEST06",)), theirs

    return verdicts


_HONEST = [
    Row("TEST06", f"honest, {scenario}", _test06(Simulated, scenario), "neither")
    for scenario in SCENARIOS
]
_FAULTS = [
    Row("TEST06", f"{fault}, {scenario}", _test06(Simulated, scenario, fault=fault), *rest)
    for fault, scenario, *rest in (
        ("wrong_first_token", "server"),
        ("wrong_first_token", "single-stream"),
        ("wrong_first_token", "offline", "ours", "the script skips offline; the tokens are there"),
        ("two_eos", "server"),
        ("two_eos", "offline"),
        ("wrong_count", "server"),
        ("wrong_count", "offline"),
        ("lost_sample", "server", "ours", "the script reads what there is"),
    )
]
_CHEATS = [
    Row("TEST06", "EOS in the middle", _test06(EosInside, "server"), "ours",
        "the script looks at the end of an answer only"),
    Row("TEST06", "padded with EOS", _test06(Pads, "server")),
    Row("TEST06", "empty answers", _test06(Silent, "server"), "ours",
        "nothing agrees with nothing"),
    Row("TEST06", "no first token", _test06(TellsNoFirstToken, "server"), "ours",
        "an empty first token agrees with any"),
    Row("TEST06", "cut short", _test06(GivesUp, "server"), "ours",
        "the script does not know the limit"),
]  # fmt: skip


def _few(place: Path) -> tuple[bool, programs.Answer]:
    flags = AUDITS["TEST06"] | {"num_samples": 200, "min_queries": 40}
    made = folder_of(Simulated, place, scenario="server", **flags)
    return accepts(made, rules=("TEST06",)), programs.test06(made, "Server", place / "official")


# ---- TEST01 and TEST04


def _results(place: Path, timed: Path, scored: Path | None = None) -> Path:
    """The folders that the scripts read, of two runs."""
    for run_folder, part in ((timed, "performance/run_1"), (scored, "accuracy")):
        for name in (DETAIL, SUMMARY, ACCURACY):
            if run_folder is not None:
                (place / part).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(run_folder / name, place / part / name)
    return place


def _test01(kind: type[Simulated]) -> Callable[[Path], tuple[bool, programs.Answer]]:
    """The audit run is the performance run once more, with all answers logged."""

    def verdicts(place: Path) -> tuple[bool, programs.Answer]:
        flags = {"scenario": "server", "num_samples": 300, "min_queries": 900, "min_duration": 0.0}
        scored = folder_of(Simulated, place, mode="accuracy", **flags)
        timed = folder_of(kind, place, **flags)
        audited = folder_of(kind, place, accuracy_log_target=4096, **flags)
        theirs = programs.test01(_results(place / "r", timed, scored), audited, place / "official")
        return accepts(audited, scored, rules=("TEST01", "TEST06 valid_runs")), theirs

    return verdicts


def _test04(kind: type[Simulated], scenario: str) -> Callable[[Path], tuple[bool, programs.Answer]]:
    def verdicts(place: Path) -> tuple[bool, programs.Answer]:
        flags = {"scenario": scenario, "num_samples": 2000, "min_queries": 700, "min_duration": 0.0}
        timed = folder_of(kind, place, issue="random", **flags)
        same = folder_of(kind, place, issue="same", same_index=3, **flags)
        theirs = programs.test04(_results(place / "r", timed), same, place / "official")
        return accepts(timed, same, rules=("TEST04", "TEST06 valid_runs")), theirs

    return verdicts


# ---- TEST07 and TEST09


def _test07(score: float | None) -> Callable[[Path], tuple[bool, programs.Answer]]:
    """The score is told to both: the benchmark's own accuracy script is not at hand."""

    def verdicts(place: Path) -> tuple[bool, programs.Answer]:
        from dataclasses import replace

        from accuracy.compliance.audit import audit as judge
        from harness.mlperf.audit import audited

        flags = AUDITS["TEST07"] | {"sut_options": {"tokens": 2}}
        made = folder_of(Simulated, place, scenario="server", profile="gpt-oss-120b", **flags)
        scores = {} if score is None else {"exact_match": score}
        verdicts = judge(replace(audited(made), scores=scores))
        ours = all(v.status in ("PASS", "SKIPPED") for v in verdicts if v.rule[:6] == "TEST07")
        return ours, programs.test07(made, score, 60.698, place / "official")

    return verdicts


class Brief(Simulated):
    """Sends what follows the first token at once: thousands of tokens take no time here."""

    def _next(self, sample_id: int, ids: list[int], position: int) -> None:
        self._sink.tokens(sample_id, ids[1:])
        super()._next(sample_id, ids, len(ids))


def _test09(tokens: int, questions: int = 6396) -> Callable[[Path], tuple[bool, programs.Answer]]:
    def verdicts(place: Path) -> tuple[bool, programs.Answer]:
        flags = AUDITS["TEST09"] | {
            "sut_options": {"tokens": tokens},
            "max_new_tokens": 10240,
            "num_samples": questions,
            "min_queries": questions,
        }
        made = folder_of(Brief, place, scenario="offline", profile="gpt-oss-120b", **flags)
        return accepts(made, rules=("TEST09",)), programs.test09(made, place / "official")

    return verdicts


ROWS = [
    *_HONEST,
    *_FAULTS,
    *_CHEATS,
    Row("TEST06", "40 answers logged", _few, "ours", "its audit.config means 100"),
    Row("TEST01", "honest", _test01(Simulated), "neither"),
    Row("TEST01", "another model under load", _test01(BeginsOtherwise)),
    Row("TEST01", "another model after the first token", _test01(GoesOnOtherwise), "ours",
        "the script compares the first token only"),
    Row("TEST04", "honest, single-stream", _test04(Simulated, "single-stream"), "neither"),
    Row("TEST04", "honest, server", _test04(Simulated, "server"), "neither"),
    Row("TEST04", "honest, offline", _test04(Simulated, "offline"), "neither"),
    Row("TEST04", "keeps answers, single-stream", _test04(KeepsAnswers, "single-stream")),
    Row("TEST04", "keeps answers, server", _test04(KeepsAnswers, "server"), "ours",
        "the rate of a server run is that of its schedule, whatever is kept"),
    Row("TEST07", "60.698 %", _test07(60.698), "neither"),
    Row("TEST07", "60.69 %", _test07(60.69)),
    Row("TEST07", "no score", _test07(None)),
    Row("TEST09", "1,278 tokens", _test09(1278, 6396), "neither"),
    Row("TEST09", "1,150 tokens", _test09(1150, 6396)),
    Row("TEST09", "1,407 tokens", _test09(1407, 6396)),
    Row("TEST09", "1,278 tokens, 600 answers", _test09(1278, 600), "ours",
        "its audit.config means 6,396"),
]  # fmt: skip
