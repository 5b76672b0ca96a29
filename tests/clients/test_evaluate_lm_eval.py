"""lm-eval by `harness evaluate`, by our model class in its own command line, and Touchstone's own
`--task` on the same file: one accuracy.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from harness.cli import app
from tests import ROOT

pytestmark = pytest.mark.model

PROGRAM = "lmeval"
ROWS = 8
METRICS = ("exact_match (flexible-extract)", "exact_match (strict-match)")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with word problems, and lm-eval's own gsm8k over them."""
    place = tmp_path_factory.mktemp("problems")
    lines = (ROOT / "accuracy" / "datasets" / "word_problems.jsonl").read_text().splitlines()
    (place / "rows.jsonl").write_text("\n".join(lines[:ROWS]) + "\n")
    return place


def its_task(program, place) -> None:
    """Write lm-eval's gsm8k, as it is installed, over our file and without examples."""
    (config,) = program.bin.parent.glob("lib/python3*/site-packages/lm_eval/tasks/gsm8k/gsm8k.yaml")
    text = config.read_text()
    data = f"dataset_path: json\ndataset_kwargs:\n  data_files: {{test: {place}/rows.jsonl}}"
    for before, after in (
        ("task: gsm8k\n", "task: problems\n"),
        ("dataset_path: openai/gsm8k\ndataset_name: main", data),
        ("training_split: train\nfewshot_split: train\n", ""),
        ("num_fewshot: 5", "num_fewshot: 0"),
    ):
        assert before in text, before
        text = text.replace(before, after)
    (place / "problems.yaml").write_text(text)


@pytest.fixture(scope="module")
def ours(place, smollm2):
    """The scores of `harness run --task` on the same file."""
    words = ["run", "--mode", "accuracy", "--scenario", "offline", "--model", smollm2]
    words += ["--task", f"gsm8k:{place}/rows.jsonl", "--shots", "0", "--warmup", "1"]
    done = CliRunner().invoke(app, [*words, "--output-dir", str(place / "runs"), "--json"])
    assert done.exit_code in (0, 1), done.stderr
    scores = json.loads(done.stdout.splitlines()[-1])["task"]["scores"]
    return [scores[name]["value"] for name in ("number", "number_strict")]


def test_its_accuracy_by_our_command_is_ours(program, place, smollm2, ours):
    its_task(program, place)
    words = ["evaluate", "--with", "lm-eval", "--task", "problems", "--model", smollm2]
    words += ["--tool-python", str(program.bin / "python"), "--output-dir", str(place / "made")]
    done = CliRunner().invoke(app, [*words, "--json", "--", "--include_path", str(place)])
    assert done.exit_code == 0, done.stderr
    (row,) = json.loads(done.stdout.splitlines()[-1])["rows"]
    found = {one["metric"]: (one["value"], one["n"]) for one in row["figures"]}
    assert [found[metric] for metric in METRICS] == [(value, ROWS) for value in ours]


def test_its_accuracy_by_our_model_class_is_ours(program, place, smollm2, ours):
    its_task(program, place)
    pip = [program.bin / "python", "-m", "pip", "install", "--quiet", "--no-deps", "-e", str(ROOT)]
    subprocess.run([*pip, "psutil"], check=True, capture_output=True)
    program.run(
        "python", "-m", "harness.evaluators.plugins.lm_eval_model", "--model", "touchstone",
        "--model_args", f"model={smollm2},variant=fp32", "--tasks", "problems",
        "--include_path", str(place), "--output_path", "out", TOUCHSTONE_PYTHON=sys.executable,
    )  # fmt: skip
    (file,) = program.place.glob("out/**/results*.json")
    its = json.loads(file.read_text())["results"]["problems"]
    names = ("exact_match,flexible-extract", "exact_match,strict-match")
    assert [its[name] for name in names] == ours
