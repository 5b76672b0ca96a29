"""Runs side by side: ratios, verdicts, what may not be compared, variants that fail, and how it all
reads.
"""

from __future__ import annotations

import copy
import json
import re
import xml.etree.ElementTree as ET

import pytest
from rich.console import Console

from harness.kernel.errors import BadInput
from harness.study.comparison import compare, conditions, rows
from harness.study.comparison.rows import FIGURES, LATENCIES, PEAKS, read_row
from harness.study.study import load
from reports.pages import compare as page
from reports.pages.comparison import columns
from reports.plots.best import speed_against_weights
from reports.plots.labels import Point
from sut.precision.table import TABLE
from tests.harness.result.test_result import make
from tests.reports.pages.test_run import HOSTILE, UNSEEN, Page
from tests.test_cli import harness

pytestmark = pytest.mark.pictures

MIB = 2**20
CONDITIONS = {"scenario": "offline", "dataset": "qa 6d44970b", "samples": "200"}


def row(variant="fp32", **changes):
    """A row as `row_of` makes it."""
    known = {
        **dict.fromkeys(FIGURES),
        "model": "m", "variant": variant, "status": "VALID", "reason": "every condition holds",
        "run": f"/runs/{variant}", "tokenizer": "t",
        "parameters": 134_515_008, "trainable_parameters": 0,
        "disk_bytes": 513 * MIB, "weights_bytes": 512 * MIB, "kv_cache_bytes": 100 * MIB,
        "peak_bytes": 1200 * MIB, **dict.fromkeys(PEAKS), "eval_loss": 3.0,
        "perplexity": 20.0, "token_accuracy": 0.37,
        "eval_samples_per_s": 5.0, "rouge1": 40.0, "rouge2": 20.0, "rougeL": 30.0,
        **dict.fromkeys(LATENCIES), "inference_s": None,
        "tokens_per_s": 100.0, "samples_per_s": 3.0, "ttft_p50_ms": 900.0, "tpot_p50_ms": 80.0,
        "joules_per_token": None, "conditions": CONDITIONS,
    }  # fmt: skip
    return known | changes


def compared(*rows):
    return compare.compare(rows) | {"interrupted": False, "not_run": [], "folder": "runs/c"}


def oom(variant="int8"):
    return {
        **row(variant),
        **dict.fromkeys(FIGURES),
        "status": "OOM",
        "reason": "out of memory",
        "conditions": {},
    }


def screen(found, width=80):
    console = Console(width=width, record=True, file=open("/dev/null", "w"), highlight=False)  # noqa: SIM115
    page.show(found, page.Path("runs/c"), console)
    console.file.close()
    return console.export_text()


# ---- the comparison


def test_runs_whose_energy_is_of_other_gpus_are_not_compared_silently():
    own = {**CONDITIONS, "energy": "of the GPUs that the run used"}
    all_of_node = {**CONDITIONS, "energy": "of the GPUs, all of the machine"}
    assert not compared(row(conditions=own), row("int8", conditions=all_of_node))["comparable"]
    assert compared(row(conditions=own), row("int8", conditions=CONDITIONS))["comparable"]


@pytest.mark.parametrize(
    ("energy", "said"),
    [
        ({}, None),
        ({"joules": 1, "whose": "used", "gpus": [3]}, "of the GPUs that the run used"),
        (
            {"joules": 1, "whose": "visible", "gpus": [0, 1]},
            "of the GPUs, all 2 that the run could use",
        ),
        ({"joules": 1}, "of the GPUs, all of the machine"),  # of older versions
    ],
)
def test_a_row_says_whose_energy_it_has(energy, said):
    assert conditions._metered(energy).get("energy") == said


def test_ratios_are_to_the_first_row():
    found = compared(row(), row("int8", tokens_per_s=150.0, weights_bytes=128 * MIB))
    assert [r["speed_ratio"] for r in found["rows"]] == [1.0, 1.5]
    assert [r["weights_ratio"] for r in found["rows"]] == [1.0, 0.25]


