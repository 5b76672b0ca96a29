"""Are the files LoadGen's in layout and value, readable by MLCommons' parsers, plainly ours, and
never another run's?
"""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from harness.engine import runlog
from harness.kernel.errors import BadInput
from harness.options.settings import load_config
from harness.result.publish import publish
from harness.running.session import Run
from reports.mlperf import files as mlperf_logs
from reports.mlperf.files import ACCURACY, DETAIL, MARK, SUMMARY
from scenarios.loadgen import results as loadgen_results
from scenarios.loadgen.sample_order import LoadedSet
from tests.loadgen_logs import (
    HEADER,
    SCENARIOS,
    case,
    official_loadgen,
    our_log,
    our_texts,
    settings_of,
    without_the_machine,
)
from tests.scenario_helpers import Row, hand_log


@pytest.fixture(scope="module")
def official():
    with official_loadgen() as run:
        yield run


def parse(detail):
    """As MLCommons' log_parser.py (MLPerfLog): the first line is marked, each marked line is strict
    JSON.
    """

    def refuse(constant):
        raise ValueError(constant)

    lines = detail.splitlines()
    assert lines[0].startswith(":::MLLOG")
    events = [
        json.loads(line[len(":::MLLOG") :], parse_constant=refuse)
        for line in lines
        if line.startswith(":::MLLOG")
    ]
    for event in events:
        assert {"key", "value", "metadata"} <= set(event)
        assert {"is_error", "is_warning"} <= set(event["metadata"])
    assert len(events) == len(lines)
    return events


def first_values(detail):
    """`log[key]`: the first value of each key."""
    return {event["key"]: event["value"] for event in reversed(parse(detail))}


# ---- against the wheel (test_loadgen_live compares every value)


def test_the_detail_log_has_loadgens_keys_in_its_order_and_one_of_ours(official):
    asked = case("Server", use_token_latencies=True)
    theirs, ours = official(asked), our_texts(asked, our_log(asked))
    found = [event["key"] for event in parse(ours[DETAIL])]
    found.remove("touchstone_run_id")
    assert found == re.findall(r'^:::MLLOG {"key": "([^"]*)"', theirs[DETAIL], re.MULTILINE)


def test_a_detail_line_has_loadgens_shape(official):
    asked = case("Offline")
    theirs, ours = official(asked), our_texts(asked, our_log(asked))

    def shape(line):
        line = re.sub(r'("key": ")[^"]*(", "value": ).*(, "time_ms": )[\d.]+', r"\1\2\3", line)
        return re.sub(
            r'("file": ")[^"]*(", "line_no": )\d+(, "pid": )\d+(, "tid": )\d+', r"\1\2\3\4", line
        )

    assert {shape(line) for line in ours[DETAIL].splitlines()} == {
        shape(line) for line in theirs[DETAIL].splitlines()
    }
    assert all(re.search(r'"time_ms": \d+\.\d{6}, ', line) for line in ours[DETAIL].splitlines())


def test_a_message_has_its_moment_and_stands_in_its_set():
    asked = case("Server", "AccuracyOnly", use_token_latencies=True, said=[1, None], qsl_perf=8)
    log = our_log(asked)
    events = parse(our_texts(asked, log)[DETAIL])
    keys = [event["key"] for event in events]
    second, third = (k for k, key in enumerate(keys) if key == "loaded_qsl_set" and k > 80)
    found = [event for event in events[second:third] if event["key"] == "error_runtime"]
    assert [event["value"].split("(")[1] for event in found] == [
        f"sample {i})" for i in range(8, 16) if not i % 2
    ]
    done_ms = log.done_ns[8:16:2] / 1e6
    assert [event["time_ms"] for event in found] == pytest.approx(sorted(done_ms))


def test_loadgens_complaint_about_the_machine_is_left_out():
    complaint = f'{MARK}{{"value": "Logging allocation detected: tid: 1 ", "is_warning": true}}\n'
    kept = f'{MARK}{{"key": "num_errors", "value": 3}}\n'
    counted = "1 warning encountered. See detailed log."
    logs = without_the_machine({DETAIL: complaint + kept, SUMMARY: f"a\n{counted}\n"})
    assert logs == {DETAIL: kept, SUMMARY: "a\nNo warnings encountered during test.\n"}


@pytest.mark.parametrize(
    "asked",
    [
        case(scenario, mode, use_token_latencies=tokens)
        for scenario in SCENARIOS
        for mode in ("PerformanceOnly", "AccuracyOnly")
        for tokens in (True, False)
    ],
)
def test_mlcommons_parser_reads_the_detail_log(asked):
    rows = [Row(due=20 * i, ids=(3, 4, 2)) for i in range(asked["settings"]["min_query_count"])]
    for log in (hand_log(rows), hand_log([])):
        values = first_values(our_texts(asked, log)[DETAIL])
        assert values["effective_scenario"] == asked["scenario"]
        assert ("result_validity" in values) == (asked["mode"] == "PerformanceOnly")


