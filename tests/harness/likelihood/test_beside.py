"""Perplexity beside what runs found of the same variants."""

from __future__ import annotations

import json

import pytest

from harness.kernel.errors import BadInput
from harness.likelihood.beside import beside, check


def run(folder, model="acme/tiny", variant="int8", rouge=31.5, speed=80.0):
    folder.mkdir(parents=True)
    accuracy = {"rougeL": rouge, "gen_len": 9000.0}
    data = {
        "schema": "touchstone.result/1",
        "model": model,
        "variant": variant,
        "accuracy": accuracy,
    }
    (folder / "result.json").write_text(json.dumps(data | {"throughput": {"tokens_per_s": speed}}))
    return folder


def test_a_subject_finds_the_scores_and_the_speed_of_its_own_variant(tmp_path):
    folders = [run(tmp_path / "a"), run(tmp_path / "b", variant="nf4", rouge=20.0)]
    found = beside({"model": "models/tiny", "variant": "int8"}, folders)
    assert found == {"run": str(tmp_path / "a"), "rougeL": 31.5, "answer_tokens_per_s": 80.0}
    assert beside({"model": "tiny", "variant": "bf16"}, folders) == {}


def test_a_folder_of_gate_or_compare_holds_several_and_the_first_named_wins(tmp_path):
    run(tmp_path / "gate" / "x"), run(tmp_path / "gate" / "y", variant="nf4")
    folders = [run(tmp_path / "first", rouge=1.0, speed=None), tmp_path / "gate"]
    assert beside({"model": "tiny", "variant": "nf4"}, folders)["run"] == str(
        tmp_path / "gate" / "y"
    )
    both = beside({"model": "tiny", "variant": "int8"}, folders)
    assert (both["rougeL"], both["answer_tokens_per_s"]) == (
        1.0,
        80.0,
    )  # what the first lacks, the next gives


def test_a_folder_without_a_run_is_refused(tmp_path):
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(
        BadInput, match=r"--beside .*: it holds no finished run; expected the folder of a run"
    ):
        check([tmp_path])
