"""`cheat(kind, **flags)` makes a run of a system that cheats; its folder and result.json come
back.
"""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import sut
from harness.cli import app
from harness.options.settings import load_config
from harness.running.session import Run
from tests.cheats import suts


@pytest.fixture
def cheat(tmp_path, monkeypatch):
    def make(kind, asks=False, **flags):
        own = sut.TABLE["simulated"]._replace(factory=f"{suts.__name__}:{kind.__name__}")
        monkeypatch.setitem(sut.TABLE, "simulated", own._replace(uses_dataset=asks))
        monkeypatch.setattr(suts, "RUNS", tmp_path)
        given = {"scenario": "server", "sut": "simulated", "clock": "virtual", "num_samples": 60}
        given |= {"output_dir": tmp_path, "min_queries": 60, "target_qps": 5}
        with Run(load_config(given | flags), lambda text: None, progress=False) as run:
            run.execute()
        return run.folder, json.loads((run.folder / "result.json").read_text())

    return make


@pytest.fixture
def harness():
    """harness("audit", folder) -> (exit code, the JSON object, what was said)"""

    def call(*words):
        done = CliRunner().invoke(app, [*map(str, words), "--json"])
        lines = done.stdout.splitlines()
        found = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None
        return done.exit_code, found, done.output

    return call


@pytest.fixture
def audited(harness):
    """audited(folder, "--speed") -> verdicts of the audit by rule, as (status, detail), with the
    word of the whole under ""
    """

    def call(*words):
        _, found, said = harness("audit", *words)
        assert found is not None, said
        rules = {v["rule"]: (v["status"], v["detail"]) for v in found["verdicts"]}
        return {name: status for name, (status, _) in rules.items()} | {"": found["status"]}

    return call


@pytest.fixture(autouse=True)
def no_pages(monkeypatch):
    """Leave out the pages, which take most of a short run."""
    monkeypatch.setattr("harness.result.publish._write_page", lambda *_: None)
    monkeypatch.setattr("reports.pages.compare.write", lambda *_: None)
    monkeypatch.setattr("reports.pages.gate.write", lambda *_: None)