def test_the_submission_checkers_keys_have_the_right_types():
    rows = [Row(due=i, ids=(3, 4, 2)) for i in range(100)]
    values = first_values(
        our_texts(case("Server", use_token_latencies=True), hand_log(rows))[DETAIL]
    )
    integers = (
        "effective_performance_sample_count",
        "effective_qsl_rng_seed",
        "effective_min_duration_ms",
        "effective_samples_per_query",
        "effective_target_latency_ns",
        "result_first_token_99.00_percentile_latency_ns",
        "result_time_per_output_token_99.00_percentile_ns",
        "num_errors",
    )
    assert {key: type(values[key]) for key in integers} == dict.fromkeys(integers, int)
    assert values["requested_use_token_latencies"] is True
    assert type(values["early_stopping_met"]) is bool
    assert type(values["result_completed_tokens_per_second"]) is float


# ---- ours, and said so


def test_names_cannot_break_a_line():
    header = replace(HEADER, sut_name='a "quoted"\nname \u2028 ü', qsl_name="C:\\data")
    texts = texts_of(header)
    assert first_values(texts[DETAIL])["sut_name"] == header.sut_name
    assert first_values(texts[DETAIL])["qsl_name"] == "C:\\data"
    assert texts[SUMMARY].split("\n")[3:5] == [
        'SUT name : a \\"quoted\\"\\nname \u2028 ü',
        "Scenario : Server",
    ]


def test_nobody_takes_it_for_loadgen():
    values = first_values(texts_of(HEADER)[DETAIL])
    assert values["loadgen_version"].startswith("touchstone ")
    assert values["touchstone_run_id"] == "run-1"
    assert values["loadgen_build_date_utc"] == "NA"


def test_undefined_numbers_are_null_and_never_nan():
    texts = texts_of(HEADER, hand_log([Row(ttft=0.0, latency=0.0)]))
    assert first_values(texts[DETAIL])["result_completed_samples_per_sec"] is None
    assert "Completed samples per second    : undefined" in texts[SUMMARY]


def test_errors_are_marked_and_counted():
    rows = [Row(due=i) for i in range(98)] + [Row(due=98, ids=(5,)), Row(due=99, ids=())]
    texts = texts_of(HEADER, hand_log(rows))
    marks = [event for event in parse(texts[DETAIL]) if event["metadata"]["is_error"]]
    assert [(event["key"], event["value"].split(" (")[0]) for event in marks] == [
        ("error_runtime", "Number of tokens need to be greater than 1"),
        (
            "error_runtime",
            "n_tokens argument missing or attempted to record 0 as number of tokens",
        ),
    ]
    assert first_values(texts[DETAIL])["num_errors"] == 2
    assert texts[SUMMARY].endswith(
        "\nNo warnings encountered during test.\n\n2 ERRORS encountered. See detailed log.\n"
    )


def test_power_lines_span_from_the_first_sample_due_to_the_last_completion():
    values = first_values(
        texts_of(HEADER, hand_log([Row(due=0), Row(due=61_500, latency=20)]))[DETAIL]
    )
    assert (values["power_begin"], values["power_end"]) == (
        "09-09-2001 01:46:40.000",
        "09-09-2001 01:47:41.520",
    )


def texts_of(header, log=None):
    asked = case("Server", use_token_latencies=True)
    log = log or hand_log([Row(due=i) for i in range(100)])
    s = settings_of(asked)
    names = mlperf_logs.Settings(
        {"requested_use_token_latencies": True},
        {"effective_scenario": "Server", "effective_test_mode": "PerformanceOnly",
         "effective_sample_concatenate_permutation": False},
        {"target_qps": 2.0},
    )  # fmt: skip
    found, sets = loadgen_results.results(log, s), [LoadedSet([4, 2], 100, 1, 10)]
    return {
        DETAIL: mlperf_logs.detail(header, names, sets, found, log),
        SUMMARY: mlperf_logs.summary(header, names, found),
    }


# ---- writing


def test_the_same_run_may_be_written_again(tmp_path):
    for text in ("one", "two"):
        mlperf_logs.write(tmp_path, HEADER, texts_of(HEADER) | {ACCURACY: text})
    assert (tmp_path / ACCURACY).read_text() == "two"
    assert mlperf_logs.run_id_of(tmp_path / DETAIL) == "run-1"
    assert len(list(tmp_path.iterdir())) == 3


def test_another_runs_logs_are_never_overwritten(tmp_path):
    mlperf_logs.write(tmp_path, HEADER, texts_of(HEADER))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(BadInput, match="run run-1"):
        mlperf_logs.write(tmp_path, replace(HEADER, run_id="run-2"), texts_of(HEADER))
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}


@pytest.mark.parametrize("name", [DETAIL, SUMMARY, ACCURACY])
def test_loadgens_own_logs_are_never_overwritten(tmp_path, name):
    (tmp_path / name).write_text(f'{MARK}{{"key": "loadgen_version", "value": "6.0.17"}}\n')
    with pytest.raises(BadInput, match="another program or run"):
        mlperf_logs.write(tmp_path, HEADER, texts_of(HEADER))
    assert len(list(tmp_path.iterdir())) == 1


