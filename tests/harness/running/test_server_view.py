"""Does a run of a server keep the server's own view, and the files for MLPerf Endpoints?"""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from harness.cli import app

pytest.importorskip("sut.served.served")
KEY = "sesame-of-the-server"


@pytest.fixture
def folder(golden, tmp_path, monkeypatch):
    """A run of the golden server, which asks for a key."""
    golden.set(tokens=8, ttft_ms=20, per_token_ms=5, key=KEY)
    monkeypatch.setenv("TOUCHSTONE_API_KEY", KEY)
    words = ["run", "--scenario", "server", "--base-url", golden.url, "--target-qps", "30"]
    words += ["--min-duration", "2", "--min-queries", "40", "--output-dir", str(tmp_path)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code in (0, 1), done.output  # a verdict: busy machines are late
    (made,) = tmp_path.iterdir()
    return made


def test_a_run_of_a_server_has_its_view_and_its_files(folder):
    rows = pq.read_table(folder / "telemetry.parquet").to_pydict()
    told = [value for value in rows["server_generated_tokens"] if value is not None]
    result = json.loads((folder / "result.json").read_text())
    assert told[-1] >= result["counts"]["tokens"]  # those of the warm-up count there too
    assert max(filter(None, rows["server_rss_bytes"])) > 10 * 2**20
    assert "own view" in (folder / "report.html").read_text()
    summary = json.loads((folder / "endpoints/performance/result_summary.json").read_text())
    assert summary["n_samples_completed"] == result["counts"]["completed"]
    assert 'type: "poisson"' in (folder / "endpoints/config.yaml").read_text()
    held = [
        path for path in folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()
    ]
    assert held == []