def test_the_verdict_names_the_fastest_the_smallest_and_the_best():
    rows = [
        row(),
        row("bf16", tokens_per_s=180.0),
        row("nf4", weights_bytes=90 * MIB),
        row("lora", eval_loss=2.4),
    ]
    verdict = compared(*rows)["verdict"]
    assert (verdict["fastest"], verdict["smallest"], verdict["best"]) == ("bf16", "nf4", "lora")


def test_without_an_evaluation_the_best_is_the_one_with_the_highest_rouge():
    verdict = compared(row(eval_loss=None), row("bf16", eval_loss=None, rougeL=31.0))["verdict"]
    assert (verdict["best"], verdict["best_by"]) == ("bf16", "rougeL")


@pytest.mark.parametrize("name", ["scenario", "dataset", "samples"])
def test_runs_of_another_kind_are_not_comparable_and_it_says_why(name):
    found = compared(row(), row("bf16"), row("int8", conditions=CONDITIONS | {name: "other"}))
    assert not found["comparable"]
    assert found["differences"] == [f"{name}: {CONDITIONS[name]} (fp32, bf16); other (int8)"]
    assert compare.exit_code(found) == 1
    for text in (screen(found), Page(page.render(found)).text):
        assert (
            f"comparable: NO, these differ: [1] {name}: {CONDITIONS[name]} (fp32, bf16); other"
            " (int8)" in " ".join(text.replace("│", " ").split())
        )


def test_a_variant_that_failed_leaves_the_others_figures_alone():
    found = compared(row(), oom(), row("bf16", tokens_per_s=150.0))
    assert found["comparable"]
    assert (found["verdict"]["fastest"], found["verdict"]["failed"]) == ("bf16", ["int8"])
    assert found["rows"][1]["speed_ratio"] is None
    assert compare.exit_code(found) == 1


def test_a_reference_that_failed_leaves_no_ratios():
    found = compared(oom("fp32"), row("bf16"), row("nf4", tokens_per_s=50.0))
    assert found["rows"][1]["speed_ratio"] is None
    assert found["verdict"]["fastest"] == "bf16"
    assert "1.0" not in page.sentences(found)[0]
    screen(found)
    page.render(found)


def test_equal_names_get_the_model_or_a_number():
    labels = [r["label"] for r in compared(row(), row(), row("bf16"))["rows"]]
    assert labels == ["fp32 #1", "fp32 #2", "bf16"]
    assert [r["label"] for r in compared(row(), row(model="n"))["rows"]] == ["m fp32", "n fp32"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [({}, 0), ({"status": "INVALID"}, 1), ({"status": "ERROR"}, 1), ({"status": "OOM"}, 1)],
)
def test_only_valid_runs_exit_with_zero(changes, code):
    assert compare.exit_code(compared(row(), row("bf16", **changes))) == code


# ---- how it reads


def test_five_variants_fit_into_80_columns():
    names = ("fp32", "bf16", "int8-quanto", "int4-quanto", "lora-int8")
    text = screen(compared(*(row(name, trainable_parameters=460_800) for name in names)))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    (header,) = [
        line
        for line in lines
        if "int4-quanto" in line and "lora-int8" in line and "fp32" in line and "kept" not in line
    ]
    assert header.split() == list(names)
    (speeds,) = [line for line in lines if line.startswith("tokens/s")]
    assert len(speeds.split()) == 1 + 5


def test_more_variants_than_fit_go_into_a_second_table():
    text = screen(compared(*(row(f"variant-{i}") for i in range(7))))
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("evaluation loss") == 2
    assert all(f"variant-{i}" in text for i in range(7))


def test_long_names_get_room_and_stay_in_one_piece():
    names = [f"lora-int{i}-quanto-merged" for i in range(5)]
    text = screen(compared(*map(row, names)))
    assert max(map(len, text.splitlines())) <= 80
    assert all(name in text for name in names)
    assert "134.5" in text


def test_a_single_run_is_comparable_with_nothing():
    assert "nothing to compare with" in screen(compared(row(), oom()))


