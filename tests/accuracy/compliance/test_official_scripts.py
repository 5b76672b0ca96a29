"""Do the scripts of MLCommons' compliance tests agree with our audit, run by run?

Skipped without a checkout of mlcommons/inference (see `tests.official`).
"""

from __future__ import annotations

import re

import pytest

from accuracy.compliance.runs import audit_config
from harness.options.settings import load_config, run_settings
from tests.official import compare, programs, trees
from tests.official.runs import ROWS

pytestmark = pytest.mark.skipif(programs.checkout() is None, reason=programs.WHY_SKIPPED)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.test}: {row.name}")
def test_the_script_and_the_audit_say_what_the_table_says(row, tmp_path):
    ours, theirs = row.verdicts(tmp_path)
    assert compare.refused_by(ours, theirs.accepts) == row.refused_by, theirs.words


def test_the_audit_config_that_is_meant_is_the_official_one():
    """Our table of what each config asks, against the files themselves."""
    for test, flags in trees.AUDITS.items():
        text = programs.audit_config(test).read_text()
        told = dict(re.findall(r"^\*\.\*\.(\w+)\s*=\s*(\S+)", text, re.MULTILINE))
        assert int(told["accuracy_log_rng_seed"]) == flags["accuracy_log_seed"]
        assert int(told["accuracy_log_sampling_target"]) == flags["accuracy_log_target"]
        assert int(told["min_query_count"]) == flags["min_queries"]
        assert told.get("performance_issue_unique", "0") == str(int(flags["issue"] == "unique"))
        assert (told["sample_concatenate_permutation"], told["min_duration"]) == ("0", "0")


@pytest.mark.parametrize("test", list(trees.AUDITS))
def test_the_official_audit_config_makes_the_run_that_is_meant(test):
    """`--user-conf audit.config` says what the flags above say, and the audit knows it."""
    flags = {"scenario": "server", "sut": "simulated", "profile": "gpt-oss-120b"}
    config = load_config(flags | {"user_conf": [programs.audit_config(test)]})
    asked = load_config(flags | trees.AUDITS[test])
    made, meant = (run_settings(c, 6396, 1.0) for c in (config, asked))
    assert made == meant
    assert audit_config(made).test == test
