"""The official LoadGen drives our SUTs: the same settings and schedule, its logs in the folder, and
no result gets lost.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as given_settings
from hypothesis import strategies as st

from harness import registry
from harness.engine.driver import Stop
from harness.kernel.clock import RealClock, VirtualClock
from harness.kernel.errors import BadInput, SetupFailed
from harness.kernel.log import RunLog
from harness.kernel.machine import waits
from harness.kernel.types import Output, RunSettings, Sample
from harness.official import driver, wheel
from harness.official.driver import drive
from harness.official.figures import is_official, official_results
from harness.official.relay import Relay
from harness.official.wheel import LOGS, settings_of
from scenarios.loadgen.settings import effective_lines
from sut.null import Null
from sut.simulated import Simulated
from tests.helpers import Scripted
from tests.scenario_helpers import MS, S, run_settings

pytestmark = pytest.mark.skipif(
    find_spec("mlperf_loadgen") is None,
    reason="the wheel mlcommons-loadgen is not installed (Linux on x86-64 only)",
)
SCENARIOS = ("single-stream", "multi-stream", "server", "offline")
QUICK = {"ttft_ms": 0.3, "per_token_ms": 0.1, "tokens": 4}


@dataclass
class Ran:
    log: RunLog
    relay: Relay
    folder: Path
    settings: RunSettings

    @property
    def official(self):
        return official_results(self.folder)

    @property
    def answers(self):
        return json.loads((self.folder / "mlperf_log_accuracy.json").read_text())


@pytest.fixture
def clock():
    clock = RealClock()
    yield clock
    clock.close()


@pytest.fixture
def run(clock, tmp_path):
    def run(scenario, sut=None, *, offsets_ns=(), stop=None, on_idle=None, **changes):
        s = quick(scenario, **changes)
        relay, sut = Relay(clock, s), sut or Simulated(clock, **QUICK)
        sut.load([Sample(i, "?") for i in range(s.num_samples)], relay)
        log = drive(s, sut, clock, relay, tmp_path, offsets_ns, stop, on_idle)
        return Ran(log, relay, tmp_path, s)

    return run


def quick(scenario, **changes):
    streams = 4 if scenario == "multi-stream" else 1
    few = {
        "target_qps": 2000.0,
        "samples_per_query": streams,
        "num_samples": 20,
        "performance_samples": 15,
    }
    return run_settings(**{"scenario": scenario, "min_queries": 30} | few | changes)


def wheels():
    """The processes of ours that run the wheel."""
    return [
        child
        for child in psutil.Process().children()
        if any("harness.official.child" in word for word in child.cmdline())
    ]


def signal_wheel(number):
    (wheel,) = wheels()
    wheel.send_signal(number)


def errors_of(ran):
    """LoadGen also complains if the machine stole time between its reads of two clocks: that is not
    about the run.
    """
    return [error for error in ran.official["errors"] if "PerfClock" not in error]


def at_sample(number, act):
    """An `on_idle` that acts once, when so many samples are done."""
    waiting = [act]

    def on_idle(recorder):
        if waiting and recorder.num_done >= number:
            waiting.pop()()

    return on_idle


def ids_of(entry, key="data"):
    return np.frombuffer(bytes.fromhex(entry[key]), "<i4").tolist()


# ---- the same test as ours


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_loadgen_issues_our_schedule_and_its_logs_lie_in_the_folder(run, scenario):
    ran = run(scenario)
    planned = registry.scenario(scenario).schedule(ran.settings).indices
    assert ran.log.end == "completed"
    assert ran.log.completed.all()
    assert ran.log.index.tolist() == planned.tolist()
    assert sorted(path.name for path in ran.folder.iterdir()) == sorted(LOGS)
    assert ran.official["result_query_count"] == ran.log.num_queries
    assert errors_of(ran) == []
    assert ran.relay.repairs() == []


@pytest.mark.parametrize("mode", ["performance", "accuracy"])
@pytest.mark.parametrize("scenario", SCENARIOS)
@given(data=st.data())
@given_settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_effective_settings_are_ours_for_any_settings(
    run, tmp_path_factory, scenario, mode, data
):
    drawn = data.draw(
        st.fixed_dictionaries(
            {
                "target_qps": st.sampled_from([300.0, 777.7, 1000.0 / 3.0, 4900.0]),
                "min_queries": st.integers(1, 60),
                "min_duration_ns": st.sampled_from([0, 20 * MS]),
                "max_queries": st.sampled_from([None, 500]),
                "max_duration_ns": st.sampled_from([None, 10 * S]),
                "percentile": st.sampled_from([0.5, 0.9, 0.97]),
                "use_tokens": st.booleans(),
                "equal_issue": st.booleans(),
                "num_samples": st.integers(8, 40),
                "performance_samples": st.integers(5, 8),
                "accuracy_samples": st.sampled_from([None, 7]),
                "target_latency_ns": st.sampled_from([0, 5 * MS]),
                "accuracy_log_probability": st.sampled_from([0.0, 0.5]),
                "accuracy_log_seed": st.integers(0, 2**64 - 1),
                "inferred_tokens_per_sample": st.sampled_from([None, 69]),
            }
        )
    )
    asked = quick(scenario, mode=mode, **drawn)
    folder = tmp_path_factory.mktemp("drawn")
    log = other_run(asked, folder)
    schedule, official = registry.scenario(scenario).schedule(asked), official_results(folder)
    issued = log.index.tolist()
    assert issued
    assert issued == schedule.indices.tolist()[: len(issued)]
    assert mode == "performance" or len(issued) == schedule.indices.size
    for key, value in effective_lines(asked).items():
        same = (
            f"{official[key]:g}" == f"{value:g}"
            if isinstance(value, float)
            else official[key] == value
        )
        assert same, (key, official[key], value)


def other_run(s, folder, sut=Null):
    clock = RealClock()
    relay, made = Relay(clock, s), sut(clock)
    made.load([], relay)
    try:
        return drive(s, made, clock, relay, folder)
    finally:
        clock.close()


def test_loadgen_and_we_see_the_same_latencies(run):
    ran = run("single-stream", min_queries=100, percentile=0.9)
    ours, theirs = ran.log.latency_ns, ran.official
    assert (
        0.6 * MS < np.median(ours) < theirs["result_50.00_percentile_latency_ns"]
    )  # theirs includes the way
    assert theirs["result_50.00_percentile_latency_ns"] - np.median(ours) < 2 * MS
    assert (
        theirs["result_first_token_50.00_percentile_latency_ns"]
        < theirs["result_50.00_percentile_latency_ns"] - 0.2 * MS
    )
    assert theirs["result_time_per_output_token_50.00_percentile_ns"] >= 0.1 * MS
    assert theirs["early_stopping_met"]
    assert theirs["result_validity"] == "VALID"


def test_server_queries_are_due_where_the_schedule_has_them(run):
    s = quick("server", target_qps=200.0)
    offsets_ns = registry.scenario("server").schedule(s).offsets_ns
    ran = run("server", target_qps=200.0, offsets_ns=offsets_ns.tolist())
    ahead_ns = offsets_ns - ran.log.due_ns  # above 0: arrived before its place after the first
    assert (ran.log.due_ns[ahead_ns <= 0] == offsets_ns[ahead_ns <= 0]).all()
    # a first query that the machine held up puts every other one ahead by as much
    assert np.ptp(np.percentile(ahead_ns, [10, 90])) < 5 * MS
    assert ahead_ns.max() < 50 * MS
    assert (ran.log.issue_lag_ns >= 0).all()


# ---- answers


@pytest.mark.parametrize("use_tokens", [True, False])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_an_accuracy_run_logs_every_answer_as_the_sut_gave_it(run, scenario, use_tokens):
    ran = run(scenario, mode="accuracy", use_tokens=use_tokens)
    assert {entry["qsl_idx"] for entry in ran.answers} == set(range(20))
    for entry in ran.answers:
        record = ran.log.record(entry["seq_id"])
        assert (entry["qsl_idx"], ids_of(entry)) == (record.index, record.token_ids.tolist())
        if use_tokens:
            assert entry["token_count"] == 4
        if use_tokens and scenario != "offline":
            assert ids_of(entry, "token_data") == [record.first_token]
    assert ran.official["effective_test_mode"] == "AccuracyOnly"
    assert errors_of(ran) == []


def test_ten_thousand_answers_at_once_arrive_whole(run, clock):
    sut = Simulated(clock, ttft_ms=0.0, per_token_ms=0.0, tokens=3, slots=20_000)
    ran = run("offline", sut, mode="accuracy", num_samples=10_000, performance_samples=10_000)
    assert len(ran.answers) == 10_000
    assert all(
        ids_of(entry) == ran.log.record(entry["seq_id"]).token_ids.tolist() for entry in ran.answers
    )


# ---- what would upset the wheel


def test_a_lost_sample_times_out_and_loadgen_goes_on(run, clock):
    ran = run(
        "single-stream", Simulated(clock, fault="lost_sample", **QUICK), sample_timeout_ns=200 * MS
    )
    assert ran.log.end == "completed"
    assert np.flatnonzero(~ran.log.completed).tolist() == [6]
    assert "timed out" in ran.log.errors[6]
    assert ran.official["result_query_count"] == 30
    (error,) = errors_of(ran)
    assert "0 as number of tokens" in error
    assert [note.split(";")[0] for note in ran.relay.repairs()] == [
        "1 sample(s) failed or were given up"
    ]


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("mode", ["performance", "accuracy"])
def test_a_sut_that_streams_nothing_does_not_crash_the_wheel(run, clock, scenario, mode):
    ran = run(scenario, Null(clock), mode=mode)
    assert ran.log.end == "completed"
    assert ran.log.completed.all()
    assert bool(ran.relay.repairs()) == (
        scenario != "offline"
    )  # there LoadGen asks for no first tokens


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("tokens", [0, 1, -7])
def test_bad_token_counts_are_told_and_survived(run, clock, scenario, tokens):
    def answer(sut, query):
        for sample in query.samples:
            sut.sink.first_token(sample.id, 5)
            sut.sink.complete(Output(sample.id, token_ids=[5], reported_tokens=tokens))

    ran = run(scenario, Scripted(answer, clock))
    assert ran.log.end == "completed"
    assert len(errors_of(ran)) == len(ran.log)


def test_what_is_completed_twice_is_told_once(run, clock):
    def answer(sut, query):
        for _ in range(2):
            sut.sink.first_token(query.samples[0].id, 5)
            sut.sink.first_token(query.samples[0].id, 6)
            sut.sink.complete(Output(query.samples[0].id, token_ids=[5]))

    ran = run("single-stream", Scripted(answer, clock))
    assert all(
        "greater than 1" in error for error in errors_of(ran)
    )  # answers of one token, and nothing else
    assert {a.kind for a in ran.log.anomalies} == {"first_token_twice", "after_completion"}


def test_loadgen_hears_the_count_that_the_sut_reports(run, clock):
    ran = run("single-stream", Simulated(clock, fault="wrong_count", **QUICK), mode="accuracy")
    counts = {entry["seq_id"]: (entry["token_count"], len(ids_of(entry))) for entry in ran.answers}
    assert counts.pop(6) == (5, 4)
    assert set(counts.values()) == {(4, 4)}


# ---- nothing takes the results with it


def struck(number):
    """Send a signal to the wheel at the fiftieth sample."""
    return at_sample(50, lambda: signal_wheel(number))


def test_a_killed_wheel_ends_the_run_and_keeps_what_was_complete(run):
    ran = run("single-stream", min_queries=5000, on_idle=struck(signal.SIGKILL))
    assert ran.log.end == "error"
    assert "the official LoadGen: ended with signal 9 (SIGKILL)" in ran.log.end_reason
    assert ran.log.completed.sum() >= 50
    assert not {path.name for path in ran.folder.iterdir()} & set(LOGS)
    assert not is_official(ran.folder)


def test_a_crash_inside_the_wheel_is_named(run):
    ran = run("server", min_queries=5000, on_idle=struck(signal.SIGSEGV))
    assert "ended with signal 11 (SIGSEGV)" in ran.log.end_reason
    assert ran.log.completed.sum() >= 50


@pytest.mark.timeout(60)
def test_a_wheel_that_falls_silent_is_given_up(run, monkeypatch):
    monkeypatch.setattr(driver, "_SILENCE_NS", 300 * MS)
    ran = run("single-stream", min_queries=5000, on_idle=struck(signal.SIGSTOP))
    assert ran.log.end == "error"
    assert "said nothing for 0.3 s" in ran.log.end_reason
    assert ran.log.completed.sum() >= 50


@pytest.mark.timeout(60)
def test_a_wheel_that_is_stopped_is_given_up_however_long_its_next_query_may_take(run, monkeypatch):
    monkeypatch.setattr(waits, "STOPPED_S", 0.5)
    monkeypatch.setattr(waits.Stops, "LOOK_NS", 100 * MS)
    ran = run("single-stream", min_queries=5000, on_idle=struck(signal.SIGSTOP))
    assert ran.log.end == "error"
    assert "the official LoadGen: it was stopped (SIGSTOP)" in ran.log.end_reason
    assert ran.log.completed.sum() >= 50
    assert not wheels()


def test_a_sut_that_crashes_ends_the_run_and_the_wheel(run, clock):
    ran = run("server", Simulated(clock, fault="crash", fault_at=20, **QUICK))
    assert ran.log.end == "error"
    assert "crashed on request at sample 20" in ran.log.end_reason
    assert not wheels()


@pytest.mark.parametrize("scenario", ["single-stream", "server"])
def test_ctrl_c_drains_what_is_open_and_takes_the_wheel_down(run, clock, scenario):
    stop, issued = Stop(), []

    def on_idle(recorder):
        if recorder.num_done >= 5 and not issued:
            issued.append(recorder.num_issued)
            stop.request()

    sut = Simulated(clock, ttft_ms=20.0, tokens=1, slots=1000)
    ran = run(scenario, sut, stop=stop, on_idle=on_idle, min_queries=5000)
    assert ran.log.end == "interrupted"
    assert [len(ran.log)] == issued
    assert ran.log.completed.all()
    assert not wheels()


@pytest.mark.timeout(60)
def test_ctrl_c_waits_no_longer_than_it_may(run, clock):
    stop = Stop()
    sut = Simulated(clock, fault="lost_sample", **QUICK)
    ran = run(
        "single-stream",
        sut,
        stop=stop,
        on_idle=at_sample(6, stop.request),
        drain_timeout_ns=100 * MS,
    )
    assert ran.log.end == "interrupted"


def test_a_wheel_that_cannot_start_is_a_setup_failure(run, monkeypatch):
    monkeypatch.setattr(
        wheel, "settings_of", lambda s: {"scenario": "Nonsense", "mode": "PerformanceOnly"}
    )
    with pytest.raises(SetupFailed, match=r"last words: AttributeError: .*Nonsense"):
        run("server")


def test_an_exception_inside_the_wheel_is_named(run, tmp_path):
    """6.0.17 runs past the end of its own table if multi-stream is to issue each sample once and
    equally often; now and then it crashes over that while it says so.
    """
    ends = "exit code 1, last words: IndexError: vector|signal 11 .SIGSEGV., last words: Traceback"
    with pytest.raises(SetupFailed, match=f"ended with ({ends})"):
        run("multi-stream", issue="unique", equal_issue=True)
    assert "Traceback" in (tmp_path / "loadgen.log").read_text()


def test_a_missing_wheel_names_the_extra(run, monkeypatch):
    monkeypatch.setattr(wheel, "find_spec", lambda name: None)
    with pytest.raises(SetupFailed, match=r"pip install 'touchstone-harness\[mlcommons\]'"):
        run("server")


def test_logs_of_another_run_are_not_written_over(run, tmp_path):
    (tmp_path / "mlperf_log_summary.txt").write_text("precious")
    with pytest.raises(BadInput, match=r"mlperf_log_summary\.txt is there already"):
        run("server")
    assert (tmp_path / "mlperf_log_summary.txt").read_text() == "precious"


def test_a_virtual_clock_is_refused(tmp_path):
    clock, s = VirtualClock(), quick("server")
    with pytest.raises(BadInput, match="--clock real"):
        drive(s, Null(clock), clock, Relay(clock, s), tmp_path)


def test_the_driver_s_own_process_never_imports_the_wheel(run):
    run("offline")
    assert "mlperf_loadgen" not in sys.modules


def test_the_wheel_s_process_imports_nothing_heavy():
    code = (
        "import sys, harness.official.child; print([m for m in ('numpy', 'pyarrow', 'scipy') if m"
        " in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert done.stdout.strip() == "[]"


# ---- reading its logs


def test_figures_are_read_even_where_loadgen_writes_no_json(tmp_path):
    def line(key, value, meta='"is_error": false, "is_warning": false'):
        return (
            f':::MLLOG {{"key": "{key}", "value": {value}, "time_ms": 1.000002, "metadata":'
            f" {{{meta}}}}}\n"
        )

    (tmp_path / "mlperf_log_detail.txt").write_text(
        line("loadgen_version", '"6.0.17 @ d6147c7eb7"')
        + line("result_validity", '"VALID"')
        + line("result_mean", "-nan")
        + line("result_rate", "inf")
        + line("early_stopping_result", '"a "quoted" word"')
        + line("generated_query_count", "3")
        + line("generated_query_count", "4")
        + line("logger_x", "1")
        + line("error_runtime", '"it broke"', '"is_error": true, "is_warning": false')
        + line("warning_generic_message", '"it creaks"', '"is_error": false, "is_warning": true')
        + "not a line of its own\n"
    )
    assert official_results(tmp_path) == {
        "loadgen_version": "6.0.17 @ d6147c7eb7",
        "result_validity": "VALID",
        "result_mean": None,
        "result_rate": None,
        "early_stopping_result": 'a "quoted" word',
        "generated_query_count": 3,
        "errors": ["it broke"],
        "warnings": ["it creaks"],
    }


@pytest.mark.parametrize(
    "text", [None, "", ':::MLLOG {"key": "loadgen_version", "value": "t", "time_ms": 0}\n']
)
def test_a_folder_without_official_logs_is_refused(tmp_path, text):
    if text is not None:
        own = ':::MLLOG {"key": "touchstone_run_id", "value": "r", "time_ms": 0}\n'
        (tmp_path / "mlperf_log_detail.txt").write_text(text and text + own)
    with pytest.raises(BadInput, match=r"no mlperf_log_detail\.txt of the official LoadGen"):
        official_results(tmp_path)


def test_the_rate_that_loadgen_plans_with_never_falls_below_ours():
    for rate in (49.0, 50.0, 0.1, 98.0, 196.0, 1000.0 / 3.0):
        asked = settings_of(replace(quick("single-stream"), target_qps=rate))
        planned = 1e9 / asked["single_stream_expected_latency_ns"]
        assert rate <= planned <= np.nextafter(rate, np.inf) * (1 + 1e-15)
