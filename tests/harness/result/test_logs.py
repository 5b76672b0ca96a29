"""Are changed logs told from the run's own: ours by making them again, LoadGen's by hashes?"""

from __future__ import annotations

import json

import pytest

from harness.engine import runlog
from harness.result import logs, result
from harness.result.publish import publish
from harness.result.read import read_run
from reports.mlperf.files import ACCURACY, DETAIL, SUMMARY
from tests.package_helpers import make


@pytest.fixture
def folder(tmp_path):
    return make(tmp_path, profile="quick", num_samples=80, mode="accuracy")


def found(folder):
    raw = read_run(folder)
    return logs.difference(folder, raw, result.build(folder, raw, ()))


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_logs_that_nobody_touched_are_the_runs_own(folder):
    assert found(folder) is None


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        (DETAIL, '"AccuracyOnly"', '"PerformanceOnly"', '"AccuracyOnly"'),
        (SUMMARY, "No errors", "no errors", "'No errors encountered during test.'"),
        (ACCURACY, "]\n", "", "line 82 is 'the end', the run gives ']'"),
    ],
)
def test_a_changed_log_is_named_with_its_line(folder, name, old, new, words):
    edit(folder / name, old, new)
    told = found(folder)
    assert told.file == name
    assert words in told.what
    assert told.todo == f"harness report {folder} makes the logs again"
    publish(folder, page=False)
    assert found(folder) is None


def test_our_logs_are_ours_even_if_they_deny_it(folder):
    """Without its run id a log of ours looks like LoadGen's."""
    edit(folder / DETAIL, "touchstone_run_id", "loadgen_run_id")
    assert found(folder).file == DETAIL


def as_loadgens(folder, hashes=True):
    """The same folder as if the official LoadGen had driven the run and written the logs."""
    settings = json.loads((folder / "settings.json").read_text())
    settings["config"]["driver"] = "mlcommons"
    (folder / "settings.json").write_text(json.dumps(settings))
    edit(folder / DETAIL, "touchstone_run_id", "loadgen_run_id")
    log, facts = runlog.read_log(folder)
    facts.log_hashes = logs.hashes(folder) if hashes else {}
    runlog.write_log(folder, log, facts)


@pytest.mark.parametrize("name", [DETAIL, SUMMARY, ACCURACY])
def test_loadgens_logs_are_told_by_their_hashes(folder, name):
    as_loadgens(folder)
    assert found(folder) is None
    edit(folder / name, "\n", "\n\n")
    told = found(folder)
    assert (told.file, told.what) == (name, "it is not as LoadGen wrote it")
    assert told.todo == "Run it again: only LoadGen itself can write its logs"


@pytest.mark.parametrize(
    ("old", "new"), [('"data" : "', '"data" : "07'), ('"qsl_idx" : ', '"qsl_idx" : 9')]
)
def test_answers_in_loadgens_log_are_those_that_were_recorded(folder, old, new):
    """A run of an older version has no hashes."""
    as_loadgens(folder, hashes=False)
    assert found(folder) is None
    edit(folder / ACCURACY, old, new)
    assert found(folder).what.endswith("is not the one that was recorded")


def test_a_log_that_is_missing_is_no_change(folder):
    (folder / SUMMARY).unlink()
    raw = read_run(folder)
    verdict = logs.verdict(folder, raw, result.build(folder, raw, ()))
    assert (verdict.status, verdict.detail) == ("SKIPPED", f"{SUMMARY}: missing")
