"""Are the server's own figures drawn, and summed, as it told them?"""

from __future__ import annotations

import pytest

from reports.parts import server
from reports.plots.server import seen, server_over_run

pytestmark = pytest.mark.pictures
S = 10**9
TOLD = {
    "t_ns": [0, S, 2 * S, 3 * S],
    "server_running": [0.0, None, 7.0, 2.0],
    "server_waiting": [0.0, 0.0, 3.0, 0.0],
    "server_kv_share": [0.0, 0.1, 0.5, 0.2],
    "server_generated_tokens": [1000.0, 1100.0, 1300.0, 1400.0],
    "server_queued": [10.0, 12.0, 14.0, 14.0],
    "server_queued_s": [1.0, 1.1, 1.2, 1.2],
    "server_rss_bytes": [2 << 30, None, 3 << 30, 3 << 30],
}


def test_its_figures_are_drawn_where_it_tells_them():
    svg = server_over_run(TOLD)
    assert "own figures" in svg
    assert svg != server_over_run({key: TOLD[key] for key in ("t_ns", "server_running")})


@pytest.mark.parametrize(
    "telemetry", [{}, {"t_ns": [0, S]}, {"t_ns": [0, S], "server_running": [None, None]}]
)
def test_nothing_is_drawn_or_counted_where_it_tells_nothing(telemetry):
    assert server_over_run(telemetry) == ""
    assert server.counts(telemetry) == []


def test_gaps_are_left_out():
    times_s, values = seen(TOLD, "server_running")
    assert times_s.tolist() == [0, 2, 3]
    assert values.tolist() == [0, 7, 2]


def test_counters_are_told_as_what_was_added():
    told = dict(server.counts(TOLD))
    assert told["generated tokens"] == "400"
    assert told["waiting at most"] == "3 requests"
    assert told["KV cache in use at most"] == "50.0 %"
    assert told["mean wait in its queue"] == "50 ms"
    assert told["memory of its processes at most"] == "3 GiB"
    assert "prompt tokens" not in told


def test_a_server_that_began_anew_in_the_run_has_no_sums():
    told = dict(server.counts(TOLD | {"server_generated_tokens": [900.0, 1000.0, 0.0, 50.0]}))
    assert "generated tokens" not in told