# ---- in the run folder


def run(folder, **flags):
    flags = {
        "scenario": "server",
        "sut": "simulated",
        "clock": "virtual",
        "output_dir": folder,
    } | flags
    with Run(load_config(flags), lambda text: None) as made:
        return made.folder, made.execute()


@pytest.mark.parametrize("scenario", ["single-stream", "multi-stream", "server", "offline"])
def test_a_run_folder_holds_the_three_logs(tmp_path, scenario):
    folder, found = run(tmp_path, scenario=scenario)
    for name in (DETAIL, SUMMARY, ACCURACY):
        assert found.files[name.split(".")[0]] == name
    values = first_values((folder / DETAIL).read_text())
    assert values["touchstone_run_id"] == found.run_id
    assert (values["result_validity"] == "VALID") == found.loadgen_valid
    assert values["result_query_count"] == found.counts["queries"]
    assert values["effective_qsl_rng_seed"] == 2085463073848966840
    assert json.loads((folder / ACCURACY).read_text()) == []


def test_an_accuracy_run_logs_every_answer(tmp_path):
    folder, found = run(tmp_path, mode="accuracy", num_samples=40)
    entries = json.loads((folder / ACCURACY).read_text())
    log, _ = runlog.read_log(folder)
    assert sorted(entry["qsl_idx"] for entry in entries) == list(range(40))
    assert [entry["seq_id"] for entry in entries] == log.completion_order.tolist()
    answer = np.frombuffer(bytes.fromhex(entries[0]["data"]), "<i4")
    assert answer.tolist() == log.record(entries[0]["seq_id"]).token_ids.tolist()
    assert found.loadgen_valid


@pytest.mark.parametrize(
    ("scenario", "samples", "loaded", "queries"),
    [
        ("multi-stream", 16, 8, [8, 8]),
        ("offline", 2, 1, [1, 1]),
        ("offline", 5, 2, [2, 2, 1]),
        ("server", 2, 1, [1, 1]),
    ],
)
def test_each_set_of_an_accuracy_run_is_issued_by_itself(
    tmp_path, scenario, samples, loaded, queries
):
    sets = {"num_samples": samples, "performance_samples": loaded}
    folder, found = run(tmp_path, scenario=scenario, mode="accuracy", **sets)
    events = [(e["key"], e["value"]) for e in parse((folder / DETAIL).read_text())]
    per_query = [value for key, value in events if key == "generated_samples_per_query"]
    entries = json.loads((folder / ACCURACY).read_text())
    log, _ = runlog.read_log(folder)
    assert per_query == np.bincount(log.query_id).tolist() == queries
    assert sorted(entry["seq_id"] for entry in entries) == list(range(samples))
    assert sorted(entry["qsl_idx"] for entry in entries) == list(range(samples))
    ends = [log.done_ns[log.query_id == q].max() for q in range(len(queries))]
    begins = [log.issued_ns[log.query_id == q].min() for q in range(len(queries))]
    assert begins[1:] == ends[:-1]  # a set waits for the one before
    assert found.status == "VALID"


def test_loadgens_figures_count_what_the_sut_reports_and_ours_what_it_sends(tmp_path):
    short = {"fault": "short_count", "fault_at": 0}
    folder, found = run(tmp_path, mode="accuracy", num_samples=10, sut_options=short)
    entries = json.loads((folder / ACCURACY).read_text())
    assert [len(entry["data"]) // 8 - entry["token_count"] for entry in entries] == [1] * 10
    folder, found = run(tmp_path, scenario="offline", sut_options=short)
    values = first_values((folder / DETAIL).read_text())
    ours = found.throughput["tokens_per_s"]
    assert values["result_tokens_per_second"] == pytest.approx(ours * 31 / 32, rel=1e-5)
    assert (found.status, found.loadgen_valid) == ("INVALID", True)  # our rule: token_count


def test_rebuilding_a_report_rewrites_the_same_logs(tmp_path):
    folder, _ = run(tmp_path)
    before = {name: (folder / name).read_bytes() for name in (DETAIL, SUMMARY, ACCURACY)}
    (folder / SUMMARY).write_text("damaged")
    publish(folder)
    assert before == {name: (folder / name).read_bytes() for name in before}


def test_logs_of_the_real_loadgen_in_the_folder_stay_and_the_report_is_made(tmp_path, capsys):
    folder, _ = run(tmp_path)
    (folder / DETAIL).write_text(
        f'{MARK}{{"key": "loadgen_version", "value": "6.0.17 @ d6147c7eb7"}}\n'
    )
    assert publish(folder).loadgen_valid
    assert "6.0.17" in (folder / DETAIL).read_text()
    assert "no MLPerf logs" in capsys.readouterr().err


def test_a_run_with_lost_samples_is_not_loadgens_valid(tmp_path):
    folder, found = run(tmp_path, sut_options={"fault": "lost_sample"})
    assert not found.loadgen_valid
    assert "sample 6 did not complete" in (folder / DETAIL).read_text()