def test_every_figure_that_is_asked_for_stands_on_screen_and_page():
    found = compared(row(), oom())
    for text in (screen(found), Page(page.render(found)).text):
        for name in (
            "trainable parameters", "on disk, MiB", "weights, MiB", "evaluation loss", "perplexity",
            "token accuracy, %", "evaluation samples/s", "tokens/s", "TTFT p50, ms", "TPOT p50, ms",
            "peak memory, MiB", "of reference", "OOM",
        ):  # fmt: skip
            assert name in text
        assert re.search(r"evaluation loss 3\.0000 -", " ".join(text.split()))


def test_each_peak_has_a_row_that_says_what_it_covers():
    peaks = {"loading_peak_bytes": 1200, "serving_peak_bytes": 900, "evaluation_peak_bytes": 4715}
    one = row(**{name: mib * MIB for name, mib in peaks.items()})
    found = compared(one, row("bf16"))
    for text in (screen(found), Page(page.render(found)).text):
        words = " ".join(text.split())
        assert "peak memory, MiB 1,200.0 1,200.0" in words
        assert "while loading 1,200.0 - while serving 900.0 - peak, evaluating 4,715.0 -" in words
    assert "evaluating (scoring the reference answers) has a peak of its own" in columns.NOTE
    assert "while serving" not in screen(compared(row(), row("bf16")))


def test_the_page_stands_alone_runs_no_script_and_links_only_runs_inside_its_folder(tmp_path):
    rows = [row(run=str(tmp_path / "a b_fp32")), row("bf16", run="/elsewhere/run")]
    found = compared(*rows)
    compare._keep(found, tmp_path)
    written = Page((tmp_path / "compare.html").read_text(encoding="utf-8"))
    assert not {"script", "link", "iframe", "img"} & set(written.names())
    assert [a["href"] for tag, a in written.tags if tag == "a"] == ["a%20b_fp32/report.html"]
    kept = json.loads((tmp_path / "compare.json").read_text())
    assert [r["run"] for r in kept["rows"]] == ["a b_fp32", "/elsewhere/run"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_change_nothing(text):
    plain = Page(page.render(compared(row("name"), row("bf16"))))
    source = page.render(
        compared(
            row(text, reason=text, model=text), row("bf16", conditions=CONDITIONS | {text: text})
        )
    )
    hostile = Page(source)
    assert not UNSEEN.search(source)
    assert set(hostile.names()) <= set(plain.names())
    assert not any(name.startswith("on") for _, attributes in hostile.tags for name in attributes)


def test_the_picture_has_a_dot_and_a_label_for_each_and_none_covers_another():
    points = [
        Point("fp32", 512.0, 80.0),
        Point("lora", 513.0, 80.0),
        Point("bf16", 256.0, 140.0),
        Point("$x$ <b>&", 257.0, 141.0),
    ]
    svg = speed_against_weights(points, "fp32")
    texts = {
        "".join(t.itertext()): t.attrib
        for t in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    }
    assert {point.label for point in points} <= texts.keys()
    heights = [
        float(re.findall(r"[\d.]+", str(texts[name]["transform"]))[-1]) for name in ("fp32", "lora")
    ]
    assert abs(heights[0] - heights[1]) >= 10
    assert speed_against_weights(points[:1], "fp32") == ""


# ---- finished runs


def test_finished_runs_are_read_and_compared(tmp_path):
    folders = [
        make(tmp_path, seeds="1,2,3")[0],
        make(tmp_path, seeds="1,2,3", sut_options={"per_token_ms": 10.0})[0],
    ]
    series = compare.series(folders, {"output_dir": tmp_path}, None)
    found, place = compare.run(series, lambda text: None, lambda row: None)
    assert (found["comparable"], compare.exit_code(found)) == (True, 0)
    assert [r["label"] for r in found["rows"]] == ["simulated #1", "simulated #2"]
    slow = json.loads((folders[1] / "result.json").read_text())
    assert found["rows"][1]["tpot_p50_ms"] == slow["latency"]["tpot_ms"]["p50"]
    assert {file.name for file in place.iterdir()} == {"compare.json", "compare.html"}


@pytest.mark.parametrize(
    ("asked", "facts", "told"),
    [
        (8, {"device": "cuda:0", "max_batch": 8}, "8"),
        ("auto", {"device": "cpu", "max_batch": 32}, "32"),  # as runs said before there was auto
        ("auto", {"device": "cuda:0", "max_batch": 256}, "as many as fit"),
        ("auto", {"device": "cuda:0", "max_batch": 180}, "as many as fit"),
    ],
)
def test_on_a_gpu_each_variant_may_take_the_rows_that_fit(asked, facts, told, tmp_path):
    folder, _ = make(tmp_path, seeds="1,2,3")
    found = json.loads((folder / "result.json").read_text())
    found["settings"]["config"]["max_concurrency"] = asked
    found["sut_facts"] |= facts
    row = rows.row_of(found, folder)
    assert row["conditions"]["requests in a batch"] == told


def test_the_command_warns_of_other_loads_prints_one_object_and_exits_with_1(tmp_path):
    folders = [make(tmp_path, scenario=scenario)[0] for scenario in ("server", "offline")]
    done = harness("compare", *folders, "--output-dir", tmp_path, "--json")
    found = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 1
    assert (found["schema"], found["comparable"]) == ("touchstone.compare/1", False)
    assert "comparable: NO" in done.stderr


@pytest.mark.parametrize(
    ("folders", "flags", "variants", "words"),
    [
        ([], {}, None, "nothing to compare is named"),
        (["there"], {"model": "m"}, None, "finished runs are given together with --model"),
        (["there"], {}, "fp32", "finished runs are given together with --variants"),
        (["nowhere"], {}, None, "there is no such file or folder"),
        ([], {}, " , ", "names no variant"),
        ([], {}, "fp32,bf61", "'bf61' is not known"),
        ([], {"scenario": "sever"}, "fp32", "Did you mean 'server'"),
    ],
)
def test_bad_input_is_said_before_anything_runs(tmp_path, folders, flags, variants, words):
    with pytest.raises(BadInput, match=words):
        compare.series(
            [tmp_path / name for name in folders],
            {**flags, "output_dir": tmp_path / "out"},
            variants,
        )
    assert not (tmp_path / "out").exists()


def test_a_result_of_another_schema_is_refused(tmp_path):
    folder, _ = make(tmp_path)
    result = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps(result | {"schema": "other/1"}))
    with pytest.raises(BadInput, match="its schema is 'other/1'"):
        read_row(folder)


