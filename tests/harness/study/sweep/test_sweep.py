"""What does a sweep leave behind: rows, order, reasons, curves, a page?"""

from __future__ import annotations

import csv
import json
import re
import shutil

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.study.sweep.bests import bests
from tests import ROOT

LOAD = "sweep --sut simulated --clock virtual --scenario server --min-queries 60"
SHORT = "sweep --sut simulated --clock virtual --scenario single-stream --min-queries 64"


def call(words, place):
    done = CliRunner().invoke(app, [*words.split(), "--output-dir", str(place)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def only(place):
    (folder,) = place.iterdir()
    return folder


def found_in(place):
    return json.loads((only(place) / "sweep.json").read_text())


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Rates beyond the capacity of 8 slots (40 queries/s), twice, in two speeds."""
    place = tmp_path_factory.mktemp("swept")
    (place / "plan.toml").write_text(
        "[sweep]\nsut_options = [{slots = 8}, {slots = 8, per_token_ms = 2}]\n"
        "[study]\nrepeats = 2\norder_seed = 4\n"
    )
    words = f"{LOAD} --plan {place / 'plan.toml'} --target-qps 10,20,40..80 --format csv"
    words += " --ttft-limit 300ms"
    done = call(words, place / "out")
    return done, found_in(place / "out"), only(place / "out")


def test_every_combination_is_a_point_with_its_repeats(swept):
    _, found, _ = swept
    assert [point["label"] for point in found["points"]] == [
        f"{options} target-qps={rate}"
        for options in ("slots=8", "slots=8,per_token_ms=2")
        for rate in (10, 20, 40, 80)
    ]
    assert {len(point["runs"]) for point in found["points"]} == {2}
    assert (found["load"], found["swept"]) == ("target_qps", ["sut_options", "target_qps"])
    assert found["not_run"] == []


def test_the_order_of_the_runs_is_recorded_and_is_that_of_the_cells(swept):
    _, found, place = swept
    runs = [run for point in found["points"] for run in point["runs"]]
    by_order = [run["cell"] for run in sorted(runs, key=lambda run: run["order"])]
    cells = [cell["name"] for cell in json.loads((place / "study.json").read_text())["cells"]]
    assert by_order == cells
    assert [name.endswith("(1/2)") for name in cells] == [True] * 8 + [False] * 8
    ended = sorted(runs, key=lambda run: (place / run["run"] / "result.json").stat().st_mtime_ns)
    assert {run["repeat"] for run in ended[:8]} == {1}


def test_figures_are_those_of_the_runs_and_of_littles_law(swept):
    _, found, place = swept
    point = found["points"][0]
    result = json.loads((place / point["runs"][0]["run"] / "result.json").read_text())
    figures = {name: figure["value"] for name, figure in point["figures"].items()}
    assert figures["ttft_p99_ms"] == result["latency"]["ttft_ms"]["p99"]
    assert figures["tokens_per_s_per_user"] == 1000 / 5.0
    rate, mean_s = figures["samples_per_s"], figures["latency_mean_ms"] / 1000
    assert figures["users"] == pytest.approx(rate * mean_s)
    assert figures["tokens_per_s_per_device"] == figures["tokens_per_s"]
    assert point["figures"]["users"]["n"] == 2


def test_the_knee_of_a_faster_system_lies_at_a_higher_rate(swept):
    done, found, _ = swept
    slow, fast = (curve["knee"]["load"] for curve in found["curves"])
    assert slow < fast
    assert [curve["label"] for curve in found["curves"]] == ["slots=8", "slots=8,per_token_ms=2"]
    assert done.exit_code == 0, "a load beyond the limits is what a sweep looks for"
    assert "INVALID" in {point["status"] for point in found["points"]}
    assert all(found["points"][i]["status"] == "VALID" for i in found["front"])


def test_a_csv_has_a_column_for_each_swept_setting_and_three_for_a_figure(swept):
    rows = list(csv.DictReader(swept[0].stdout.splitlines()))
    assert [row["target_qps"] for row in rows] == ["10", "20", "40", "80"] * 2
    assert rows[0]["sut_options"] == "{'slots': 8}"
    assert float(rows[0]["ttft_p50_ms"]) == float(rows[0]["ttft_p50_ms_low"]) == 50.0
    assert rows[0].keys() >= {"label", "status", "reason", "model", "variant", "device", "runs"}


def test_cells_have_no_page_until_it_is_asked_for(swept):
    _, found, place = swept
    run = place / found["points"][0]["runs"][0]["run"]
    assert (place / "sweep.html").is_file()
    assert not (run / "report.html").exists()
    shutil.copytree(run, place.parent / "copy")
    assert CliRunner().invoke(app, ["report", str(place.parent / "copy")]).exit_code == 0
    assert (place.parent / "copy" / "report.html").is_file()
    shutil.rmtree(place.parent / "copy")


def test_what_cannot_be_measured_is_a_row_with_its_reason(tmp_path, tiny_llama):
    broken = tmp_path / "broken"
    shutil.copytree(tiny_llama, broken)
    (broken / "model.safetensors").write_bytes(b"none")
    (tmp_path / "q.jsonl").write_text('{"prompt": "why is the sky blue"}\n' * 4)
    words = f"sweep --model {tiny_llama},{broken} --dataset {tmp_path / 'q.jsonl'} --in-process"
    words += " --min-queries 2 --max-new-tokens 4 --warmup 0 --variant fp32,bf16 --device cpu"
    done = call(words, tmp_path / "out")
    found = found_in(tmp_path / "out")
    assert done.exit_code == 1, "two combinations have no figures"
    statuses = {point["label"]: point["status"] for point in found["points"]}
    assert list(statuses.values()).count("VALID") == 2
    lost = [point for point in found["points"] if point["status"] not in ("VALID", "INVALID")]
    assert all("broken" in point["label"] and point["reason"] for point in lost)
    assert len(lost) == 2
    page = (only(tmp_path / "out") / "sweep.html").read_text()
    assert "Tokens per second" in page
    assert "broken" in page


def test_a_sweep_that_was_cut_off_goes_on_where_it_stopped(tmp_path):
    assert call(f"{SHORT} --samples-per-query 1,2 --repeats 2", tmp_path).exit_code == 0
    place = only(tmp_path)
    before = found_in(tmp_path)
    rows = (place / "rows.jsonl").read_text().splitlines(keepends=True)
    (place / "rows.jsonl").write_text("".join(rows[:3]))
    (place / "sweep.json").unlink()
    done = CliRunner().invoke(app, ["resume", str(place)])
    assert done.exit_code == 0, done.output
    after = found_in(tmp_path)
    changed = [
        (old["cell"], old["run"] == new["run"])
        for was, now in zip(before["points"], after["points"], strict=True)
        for old, new in zip(was["runs"], now["runs"], strict=True)
    ]
    assert sorted(same for _, same in changed) == [False, True, True, True]
    assert [p["label"] for p in after["points"]] == [p["label"] for p in before["points"]]


def test_lists_go_together_with_zip(tmp_path):
    words = f"{SHORT} --max-queries 64..80+8 --warmup 0..2 --zip"
    assert call(words, tmp_path).exit_code == 0
    labels = [point["label"] for point in found_in(tmp_path)["points"]]
    assert labels == [f"max-queries={64 + 8 * i} warmup={i}" for i in range(3)]


def test_a_comparison_takes_ranges_too(tmp_path):
    words = LOAD.replace("sweep", "compare") + " --target-qps 5..10+5"
    assert call(words, tmp_path).exit_code == 0
    found = json.loads((only(tmp_path) / "compare.json").read_text())
    assert [row["label"] for row in found["rows"]] == ["target-qps=5", "target-qps=10"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--target-qps 2,4..64", "show no step"),
        ("--target-qps 5", "nothing to sweep is named"),
        ("--target-qps 5,10 --repeats 0", "--repeats: it is 0"),
        ("--target-qps 5,10 --plan nowhere.toml", "--plan nowhere.toml"),
        ("--target-qps 5,10 --max-queries 60,70,80 --zip", "need as many values each"),
        ("--variant fp32,imt8", "the simulated SUT has no variants"),
    ],
)
def test_bad_input_is_a_sentence_before_anything_is_run(tmp_path, flags, words):
    done = call(f"{LOAD} {flags}", tmp_path / "out")
    assert (done.exit_code, words in " ".join(done.stderr.split())) == (2, True), done.stderr
    assert not (tmp_path / "out").exists()


def test_the_plan_in_the_docs_works_as_written(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "sweep.md").read_text()
    (plan,) = re.findall(r"```toml\n(.*?)```", page, re.S)
    (command,) = re.findall(r"^python -m harness (sweep --plan .+)$", page, re.M)
    (tmp_path / "plan.toml").write_text(plan)
    monkeypatch.chdir(tmp_path)
    assert call(f"{command} --target-qps 2,8", tmp_path / "out").exit_code in (0, 1)
    found = found_in(tmp_path / "out")
    assert [len(point["runs"]) for point in found["points"]] == [2] * 8


def test_a_damaged_sweep_is_a_sentence(tmp_path):
    assert call(f"{SHORT} --max-queries 64,72", tmp_path).exit_code == 0
    file = only(tmp_path) / "study.json"
    saved = json.loads(file.read_text())
    saved["arguments"]["places"].popitem()
    file.write_text(json.dumps(saved))
    done = CliRunner().invoke(app, ["resume", str(only(tmp_path)), "--trust-folder"])
    assert (done.exit_code, "it is damaged" in done.stderr) == (2, True), done.stderr


# ---- which is best


def test_each_system_is_a_row_at_its_best_valid_load(swept):
    _, found, folder = swept
    part = found["best"]
    assert part["by"] == "goodput_per_s"
    by_label = {point["label"]: point for point in found["points"]}
    for row, options in zip(part["rows"], ("slots=8", "slots=8,per_token_ms=2"), strict=True):
        own = [point for point in found["points"]
               if point["series"] == options and point["status"] == "VALID"]  # fmt: skip
        best = max(own, key=lambda point: point["figures"]["goodput_per_s"]["value"])
        assert row["label"] == best["label"]
        assert row["figures"]["tokens_per_s"] == by_label[row["label"]]["figures"]["tokens_per_s"][
            "value"
        ]  # fmt: skip
        assert row["intervals"] == {}  # repeats in virtual time are all the same
    shown = (folder / "sweep.html").read_text()
    assert "Which is best" in shown
    assert "where its goodput is highest" in shown


def test_loads_alone_have_no_best(tmp_path):
    call(f"{LOAD} --target-qps 10,20 --ttft-limit 300ms", tmp_path)
    assert found_in(tmp_path)["best"] == {}


def point(label, variant, **figures):
    folded = {name: dict(zip(("value", "low", "high"), ends, strict=True))
              for name, ends in figures.items()}  # fmt: skip
    return {"label": label, "values": {"variant": variant}, "status": "VALID", "figures": folded}


def test_repeats_say_nothing_of_how_sure_a_quality_is():
    points = [
        point(name, name, tokens_per_s=(speed, speed - 1, speed + 1), eval_loss=(loss, loss, loss))
        for name, speed, loss in (("fp32", 10, 2.0), ("int8", 30, 2.1), ("nf4", 20, 2.2))
    ]
    found = bests(points, ["variant"], ["same", "same", "same"])
    ranks = {rank["figure"]: rank for rank in found["ranks"]}
    assert ranks["eval_loss"]["open"] == ["fp32", "int8", "nf4"]
    assert ranks["tokens_per_s"]["open"] == []
    (front,) = found["fronts"]
    assert front["labels"] == ["int8", "fp32"]
    assert front["dominated"] == [{"label": "nf4", "by": "int8", "sure": False}]
    assert "eval_loss" not in {
        rank["figure"] for rank in bests(points, ["variant"], ["one", "other"])["ranks"]
    }


def test_more_systems_than_anybody_reads_are_not_ranked():
    points = [point(f"v{i}", f"v{i}", tokens_per_s=(i + 1, None, None)) for i in range(33)]
    assert bests(points, ["variant"], []) == {}
    assert len(bests(points[:32], ["variant"], [])["rows"]) == 32
