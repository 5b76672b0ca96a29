"""Hugging Face's `evaluate` by `harness evaluate`: its figures are ours where both mean the same,
with the scripts of its repository (TOUCHSTONE_HF_METRICS, or cloned once), and with one of our own.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from accuracy.metrics import bleu, exact_match, rouge
from harness.cli import app
from tests.clients.conftest import PLACE
from tests.harness.evaluators.fake_hf import script
from tests.harness.study.gating.test_gate import answers, dataset, make

PROGRAM = "hfevaluate"
N = 20
REPOSITORY = "https://github.com/huggingface/evaluate"


@pytest.fixture(scope="module")
def clone() -> Path:
    """The repository of evaluate, or a folder that is one."""
    if given := os.environ.get("TOUCHSTONE_HF_METRICS"):
        return Path(given)
    place = PLACE / "hfevaluate-repository"
    words = ["git", "clone", "--quiet", "--depth", "1", REPOSITORY, str(place)]
    if not place.exists() and subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("evaluate's repository cannot be cloned here")
    return place


def texts() -> list[str]:
    """Answers of which some are right, some are right but for an article, and some are cut."""
    found = answers(n=N)
    for i in range(N):
        if i % 4 == 1:
            found[i] = f"The {found[i].upper()}!"
        elif i % 4 == 2:
            found[i] = found[i][: 10 + 2 * i]
        elif i % 4 == 3:
            found[i] = found[i].replace("gamma delta", f"delta gamma {i}")
    return found


@pytest.fixture
def run(tmp_path) -> tuple[Path, list[str], list[str]]:
    """The folder of a run, its answers and its references."""
    return make(tmp_path, texts(), "int8", dataset(tmp_path, N)), texts(), answers(n=N)


def figures(program, tmp_path, tasks: str, folder: Path, *more: object):
    """Score a run; return {(task, metric): figure}, and the rows."""
    words = ["evaluate", "--with", "hf-evaluate", "--task", tasks, folder]
    words += ["--tool-python", program.bin / "python", "--output-dir", tmp_path / "out", "--json"]
    done = CliRunner().invoke(app, list(map(str, (*words, *more))))
    assert "Traceback" not in done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])["rows"]
    return {(one["task"], one["metric"]): one for row in rows for one in row["figures"]}, rows


def test_figures_are_ours(program, clone, run, tmp_path):
    folder, ours, references = run
    options = ("--", "rouge.use_stemmer=true", "rouge.use_aggregator=false")
    found, rows = figures(
        program, tmp_path, "exact_match,squad,rouge,sacrebleu", folder, "--tool-path", clone,
        *options,
    )  # fmt: skip
    assert {row["status"] for row in rows} == {"DONE"}, rows
    pairs = list(zip(ours, references, strict=True))
    same = np.array([text == reference for text, reference in pairs], float)
    assert found["exact_match", "exact_match"]["value"] == same.mean()
    assert found["exact_match", "exact_match"]["stderr"] == pytest.approx(same.std(ddof=1) / N**0.5)
    squad = 100 * np.mean([exact_match.score(*pair) for pair in pairs], axis=0)
    its = [found["squad", name]["value"] for name in ("exact_match", "f1")]
    assert its == pytest.approx(squad.tolist())
    assert same.mean() < squad[0] / 100 < 1
    mean = rouge.scores(ours, references).mean(axis=0)
    its = [found["rouge", f"{kind} (mean)"]["value"] for kind in rouge.KINDS]
    assert its == pytest.approx(mean.tolist())
    corpus = bleu.corpus(bleu.all_counts(ours, references).tolist())
    assert found["sacrebleu", "score"]["value"] == pytest.approx(corpus.score)
    assert 0 < found["sacrebleu", "score"]["stderr"] < 25


def test_what_needs_more_than_texts_or_the_network_says_so(program, clone, run, tmp_path):
    folder, *_ = run
    tasks = "accuracy,bleu,bertscore,exact_match"
    _, rows = figures(program, tmp_path, tasks, folder, "--tool-path", clone)
    *failed, fine = rows
    assert [row["status"] for row in rows] == ["FAILED"] * 3 + ["DONE"], fine
    for row, words in zip(
        failed, ("wants int32", "reach https://github.com", "install"), strict=True
    ):
        assert words in row["reason"], row["reason"]


def test_a_script_of_our_own_works_with_it(program, run, tmp_path):
    folder, ours, references = run
    body = "return {'same': [float(p == r[0]) for p, r in zip(predictions, references)]}"
    path = script(tmp_path / "mine" / "mine.py", body, references="[kind]")
    found, rows = figures(program, tmp_path, str(path.parent), folder)
    same = np.mean([text == other for text, other in zip(ours, references, strict=True)])
    assert found["mine", "same (mean)"]["value"] == pytest.approx(float(same))
    assert rows[0]["scored"]["takes"] == "{predictions: string, references: list of string}"
