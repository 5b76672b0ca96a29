"""Which runs does a comparison make of lists of settings?"""

from __future__ import annotations

import csv
import json

import pytest
from typer.testing import CliRunner

from harness.cli import app

SIMULATED = "compare --sut simulated --clock virtual --scenario server --min-queries 64"


def call(words, place):
    done = CliRunner().invoke(app, [*words.split(), "--output-dir", str(place)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def study_of(place):
    (folder,) = place.iterdir()
    return folder


def names_of(place):
    found = json.loads((study_of(place) / "compare.json").read_text())
    return [row["label"] for row in found["rows"]]


def test_lists_make_every_combination(tmp_path):
    done = call(f"{SIMULATED} --target-qps 5,10 --max-concurrency 8,32", tmp_path)
    assert done.exit_code == 0, "rates and batches were varied on purpose"
    assert names_of(tmp_path) == [
        "target-qps=5 max-concurrency=8",
        "target-qps=5 max-concurrency=32",
        "target-qps=10 max-concurrency=8",
        "target-qps=10 max-concurrency=32",
    ]
    saved = json.loads((study_of(tmp_path) / "study.json").read_text())
    asked = [cell["settings"] for cell in saved["cells"]]
    chosen = [(settings["target_qps"], settings["max_concurrency"]) for settings in asked]
    assert chosen == [(5.0, 8), (5.0, 32), (10.0, 8), (10.0, 32)]
    assert saved["arguments"] == {"varied": ["target_qps", "max_concurrency"], "executor": "here"}


def test_each_run_has_its_own_value_and_a_column_of_the_csv(tmp_path):
    done = call(f"{SIMULATED} --target-qps 5,20 --format csv", tmp_path)
    lines = done.stdout.splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["target-qps=5", "target-qps=20"]
    slow, fast = sorted(study_of(tmp_path).glob("*/result.json"), key=lambda p: p.stat().st_mtime)
    rates = [json.loads(file.read_text())["settings"]["run"]["target_qps"] for file in (slow, fast)]
    assert rates == [5.0, 20.0]


def test_variants_are_a_list_like_any_other(tmp_path, tiny_llama):
    (tmp_path / "q.jsonl").write_text('{"prompt": "why is the sky blue"}\n' * 4)
    words = f"compare --model {tiny_llama} --dataset {tmp_path / 'q.jsonl'} --in-process"
    words += " --no-evaluate --min-queries 2 --max-new-tokens 4 --warmup 0"
    call(f"{words} --variant fp32,bf16 --max-concurrency 1,2", tmp_path / "out")
    assert names_of(tmp_path / "out") == [
        "fp32 max-concurrency=1",
        "fp32 max-concurrency=2",
        "bf16 max-concurrency=1",
        "bf16 max-concurrency=2",
    ]


def test_other_questions_are_not_comparable_though_asked_for(tmp_path):
    words = SIMULATED.replace("--scenario server", "--scenario server,single-stream")
    done = call(f"{words} --target-qps 5", tmp_path)
    assert (done.exit_code, "comparable: NO" in done.stdout) == (1, True)
    assert names_of(tmp_path) == ["server", "single-stream"]


def test_seeds_keep_their_commas(tmp_path):
    assert call(f"{SIMULATED} --target-qps 5,10 --seeds 1,2,3", tmp_path).exit_code == 0
    assert names_of(tmp_path) == ["target-qps=5", "target-qps=10"]


def test_a_killed_product_goes_on_and_still_knows_what_was_varied(tmp_path):
    words = f"{SIMULATED} --target-qps 5,10"
    call(words, tmp_path)
    rows = study_of(tmp_path) / "rows.jsonl"
    rows.write_text(rows.read_text().splitlines(keepends=True)[0])
    done = CliRunner().invoke(app, ["resume", str(study_of(tmp_path))])
    assert done.exit_code == 0, done.stdout
    assert names_of(tmp_path) == ["target-qps=5", "target-qps=10"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--target-qps 5,0", "--target-qps is 0"),
        ("--max-concurrency 8,many", "--max-concurrency is 'many'"),
        ("--max-concurrency 8,", "has an empty value"),
        ("--variant fp32,bf16", "the simulated SUT has no variants"),
        ("--variant fp32 --variants bf16", "both --variant and --variants"),
        ("--target-qps 5", "nothing to compare is named"),
        ("--target-qps 1..20 --max-queries 1..20", "at most 256"),
    ],
)
def test_every_cell_is_checked_before_the_first_begins(tmp_path, flags, words):
    done = call(f"{SIMULATED} {flags}", tmp_path / "out")
    assert (done.exit_code, words in " ".join(done.stderr.split())) == (2, True), done.stderr
    assert not (tmp_path / "out").exists()


def test_percentiles_that_are_asked_for_are_figures_of_every_run(tmp_path):
    words = f"{SIMULATED} --target-qps 5,20 --percentiles 50,99.9 --format csv"
    done = call(words, tmp_path)
    head, *rows = csv.reader(done.stdout.splitlines())
    at = head.index("ttft_p99.9_ms")
    found = json.loads((study_of(tmp_path) / "compare.json").read_text())
    assert [float(row[at]) for row in rows] == [
        row["percentiles"]["ttft_p99.9_ms"] for row in found["rows"]
    ]
    assert head.count("ttft_p50_ms") == 1
    assert "TTFT p99.9" in (study_of(tmp_path) / "compare.html").read_text()


@pytest.mark.parametrize("arguments", [5, {"varied": 5}, {"executor": "moon"}])
def test_damaged_arguments_are_a_sentence(tmp_path, arguments):
    call(f"{SIMULATED} --target-qps 5,10", tmp_path)
    file = study_of(tmp_path) / "study.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"arguments": arguments}))
    done = CliRunner().invoke(app, ["resume", str(study_of(tmp_path))])
    assert (done.exit_code, "it is damaged" in done.stderr) == (2, True), done.stderr