def test_figures_that_an_older_run_did_not_have_are_unknown(tmp_path):
    folder, _ = make(tmp_path)
    result = json.loads((folder / "result.json").read_text())
    del result["energy"]
    (folder / "result.json").write_text(json.dumps(result))
    found = read_row(folder)
    assert (found["joules_per_token"], found["eval_loss"], found["disk_bytes"]) == (
        None,
        None,
        None,
    )


# ---- runs to be made


@pytest.fixture
def flags(tmp_path, tiny_llama):
    file = tmp_path / "questions.jsonl"
    rows = [
        {"prompt": "why is the sky", "reference": "the sky is blue"},
        {"prompt": "a b", "reference": "c d e"},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = {
        "model": str(tiny_llama),
        "dataset": str(file),
        "max_new_tokens": 4,
        "min_queries": 4,
        "in_process": True,
    }
    return {**model, "warmup": 0, "output_dir": tmp_path / "runs"}


def fails_with(monkeypatch, variant, error):
    def load(*_, **__):
        raise error

    monkeypatch.setitem(TABLE, variant, TABLE[variant]._replace(load=load))


def made(flags, variants):
    heard = []
    found, place = compare.run(compare.series([], flags, variants), lambda text: None, heard.append)
    assert [row["variant"] for row in heard] == [row["variant"] for row in found["rows"]]
    return found, place


def test_two_runs_of_the_same_variant_are_a_tie(flags):
    """Two questions, sixteen tokens: nothing here can be told from chance."""
    found, _ = made(flags, "fp32,fp32")
    assert [found["verdict"][name] for name in ("fastest", "smallest", "best")] == [None] * 3
    assert found["verdict"]["leads"]["best"]["others"]["fp32 #2"]["low"] is None or (
        found["rows"][0]["eval_loss"] == found["rows"][1]["eval_loss"]
    )
    assert found["rows"][1]["keeps_99"] == "PASS"


def test_each_variant_is_run_offline_and_evaluated(flags):
    found, place = made(flags, "fp32,bf16")
    assert [(r["label"], r["status"]) for r in found["rows"]] == [
        ("fp32", "VALID"),
        ("bf16", "VALID"),
    ]
    assert found["rows"][1]["weights_ratio"] == pytest.approx(0.5, abs=0.01)
    assert all(
        r["eval_loss"] and r["tokens_per_s"] and r["parameters"] and r["disk_bytes"]
        for r in found["rows"]
    )
    for r in found["rows"]:
        phases = [r[f"{phase}_peak_bytes"] for phase in ("loading", "serving", "evaluation")]
        assert all(peak > 50 * MIB for peak in phases)  # each process holds at least torch
        assert r["peak_bytes"] == max(phases[:2])
    assert "peak, evaluating" in screen(found)
    assert found["rows"][0]["conditions"]["scenario"] == "offline"
    assert all((place / r["run"] / "report.html").is_file() for r in found["rows"])
    assert json.loads((place / "compare.json").read_text()) == found


def test_a_variant_without_memory_is_oom_with_its_peak_and_the_next_one_runs(flags, monkeypatch):
    fails_with(monkeypatch, "bf16", RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))
    found, _ = made(flags, "fp32,bf16,fp16")
    assert [r["status"] for r in found["rows"]] == ["VALID", "OOM", "VALID"]
    assert found["rows"][1]["peak_bytes"] > 50 * MIB
    assert compare.exit_code(found) == 1
    assert "bf16: OOM" in screen(found)


