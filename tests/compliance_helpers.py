"""Hand-made runs for the tests of the audit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import scenarios
from accuracy.compliance.audit import audit
from accuracy.compliance.audited import Audited
from sut.simulated import EOS
from tests.scenario_helpers import Row, hand_log, run_settings, verdict

FACTS = {"eos_ids": [2]}


def hand(rows, anomalies=(), facts=FACTS, status="VALID", command="", **changes):
    settings = run_settings(**{"scenario": "server", "max_new_tokens": 8, **changes})
    log = hand_log(rows, anomalies)
    pattern = scenarios.entry(settings.scenario)
    run_id = f"{settings.mode}-run"
    return Audited(
        run_id, settings, pattern, log, facts, "m", "fp32", "qa", status=status, command=command
    )


def accuracy(rows, **changes):
    return hand(rows, mode="accuracy", **changes)


def found(rule, run, *others, **more):
    return verdict(audit(run, others, **more), rule)


def answers(n, tokens=8, seed=1):
    """Rows with unlike answers of `tokens` tokens, the last one EOS."""
    ids = np.random.default_rng(seed).integers(10, 1000, (n, tokens))
    ids[:, -1] = EOS
    return [Row(ids=tuple(row), index=i) for i, row in enumerate(ids.tolist())]


def changed(row, position, token=5):
    return replace(row, ids=(*row.ids[:position], token, *row.ids[position + 1 :]))
