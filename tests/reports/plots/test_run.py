"""Pictures of runs: well-formed, repeatable, readable on any background, small however long the
run.
"""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.plots import run as plots
from scenarios.offline import Offline
from scenarios.server import Server
from tests import ROOT
from tests.scenario_helpers import MS, Row, S, hand_log, run_settings, virtual_run

pytestmark = pytest.mark.pictures

SVG = "{http://www.w3.org/2000/svg}"
TELEMETRY = {
    "t_ns": [0, S, 2 * S],
    "driver_rss_bytes": [50 << 20, 51 << 20, 51 << 20],
    "driver_cpu_percent": [0.0, 1.0, 2.0],
    "sut_rss_bytes": [1 << 30, 2 << 30, None],
    "sut_cpu_percent": [0.0, 170.0, None],
}


def pictures(log, telemetry=TELEMETRY) -> list[str]:
    return [
        plots.samples_over_run(log, 2 * S),
        plots.cumulative(log, 0.9, 2 * S),
        plots.tpot_histogram(log, 0.9, 200 * MS),
        plots.load_over_run(log),
        plots.machine_over_run(telemetry),
    ]


def server_log(**options):
    return virtual_run(Server(), run_settings(scenario="server"), **options)


def words(svg: str) -> list[str]:
    return ["".join(text.itertext()) for text in ET.fromstring(svg).iter(f"{SVG}text")]


def test_every_picture_is_well_formed_and_says_what_it_is():
    for svg in pictures(server_log()):
        root = ET.fromstring(svg)
        assert (root.tag, root.get("role")) == (f"{SVG}svg", "img")
        assert " over the run" in root.get("aria-label") or "istribution" in root.get("aria-label")


def test_the_same_run_gives_the_same_bytes_whatever_the_users_matplotlib_settings():
    log = server_log()
    before = pictures(log)
    with matplotlib.rc_context(
        {
            "font.size": 30,
            "xtick.direction": "in",
            "lines.marker": "s",
            "svg.fonttype": "path",
            "svg.hashsalt": None,
        }
    ):
        assert pictures(log) == before
        assert matplotlib.rcParams["font.size"] == 30, "the user's settings come back"


def test_no_two_pictures_of_a_page_share_an_id_and_every_reference_has_one():
    seen: set[str] = set()
    for svg in pictures(server_log()):
        ids = set(re.findall(r'\bid="([^"]+)"', svg))
        assert ids
        assert not ids & seen
        assert set(re.findall(r'(?:url\(|href=")#([^")]+)', svg)) <= ids
        seen |= ids


def test_text_is_text_the_background_is_transparent_and_no_date_is_told():
    for svg in pictures(server_log()):
        assert len(words(svg)) > 5
        assert "#ffffff" not in svg
        assert "#000000" not in svg
        assert "<metadata" not in svg
        assert not re.search(r"\b20\d\d-\d\d-\d\d", svg)


def test_axes_carry_their_units():
    over, cumulative, tpot, load, machine = map(words, pictures(server_log()))
    assert {"milliseconds", "due, in seconds from the start"} <= set(over)
    assert {"% of samples", "TTFT limit", "p90"} <= set(cumulative)
    assert {"% of samples", "milliseconds per token"} <= set(tpot)
    assert {"queries open", "queries per second", "seconds from the start"} <= set(load)
    assert {"memory, GiB", "% (100 = one core, or the whole GPU)", "SUT", "driver"} <= set(machine)


def test_the_judged_percentile_is_written_as_the_verdict_has_it():
    log = hand_log([Row(due=10 * i, ttft=10 + i, latency=110 + 10 * i) for i in range(100)])
    assert "milliseconds (p90: TTFT 100, latency 1,010)" in [
        " ".join(w.split()) for w in words(plots.cumulative(log, 0.9))
    ]


@pytest.mark.parametrize(
    "draw", [plots.samples_over_run, lambda log, limit=None: plots.cumulative(log, 0.9, limit)]
)
def test_a_limit_is_drawn_only_where_one_was_judged(draw):
    log = server_log()
    assert "TTFT limit" not in words(draw(log))
    assert "TTFT limit" in words(draw(log, 2 * S))


def test_a_limit_far_beyond_the_figures_is_named_rather_than_drawn():
    assert "TPOT limit 200 ms, further right" in words(
        plots.tpot_histogram(server_log(per_token_ms=5), 0.9, 200 * MS)
    )
    assert "TPOT limit" in words(plots.tpot_histogram(server_log(per_token_ms=100), 0.9, 200 * MS))


