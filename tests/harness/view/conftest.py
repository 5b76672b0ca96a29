"""A comparison that all tests of the view look at."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from harness.cli import app


@pytest.fixture(scope="package")
def measured(tmp_path_factory):
    """A comparison of two simulated runs, measured by the program itself."""
    place = tmp_path_factory.mktemp("view")
    words = ["compare", "--sut", "simulated", "--clock", "virtual", "--max-concurrency", "1,2"]
    done = CliRunner().invoke(app, [*words, "--quiet", "--output-dir", str(place)])
    assert done.exit_code == 0, done.output
    return place
