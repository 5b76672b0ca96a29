"""Does a change of the code's shape change what is measured? Run folders against recorded ones.

Every scenario and mode runs with the simulated SUT on the virtual clock, where every nanosecond is
exact; a comparison, a gate and a perplexity study run on tiny models. What they wrote (result.json,
LoadGen's three logs, the tables that people see) is compared with `tests/golden/`. A figure or a
word that must change is recorded again with `GOLDEN=write`, and the commit says why.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness.cli import app

GOLDEN = Path(__file__).parent / "golden"
SCENARIOS = ("single-stream", "multi-stream", "server", "offline")
MODES = ("performance", "accuracy", "submission")
VIRTUAL = "run --sut simulated --clock virtual --num-samples 40 --seeds v6.1"
RUNS = {
    **{
        f"{scenario}_{mode}": f"{VIRTUAL} --scenario {scenario} --mode {mode} --min-queries 24"
        for scenario in SCENARIOS
        for mode in MODES
    },
    "find_peak": f"{VIRTUAL} --scenario server --mode find-peak --target-qps 5 --profile mlperf"
    " --min-duration 5 --max-new-tokens 8",
    "too_slow": f"{VIRTUAL} --scenario server --target-qps 40 --sut-option slots=1",
    "two_eos": f"{VIRTUAL} --scenario server --sut-option fault=two_eos --target-qps 5",
    "lost_sample": f"{VIRTUAL} --scenario offline --sut-option fault=lost_sample",
    "equal_issue": f"{VIRTUAL} --scenario offline --profile llama3.1-8b-edge --min-duration 0"
    " --min-queries 40 --performance-samples 40",
    "target_latency": f"{VIRTUAL} --scenario server --target-latency 3s --target-qps 5",
    "logged_answers": f"{VIRTUAL} --scenario server --accuracy-log-target 10 --target-qps 5",
}
LOGS = ("mlperf_log_detail.txt", "mlperf_log_summary.txt", "mlperf_log_accuracy.json")
VOLATILE = {
    "run_id", "started_at", "measured_at", "environment", "files", "load_s", "driver", "folder",
    "files_digest", "tensors_digest", "weight files of llama",  # drawn by this torch
    "output_dir", "versions", "commit", "seal",
}  # fmt: skip
RUN_NAME = re.compile(r"\d{8}T\d{6}Z_|_[0-9a-f]{6}\b")
VOLATILE_LINES = re.compile(
    r"loadgen_(version|build|git|file)|test_datetime|get_sut_name_duration|power_(begin|end)"
)


def harness(words: str) -> tuple[str, Path]:
    """Run a command here; return what people see and the folder that it made under `runs`."""
    done = CliRunner().invoke(app, words.split())
    assert done.exit_code in (0, 1), done.output
    (folder,) = Path("runs").iterdir()
    told = [line for line in done.stdout.splitlines() if not line.startswith(("made by:", "seal:"))]
    return "\n".join(told), folder


def stable(value: Any) -> Any:
    """`value` without what differs from one run to the next: names, moments, machines."""
    if isinstance(value, dict):
        return {key: stable(item) for key, item in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        return [stable(item) for item in value]
    return RUN_NAME.sub("", value) if isinstance(value, str) else value


def read_logs(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in LOGS:
        text = (folder / name).read_text(encoding="utf-8")
        found[name] = text.splitlines()
    found[LOGS[0]] = [list(event) for event in _events(found[LOGS[0]])]
    return found


def _events(lines: list[str]) -> Iterator[tuple[str, Any, bool]]:
    for line in lines:
        event = json.loads(line.removeprefix(":::MLLOG "))
        if not VOLATILE_LINES.match(event["key"]):
            yield event["key"], event["value"], event["metadata"]["is_error"]


def check(name: str, found: Any, tolerance: float = 0.0) -> None:
    """Compare with the recorded value; record it instead if `GOLDEN=write`."""
    file = GOLDEN / f"{name}.json"
    found = stable(json.loads(json.dumps(found).replace(str(Path.cwd()), ".")))
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
        return
    differences = list(differing(json.loads(file.read_text()), found, tolerance))
    assert not differences, "\n".join(differences[:20])


def differing(recorded: Any, found: Any, tolerance: float, where: str = "") -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(found, dict):
        for key in recorded.keys() | found.keys():
            missing = object()
            pair = recorded.get(key, missing), found.get(key, missing)
            if missing in pair:
                yield f"{where}/{key}: only {'found' if pair[0] is missing else 'recorded'}"
            else:
                yield from differing(*pair, tolerance, f"{where}/{key}")
    elif isinstance(recorded, list) and isinstance(found, list):
        if len(recorded) != len(found):
            yield f"{where}: {len(recorded)} recorded, {len(found)} found"
        for i, pair in enumerate(zip(recorded, found, strict=False)):
            yield from differing(*pair, tolerance, f"{where}/{i}")
    elif not same(recorded, found, tolerance):
        yield f"{where}: recorded {recorded!r}, found {found!r}"


def same(recorded: Any, found: Any, tolerance: float) -> bool:
    if isinstance(recorded, float) and isinstance(found, int | float):
        return math.isclose(recorded, found, rel_tol=tolerance, abs_tol=tolerance)
    return bool(recorded == found)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Paths are short and the same in every run: the commands run in a folder of their own."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_in_virtual_time_writes_what_it_always_wrote(name):
    table, folder = harness(RUNS[name])
    found: dict[str, Any] = {"table": table.splitlines()}
    for part in (".", "accuracy"):
        place = folder / part
        if place.is_dir():
            result = json.loads((place / "result.json").read_text())
            found[part] = {"result": result, "logs": read_logs(place)}
    check(name, found)


WORDS = ("why is the sky blue", "what is a sample", "how blue is the sky", "a b c d e f g h")
TIMED = re.compile(r"_per_s|seconds|_ms$|speed|bytes|joules|energy|reason|^run$|_s$")


@pytest.fixture
def model(tiny_llama):
    """A tiny model and its questions, texts and answers, by short names."""
    Path("llama").symlink_to(tiny_llama)
    rows = []
    for i, text in enumerate(WORDS * 6):
        rows.append({"prompt": f"{text} {'abcdefgh'[i % 8]}", "reference": WORDS[(i + 1) % 4]})
    Path("answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    texts = [{"text": f"why is the sky blue {c} what", "category": c} for c in "abcdeabcde"]
    Path("texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    return "--model llama --device cpu --in-process"  # else most of the time would be imports


def untimed(value: Any) -> Any:
    """`value` without figures of time and memory, which no two runs share."""
    if isinstance(value, dict):
        return {k: untimed(v) for k, v in value.items() if not TIMED.search(k)}
    if isinstance(value, list):
        return [untimed(item) for item in value]
    return value


def test_a_comparison_says_what_it_always_said(model):
    words = f"compare {model} --variants fp32,bf16 --dataset answers.jsonl --warmup 1"
    _, folder = harness(f"{words} --max-new-tokens 6")
    found = json.loads((folder / "compare.json").read_text())
    rows = [{**untimed(row), "conditions": None} for row in found["rows"]]
    kept = {key: found["verdict"][key] for key in ("reference", "failed", "best_by")}
    check("compare", {**kept, "comparable": found["comparable"], "rows": rows}, 1e-3)


def test_a_gate_says_what_it_always_said(model):
    words = f"gate {model} --reference fp32 --candidates bf16 --dataset answers.jsonl"
    table, folder = harness(f"{words} --max-new-tokens 6 --resamples 500 --target 99")
    found = json.loads((folder / "gate.json").read_text())
    lines = [line for line in table.splitlines() if line[:1] not in "╭│╰"]  # they hold a path
    lines = [line for line in lines if not line.endswith("iB")]  # or a speed and a memory
    check("gate", {"table": lines, "gate": untimed(found)}, 1e-3)


def test_a_perplexity_study_says_what_it_always_said(model):
    _, folder = harness(f"perplexity {model} --variants fp32,bf16 --dataset texts.jsonl")
    found = json.loads((folder / "perplexity.json").read_text())
    check("perplexity", untimed(found), 1e-3)