def test_failed_samples_are_marked_and_counted():
    assert not any("failed" in text for text in words(plots.samples_over_run(server_log())))
    assert "failed (1)" in words(plots.samples_over_run(server_log(fault="lost_sample")))


def test_every_sample_of_a_short_run_has_its_two_dots():
    log = server_log()
    dots = re.findall(r"M (\S+) (\S+)\s*\nL \1 \2\b", plots.samples_over_run(log))
    assert len(dots) == 2 * len(log)


def test_samples_that_were_all_due_at_once_stand_in_their_order():
    log = virtual_run(Offline(), run_settings(scenario="offline"))
    assert "sample, in order of issue (all were due at once)" in words(plots.samples_over_run(log))
    load = words(plots.load_over_run(log))
    assert "samples open" in load
    assert "arrivals" not in load


def test_nothing_to_draw_gives_no_picture():
    assert pictures(hand_log([]), {}) == [""] * 5
    assert plots.machine_over_run({"t_ns": [0]}) == ""
    assert plots.machine_over_run({"t_ns": [0, S], "sut_rss_bytes": [None, None]}) == ""
    assert plots.tpot_histogram(hand_log([Row(ids=(2,))])) == ""


def test_telemetry_with_gaps_in_every_stretch_is_still_drawn():
    n = 4 * plots.MAX_POINTS
    busy = [None if i % 3 == 0 else 50.0 + i % 2 for i in range(n)]
    with_gaps = plots.machine_over_run({"t_ns": [i * S for i in range(n)], "sut_cpu_percent": busy})
    assert max(path.count("\nL") for path in with_gaps.split("<path")) > 100


def test_a_long_run_is_thinned():
    rng = np.random.default_rng(1)
    n = 10 * plots.MAX_POINTS
    ttft = rng.lognormal(5, 0.4, n)
    rows = [
        Row(due=i, ttft=float(t), latency=float(3 * t), finish="error" if i % 9 == 0 else "eos")
        for i, t in enumerate(ttft)
    ]
    assert max(map(len, pictures(hand_log(rows)))) < 400_000


finite = st.lists(st.integers(-1000, 1000), min_size=1, max_size=400).map(np.array)


@given(finite, st.integers(6, 60))
def test_thinning_keeps_the_extremes_the_order_and_the_bound(values, limit):
    for choose in (plots.thin, plots.sampled):
        kept = choose(values, limit)
        assert np.all(np.diff(kept) > 0)
        assert len(kept) <= limit
        assert values[kept].max() == values.max()
    assert values[plots.thin(values, limit)].min() == values.min()


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=60))
def test_open_samples_are_those_that_were_due_and_not_done(spans):
    due, done = (
        np.array([f(a, b) for a, b in spans], np.int64)
        for f in (lambda a, b: a, lambda a, b: a + b)
    )
    moments, still_open = plots.open_over_time(due, done)
    after = {
        int(t): int(count) for t, count in zip(moments, still_open, strict=True)
    }  # the last word at each moment
    assert after == {
        t: int(((due <= t) & (done > t)).sum()) for t in {*due.tolist(), *done.tolist()}
    }
    assert still_open.min(initial=0) >= 0


times = st.floats(0, 1e5)
row = st.builds(
    lambda due, ttft, rest, finish, n: Row(
        due=due, ttft=ttft, latency=None if ttft is None or rest is None else ttft + rest,
        finish=finish if rest else "", ids=(5,) * n,
    ),
    times, st.none() | times, st.none() | times, st.sampled_from(["eos", "length", "error"]),
    st.integers(0, 4),
)  # fmt: skip


@settings(max_examples=8, deadline=None)
@given(st.lists(row, max_size=12))
def test_any_log_gives_pictures_without_a_warning(rows):
    for svg in pictures(hand_log(sorted(rows, key=lambda r: r.due))):
        assert svg == "" or ET.fromstring(svg).tag == f"{SVG}svg"


def test_drawing_never_loads_pyplot_or_a_window_system():
    code = (
        "import sys; from reports.plots import run;"
        " run.machine_over_run({'t_ns': [0, 10**9],"
        " 'sut_cpu_percent': [1, 2]});print([m for m in ('matplotlib.pyplot', 'tkinter', 'PyQt5')"
        " if m in sys.modules])"
    )
    root = ROOT
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=root,
        check=True,
        timeout=60,
    )
    assert out.stdout.strip() == "[]"