def test_a_variant_that_this_machine_cannot_run_is_a_row_that_says_why(flags):
    found, _ = made(flags, "lora,fp32")
    assert [r["status"] for r in found["rows"]] == ["FAILED", "VALID"]
    assert "no adapter is given" in found["rows"][0]["reason"]


def test_ctrl_c_keeps_what_was_measured(flags, monkeypatch):
    fails_with(monkeypatch, "bf16", KeyboardInterrupt())
    found, place = made(flags, "fp32,bf16,fp16")
    assert [r["status"] for r in found["rows"]] == ["VALID"]
    assert (found["interrupted"], compare.exit_code(found)) == (True, 130)
    assert "interrupted, not run: bf16, fp16" in screen(found)
    assert (place / "compare.html").is_file()


def test_ctrl_c_before_anything_was_measured_leaves_what_resume_goes_on_with(
    flags, monkeypatch, capsys
):
    with monkeypatch.context() as patched:
        fails_with(patched, "fp32", KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            made(flags, "fp32,bf16")
    (place,) = flags["output_dir"].iterdir()
    assert f"harness resume {place}" in capsys.readouterr().err
    assert [path.name for path in place.iterdir() if path.is_dir()] == []
    found, _ = compare.go_on(load(place, [compare.KIND]), print, print)
    assert [row["status"] for row in found["rows"]] == ["VALID", "VALID"]


def test_an_adapter_goes_to_the_variants_that_take_one(flags, tmp_path):
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).touch()
    series = compare.series([], {**flags, "adapter": tmp_path, "merge_adapter": True}, "fp32,lora")
    assert [(c.adapter, c.merge_adapter) for _, c, _ in series.cells] == [
        (None, False),
        (tmp_path, True),
    ]


def test_a_settings_file_wins_over_what_compare_chooses_and_flags_over_it(flags, tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('scenario = "single-stream"\nevaluate = false\nmax_new_tokens = 9\n')
    ((_, config, _),) = compare.series([], {**flags, "config": file}, "fp32").cells
    assert (config.scenario, config.evaluate, config.max_new_tokens) == ("single-stream", False, 4)


def test_the_object_is_not_changed_by_showing_it():
    found = compared(row(), oom())
    before = copy.deepcopy(found)
    screen(found)
    page.render(found)
    assert found == before
