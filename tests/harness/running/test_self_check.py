"""A run says how near its decode steps are to the limit of the device: in result.json, on screen
and on its page.
"""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from harness.options.settings import load_config
from harness.result.publish import whole
from harness.running.session import Run
from harness.study.comparison.rows import row_of
from reports import terminal


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_llama):
    """A short run in this process, of a model whose weights lie in the caches."""
    flags = {"scenario": "offline", "model": str(tiny_llama), "max_new_tokens": 12}
    flags |= {"num_samples": 4, "min_queries": 8, "warmup": 1, "in_process": True}
    config = load_config(flags | {"output_dir": tmp_path_factory.mktemp("runs")})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sut.limit.check.LEAST_BYTES", 0)
        patch.setattr("sut.limit.check.copy_bytes_per_s", lambda clock, device: 1e10)
        with Run(config, lambda text: None, False) as run:
            yield run.execute().to_json(), run.folder


def test_the_result_has_its_steps_beside_the_limit(run):
    result, folder = run
    found = result["self_check"]
    assert found["copy_bytes_per_s"] == 1e10
    assert found["rows"] == 8
    assert found["steps"] >= 4
    assert found["limit_ms"] > found["weights_read_bytes"] / 1e10 * 1e3, "the cache is read too"
    assert found["share"] == pytest.approx(found["limit_ms"] / found["step_ms"])
    assert found["path"] == result["sut_facts"]["decode_step"]
    assert found == json.loads((folder / "result.json").read_text())["self_check"]
    assert row_of(result, folder)["self_check"]["share"] == found["share"]


def test_a_step_far_from_the_limit_is_told_on_screen_and_page(run):
    """Of a model of 100 kB most of a step is everything else."""
    result, folder = run
    (note,) = [note for note in result["notes"] if "a decode step of 8 rows took" in note]
    assert "the device's memory allows" in note
    console = Console(width=300, record=True, file=io.StringIO())
    terminal.show_result(result, folder, console)
    text = console.export_text()
    assert "ms a step, 8 rows, limit" in text
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "share of the limit reached" in page
    assert "speed of a copy on the same device" in page


def test_a_report_made_later_says_the_same(run):
    result, folder = run
    assert whole(folder)[1].to_json()["self_check"] == result["self_check"]
