"""The gate on the real model: the reference passes against itself, a model that was tampered with
does not pass.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from accuracy.gate.readings import Criteria
from harness.options.settings import load_config
from harness.running.session import Run
from harness.study.gating import gate
from harness.study.gating import job as gate_job

FLAGS = {
    "scenario": "offline",
    "mode": "accuracy",
    "warmup": 0,
    "num_samples": 16,
    "max_new_tokens": 24,
    "sample_timeout": 600,
    "in_process": True,  # three processes more would be imports for the most part
}


def with_one_layer_in_3_bits(base: Path, folder: Path) -> Path:
    """A copy in which every weight of the second layer is one of eight values."""
    shutil.copytree(base, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    tensors = load_file(base / "model.safetensors")
    for name, weight in tensors.items():
        if ".layers.1." in name and weight.dim() == 2:
            step = weight.abs().max() / 4
            tensors[name] = (weight / step).round().clamp(-4, 3) * step
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def judged(smollm2, tmp_path_factory):
    """gate.json of the reference against itself, BF16 and the tampered copy, by run folders."""
    from sut.model.find import resolve

    place = tmp_path_factory.mktemp("gate")
    tampered = with_one_layer_in_3_bits(Path(resolve(smollm2, print).path), place / "smollm2-135m")
    folders = []
    for model, variant in ((smollm2, "fp32"), (smollm2, "bf16"), (str(tampered), "fp32")):
        config = load_config(
            FLAGS | {"model": model, "variant": variant, "output_dir": place / "runs"}
        )
        with Run(config, lambda text: None, progress=False) as run:
            assert run.execute().status == "VALID"
        folders.append(str(run.folder))
    shutil.rmtree(tampered)  # half a gigabyte
    job = gate_job.job(
        folders[0], ",".join(folders), {"output_dir": place}, Criteria("99", "reference")
    )
    found, _ = gate.run(job, lambda text: None, lambda row: None)
    return found["rows"]


def worst(row):
    return min(r["value"] for r in row["readings"]["reference"]["ratios"])


def test_the_reference_passes_against_itself_with_a_ratio_of_exactly_1(judged):
    itself = judged[0]
    assert (itself["status"], worst(itself), itself["identical"]) == ("PASS", 1.0, 1.0)


def test_a_layer_in_3_bits_fails_and_bf16_keeps_more(judged):
    _, bf16, tampered = judged
    assert tampered["status"] == "FAIL"
    assert worst(tampered) < 0.9
    assert worst(bf16) > worst(tampered)
