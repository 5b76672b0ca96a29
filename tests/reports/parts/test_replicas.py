"""The table of replicas: a row for each, also for one that is gone."""

from __future__ import annotations

from reports.parts.replicas import table

HELD = {"weights_bytes": 2**30, "kv_cache_bytes": 2**20, "rss_peak_bytes": 2**31}
TOLD = {
    "count": 2,
    "places": ["GPU 0", "GPU 1"],
    "samples": [7, 5],
    "tokens": [70, 50],
    "balance": 0.71,
    "memory": [{**HELD, "gpu_peak_bytes": None}, None],
}


def result(told, replicas=2):
    return {"sut_facts": {"replicas": told}, "settings": {"config": {"replicas": replicas}}}


def test_each_replica_has_a_row_and_what_nobody_knows_no_column():
    shown = table(result(TOLD))
    assert [row[:3] for row in shown.rows] == [["GPU 0", 7, 70], ["GPU 1", 5, 50]]
    assert shown.rows[0][3:] == [2**30, 2**20, 2**31, None]
    assert shown.rows[1][3:] == [None] * 4


def test_a_run_without_replicas_or_that_was_cut_short_has_no_table():
    assert table({"sut_facts": {}, "settings": {"config": {}}}) is None
    assert table(result(TOLD, replicas=1)) is None
    assert table(result({"count": 2, "places": ["GPU 0", "GPU 1"]})) is None
