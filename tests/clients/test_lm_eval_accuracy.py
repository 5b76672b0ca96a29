"""lm-eval and we on the same questions and the same model: the same answers are right.

lm-eval asks the served model for the likelihoods of the letters, with the prompt of its MMLU; we
ask the model ourselves.
"""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from accuracy.tasks.files import SCORES
from accuracy.tasks.load import docs_of
from harness.cli import app
from harness.kernel.foreign.tables import read_table
from tests import ROOT

pytestmark = pytest.mark.model

PROGRAM = "lmeval"
COUNT = 8
HEADING = "The following are multiple choice questions (with answers) about"
TASK = """
task: own
include: {template}
dataset_path: json
dataset_name: null
dataset_kwargs: {{data_files: {{test: {file}, dev: {file}}}}}
description: "{heading} {{{{subject}}}}.\\n\\n"
"""


@pytest.mark.timeout(600)
def test_the_same_answers_are_right(program, served, smollm2, tmp_path):
    lines = (ROOT / "accuracy/datasets/subjects.jsonl").read_text(encoding="utf-8").splitlines()
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(lines[:COUNT]) + "\n", encoding="utf-8")
    theirs, accuracy = lm_evals(program, served, tmp_path, file)
    ours = our_own(smollm2, tmp_path, file)
    assert len(docs_of(f"subjects:{file}")) == COUNT
    assert ours == theirs
    assert accuracy == sum(ours) / COUNT


def lm_evals(program, served, place, file):
    """Return whether each answer is right, and the accuracy of all, as lm-eval says."""
    find = "from importlib.util import find_spec as f; print(f('lm_eval').origin)"
    said = program.python(find).strip().removesuffix("/__init__.py")
    template = f"{said}/tasks/mmlu/default/_default_template_yaml"
    (place / "own.yaml").write_text(TASK.format(template=template, file=file, heading=HEADING))
    model = f"base_url={served['url']}/completions,model={served['models'][0]}"
    program.run(
        "lm_eval", "--model", "local-completions", "--tasks", "own", "--include_path", str(place),
        "--output_path", "out", "--log_samples", "--model_args",
        f"{model},tokenizer_backend=remote,max_length=2048", HF_HOME=str(place), timeout=550,
    )  # fmt: skip
    (samples,) = place.glob("out/**/samples_own*.jsonl")
    rows = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    (results,) = place.glob("out/**/results*.json")
    accuracy = json.loads(results.read_text())["results"]["own"]["acc,none"]
    return [row["acc"] for row in sorted(rows, key=lambda row: row["doc_id"])], accuracy


def our_own(model, place, file):
    words = ["run", "--mode", "accuracy", "--scenario", "offline", "--model", model]
    words += ["--task", f"subjects:{file}", "--warmup", "0", "--output-dir", str(place / "runs")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    (scores,) = place.glob(f"runs/*/{SCORES}")
    return [row["score"] for row in read_table(scores).to_pylist() if row["scorer"] == "likelihood"]
