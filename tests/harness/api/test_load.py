"""Folders in a notebook: with pandas and without, and those that are none."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from harness import load
from harness.kernel.errors import BadInput
from tests.harness.result.test_result import make


def test_a_run_has_figures_samples_and_settings(tmp_path):
    folder, result = make(tmp_path, min_queries=20)
    run = load(folder)
    assert run.status == result.status
    assert run.figures["tokens_per_s"] == result.to_json()["throughput"]["tokens_per_s"]
    samples = run.samples
    assert len(samples) == 20
    assert np.sort(samples["ttft_ms"])[10] == run.figures["ttft_p50_ms"]
    assert set(samples["finish"]) == {"eos"}
    assert run.settings["run"]["scenario"] == "server"
    assert "cpu" in run.environment["machine"]
    assert folder.name in repr(run)
    assert len(run.texts) == 20


def test_without_pandas_there_are_columns(tmp_path, monkeypatch):
    folder, _ = make(tmp_path, min_queries=4)
    monkeypatch.setitem(sys.modules, "pandas", None)
    samples = load(folder).samples
    assert isinstance(samples, dict)
    assert samples["latency_ms"].shape == (4,)


def test_what_is_no_folder_of_ours_is_refused(tmp_path):
    with pytest.raises(BadInput, match="no such file"):
        load(tmp_path / "gone")
    (tmp_path / "x").write_text("")
    with pytest.raises(BadInput, match=r"no result\.json"):
        load(tmp_path)
    (tmp_path / "result.json").write_text("[]")
    with pytest.raises(BadInput, match="damaged"):
        load(tmp_path)
