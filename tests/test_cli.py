"""The front door: words in, verdict, files and exit code out.

`program` starts the real program, in a process of its own; `harness` calls the same commands here,
which saves the two seconds of Python's start where the process itself is not what is tested.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from tests import ROOT

FAULT_RULES = {
    "late_first_token": "ttft_p90",
    "lost_sample": "samples_complete",
    "unanswered": "samples_complete",
    "wrong_first_token": "first_token",
    "two_eos": "eos",
    "wrong_count": "token_count",
    "short_count": "token_count",
    "stall": "ttft_p90",
}


def program(*words: object, **options):
    command = [sys.executable, "-m", "harness", *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, **options
    )


def harness(*words: object):
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)


def virtual(tmp_path, *words, scenario="server", call=harness):
    """A run on the virtual clock; result.json as printed."""
    done = call(
        "run",
        "--scenario",
        scenario,
        "--sut",
        "simulated",
        "--clock",
        "virtual",
        "--output-dir",
        tmp_path,
        "--json",
        *words,
    )
    return done, json.loads(done.stdout.splitlines()[-1]) if done.stdout else None


def run_folder(tmp_path) -> Path:
    (folder,) = [p for p in tmp_path.iterdir() if p.is_dir()]
    return folder


@pytest.mark.parametrize("scenario", ["single-stream", "multi-stream", "server", "offline"])
def test_every_scenario_runs_and_is_valid(tmp_path, scenario):
    done, result = virtual(tmp_path, scenario=scenario, call=program)
    assert done.returncode == 0, done.stderr
    assert (result["status"], result["scenario"], result["loadgen_valid"]) == (
        "VALID",
        scenario,
        True,
    )
    assert result["latency"]["ttft_ms"]["p50"] >= 50.0
    assert result["schema"] == "touchstone.result/1"


def test_the_run_folder_holds_what_the_design_promises(tmp_path):
    virtual(tmp_path)
    names = {path.name for path in run_folder(tmp_path).iterdir()}
    assert names >= {
        "settings.json",
        "environment.json",
        "samples.parquet",
        "telemetry.parquet",
        "memory.json",
        "scores.json",
        "verdicts.json",
        "result.json",
        "report.html",
        "mlperf_log_summary.txt",
        "mlperf_log_detail.txt",
        "mlperf_log_accuracy.json",
    }


def test_result_json_on_disk_is_what_was_printed(tmp_path):
    _, result = virtual(tmp_path)
    assert json.loads((run_folder(tmp_path) / "result.json").read_text()) == result


def test_report_rebuilds_the_same_result_from_the_raw_files_alone(tmp_path):
    _, result = virtual(tmp_path, "--sut-option", "fault=two_eos")
    folder = run_folder(tmp_path)
    for name in ("result.json", "verdicts.json", "memory.json", "scores.json", "report.html"):
        (folder / name).unlink()
    done = harness("report", folder, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout.splitlines()[-1]) == result
    assert json.loads((folder / "result.json").read_text()) == result


def test_two_runs_with_the_same_seeds_are_identical(tmp_path):
    _, one = virtual(tmp_path / "1")
    _, two = virtual(tmp_path / "2", call=program)
    assert one["latency"] == two["latency"]
    plans = [
        harness(
            "plan", "--scenario", "server", "--sut", "simulated", "--target-qps", 50, "--json"
        ).stdout
        for _ in "ab"
    ]
    assert plans[0] == plans[1]


@pytest.mark.parametrize(("fault", "rule"), FAULT_RULES.items())
def test_every_fault_ends_in_the_right_verdict_with_the_sample_named(tmp_path, fault, rule):
    done, result = virtual(tmp_path, "--sut-option", f"fault={fault}")
    assert done.returncode == 1
    assert result["status"] == "INVALID"
    failed = {v["rule"]: v for v in result["verdicts"] if v["status"] == "FAIL"}
    assert failed[rule]["evidence"]
    if fault not in ("late_first_token", "stall"):
        assert failed[rule]["evidence"][0] == 6
        assert (failed[rule]["evidence"] == [6]) == (fault != "short_count")  # one, or all from it
        assert "sample 6" in failed[rule]["detail"]


def test_a_crash_is_an_error_with_exit_code_4_and_keeps_the_completed_samples(tmp_path):
    done, result = virtual(tmp_path, "--sut-option", "fault=crash")
    assert (done.returncode, result["status"]) == (4, "ERROR")
    assert "sample 6" in result["status_reason"]
    assert result["counts"]["completed"] > 0


def test_invalid_ends_with_1_and_shows_reason_and_remedy(tmp_path):
    done = harness(
        "run",
        "--scenario",
        "server",
        "--sut",
        "simulated",
        "--clock",
        "virtual",
        "--output-dir",
        tmp_path,
        "--ttft-limit",
        "1ms",
    )
    assert done.returncode == 1
    assert "INVALID" in done.stdout.splitlines()[1]
    assert "lower --target-qps" in done.stdout


def test_equal_issue_in_single_stream_goes_on_until_loadgens_count(tmp_path):
    words = [
        "--issue",
        "equal",
        "--num-samples",
        15,
        "--min-duration",
        "20s",
        "--target-qps",
        10,
        "--min-queries",
        64,
    ]
    _, result = virtual(tmp_path, *words, scenario="single-stream")
    assert (result["status"], result["loadgen_valid"]) == ("VALID", True)
    assert (
        result["counts"]["queries"] == 405
    )  # twice 20 s at 10/s, and what completes a round of 15


def test_the_quick_profile_says_that_it_is_not_mlperf(tmp_path):
    done = harness(
        "run",
        "--scenario",
        "server",
        "--sut",
        "simulated",
        "--clock",
        "virtual",
        "--output-dir",
        tmp_path,
    )
    assert "Not an MLPerf result" in done.stdout


def test_plan_gives_the_whole_schedule_as_json():
    done = harness(
        "plan",
        "--scenario",
        "multi-stream",
        "--sut",
        "simulated",
        "--num-samples",
        20,
        "--min-queries",
        3,
        "--json",
    )
    plan = json.loads(done.stdout.splitlines()[-1])
    assert set(plan) >= {"loaded_set", "sample_indices", "scheduled_ns", "settings"}
    assert len(plan["loaded_set"]) == 20 + 7
    assert [len(row) for row in plan["sample_indices"]] == [8, 8, 8]


@pytest.mark.parametrize(
    "what",
    ["models", "variants", "scenarios", "datasets", "suts", "metrics", "rules", "profiles"],
)
def test_list_knows_its_tables(what):
    done = harness("list", what, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout.splitlines()[-1])[what]


def test_doctor_measures_the_driver():
    done = harness("doctor", "--json")
    findings = json.loads(done.stdout.splitlines()[-1])
    assert findings["driver"]["channel round trip"].endswith("us (median)")
    assert "torch" in findings["packages"]


def test_help_loads_little_more_than_what_draws_it():
    """Most of the time is Python's own start and the libraries that make the page."""
    bare = (sys.executable, "-c", "import typer, rich.table, rich.panel, rich.markdown")
    own_s, bare_s = [], []
    for _ in range(5):
        start_s = time.monotonic()
        assert program("--help").returncode == 0
        between_s = time.monotonic()
        subprocess.run(bare, check=True)
        own_s.append(between_s - start_s)
        bare_s.append(time.monotonic() - between_s)
    assert min(own_s) < 2 * min(bare_s)


def test_help_loads_no_library_that_measures():
    code = "import sys, harness.cli; print(*sys.modules)"
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=True)
    assert not {"numpy", "pydantic", "scipy", "torch", "pyarrow", "ray"} & set(done.stdout.split())


BAD = {
    "unknown scenario": (
        ["--scenario", "sever"],
        ["'sever'", "multi-stream, offline, server, single-stream", "'server'?"],
    ),
    "no scenario": ([], ["--scenario is missing"]),
    "unknown variant": (
        ["--scenario", "server", "--variant", "fp3"],
        ["'fp3'", "bf16, fp16, fp32"],
    ),
    "unknown variant of a server": (
        ["--scenario", "server", "--sut", "vllm", "--variant", "Q4_K_M", "--min-queries", "-1"],
        ["variant of --sut vllm", "awq, bf16, fp16, fp32, fp8", "--min-queries is -1"],
    ),
    "missing certificates": (
        ["--scenario", "server", "--base-url", "https://h", "--ca-file", "no-such.pem"],
        ["--ca-file no-such.pem", "there is no"],
    ),
    "no certificates": (
        ["--scenario", "server", "--base-url", "https://h", "--ca-file", str(ROOT / "README.md")],
        ["it holds no certificates", "a PEM file of certificates"],
    ),
    "unknown dataset": (["--scenario", "server", "--dataset", "qb"], ["'qb'", "'qa'?"]),
    "unknown model": (
        ["--scenario", "server", "--model", "smollm2"],
        ["'smollm2'", "'smollm2-135m'?"],
    ),
    "zero rate": (["--scenario", "server", "--target-qps", "0"], ["--target-qps is 0", "above 0"]),
    "negative count": (
        ["--scenario", "server", "--min-queries", "-1"],
        ["--min-queries is -1", "above 0"],
    ),
    "several at once": (
        [
            "--scenario",
            "offline",
            "--max-new-tokens",
            "0",
            "--num-samples",
            "-4",
            "--variant",
            "int5",
        ],
        ["3 problems", "--max-new-tokens", "--num-samples", "int5"],
    ),
    "missing file": (["--scenario", "server", "--dataset", "no.jsonl"], ["no such file"]),
    "folder that cannot be written": (
        ["--scenario", "server", "--output-dir", "/proc/nothing"],
        ["--output-dir", "can be written"],
    ),
    "virtual clock with a real model": (
        ["--scenario", "server", "--clock", "virtual"],
        ["works in real time"],
    ),
    "unknown SUT option": (
        ["--scenario", "server", "--sut", "simulated", "--sut-option", "slot=3"],
        ["'slots'?"],
    ),
    "same sample beyond the set": (
        [
            "--scenario",
            "server",
            "--sut",
            "simulated",
            "--num-samples",
            "4",
            "--issue",
            "same",
            "--same-index",
            "4",
        ],
        ["--same-index", "4 samples are loaded"],
    ),
    "percentile outside": (
        ["--scenario", "server", "--percentile", "100"],
        ["--percentile is 100", "below 100"],
    ),
    "seed out of range": (
        ["--scenario", "server", "--seeds", "1,2,18446744073709551616"],
        ["below 2^64"],
    ),
    "unknown issue": (
        ["--scenario", "server", "--issue", "some"],
        ["--issue is 'some'", "'unique'"],
    ),
    "unknown flag": (["--scenario", "server", "--nonsense", "1"], ["No such option"]),
}


def refuses(done, expected, tmp_path):
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert not [text for text in expected if text not in done.stderr], done.stderr
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize(("words", "expected"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_a_sentence_and_exit_code_2_before_anything_is_loaded(
    tmp_path, monkeypatch, words, expected
):
    monkeypatch.chdir(tmp_path)
    refuses(harness("run", *words), expected, tmp_path)


@pytest.mark.parametrize("name", ["unknown scenario", "unknown flag"])
def test_the_program_itself_refuses_bad_input(tmp_path, name):
    words, expected = BAD[name]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    refuses(program("run", *words, cwd=tmp_path, env=env), expected, tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("empty.jsonl", "", "the file is empty"),
        ("bad.jsonl", '{"prompt": "a"}\n{"prompt" "b"}\n', "line 2, column 11"),
        ("short.csv", "prompt,reference\na,b\nc\n", "line 3"),
        ("column.jsonl", '{"question": "a"}\n', "column: 'prompt' is not known; known: question"),
    ],
)
def test_a_bad_dataset_file_is_refused_with_line_and_column(tmp_path, name, content, expected):
    (tmp_path / name).write_text(content)
    done = harness(
        "run",
        "--scenario",
        "offline",
        "--dataset",
        tmp_path / name,
        "--output-dir",
        tmp_path / "runs",
    )
    assert (done.returncode, expected in done.stderr) == (2, True), done.stderr


def test_a_prompt_beyond_the_context_names_the_sample_and_the_way_out(tmp_path, tiny_llama):
    (tmp_path / "long.jsonl").write_text('{"prompt": "a"}\n{"prompt": "' + "b " * 80 + '"}\n')
    words = [
        "--model",
        tiny_llama,
        "--dataset",
        tmp_path / "long.jsonl",
        "--output-dir",
        tmp_path / "runs",
    ]
    done = harness("run", "--scenario", "offline", *words, "--in-process")
    assert done.returncode == 3
    assert "sample 1: its prompt has 80 tokens" in done.stderr
    assert "--truncate" in done.stderr
    words += ["--min-queries", 4, "--truncate", "--json", "--in-process"]
    cut = harness("run", "--scenario", "offline", *words)
    assert any(
        "1 prompts were truncated" in note
        for note in json.loads(cut.stdout.splitlines()[-1])["notes"]
    )


def tiny_words(tiny_llama, tmp_path, *words):
    """The words of a short run of a local model."""
    rows = "".join(json.dumps({"prompt": f"a b sample {i}"}) + "\n" for i in range(20))
    (tmp_path / "d.jsonl").write_text(rows)
    what = ["--model", tiny_llama, "--dataset", tmp_path / "d.jsonl", "--max-new-tokens", 8]
    how = ["--warmup", 2, "--output-dir", tmp_path / "runs", "--json", *words]
    return [str(word) for word in ("run", *what, *how)]


def tiny_run(tiny_llama, tmp_path, *words):
    """A local model under load for some seconds, as a process we can send signals to."""
    return subprocess.Popen(
        [sys.executable, "-m", "harness", *tiny_words(tiny_llama, tmp_path, *words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_run(tmp_path) -> None:
    """Until the timed part has begun (the telemetry has written its first row)."""
    for _ in range(600):
        if any(path.stat().st_size for path in tmp_path.glob("runs/*/telemetry.jsonl")):
            time.sleep(1.0)
            return
        time.sleep(0.1)
    raise AssertionError("the run did not begin within a minute")


def test_ctrl_c_drains_writes_everything_and_exits_with_130(tmp_path, tiny_llama):
    process = tiny_run(
        tiny_llama, tmp_path, "--scenario", "server", "--target-qps", 20, "--min-queries", 2000
    )
    wait_for_run(tmp_path)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    result = json.loads(out.splitlines()[-1])
    assert (process.returncode, result["status"]) == (130, "INTERRUPTED"), err
    assert 0 < result["counts"]["completed"] == result["counts"]["samples"] < 2000
    assert (run_folder(tmp_path / "runs") / "samples.parquet").is_file()


def test_a_killed_model_process_is_an_error_with_exit_code_4_and_keeps_the_completed_samples(
    tmp_path, tiny_llama
):
    process = tiny_run(
        tiny_llama, tmp_path, "--scenario", "server", "--target-qps", 20, "--min-queries", 2000
    )
    wait_for_run(tmp_path)
    os.kill(child_of(process.pid), signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    result = json.loads(out.splitlines()[-1])
    assert (process.returncode, result["status"]) == (4, "ERROR"), err
    assert "SIGKILL" in result["status_reason"]
    assert result["counts"]["completed"] > 0
    again = json.loads(
        harness("report", run_folder(tmp_path / "runs"), "--json").stdout.splitlines()[-1]
    )
    assert again["counts"] == result["counts"]


def child_of(pid: int) -> int:
    import psutil

    return next(p.pid for p in psutil.Process(pid).children() if "sut.border.child" in p.cmdline())


def test_progress_lines_are_streamed_while_the_run_goes_on(tmp_path, tiny_llama):
    with tiny_run(
        tiny_llama,
        tmp_path,
        "--scenario",
        "server",
        "--target-qps",
        20,
        "--min-queries",
        60,
        "--target-latency",
        "5s",
    ) as process:
        seen = [next(process.stderr) for _ in range(3)]
        assert process.poll() is None, "the lines came before the end"
        _, rest = process.communicate(timeout=100)
    assert process.returncode == 0, rest
    assert [line.split()[0] for line in seen] == ["loading", "warming", "run"]
    assert int(re.search(r"(\d+)/60 samples", seen[2])[1]) < 60


@pytest.mark.parametrize("scenario", ["single-stream", "multi-stream"])
def test_closed_loops_work_on_a_model(tmp_path, tiny_llama, scenario):
    done = harness(*tiny_words(tiny_llama, tmp_path, "--scenario", scenario))
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["status"] == "VALID", done.stderr
    assert result["memory"]["weights_bytes"] > 0
    assert result["driver"]["channel_roundtrip_us"] > 0


@pytest.mark.parametrize("pause_s", [0.02, 0.2, 0.6])
def test_however_often_she_presses_ctrl_c_the_measured_samples_stay(tmp_path, tiny_llama, pause_s):
    process = tiny_run(
        tiny_llama, tmp_path, "--scenario", "server", "--target-qps", 20, "--min-queries", 2000
    )
    wait_for_run(tmp_path)
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(pause_s)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert json.loads(out.splitlines()[-1])["counts"]["completed"] > 0
    assert (run_folder(tmp_path / "runs") / "result.json").is_file()


def test_a_report_keeps_the_scores_of_the_run_if_the_dataset_has_changed(
    tmp_path, tiny_llama, monkeypatch
):
    data = tmp_path / "d.jsonl"
    data.write_text('{"prompt": "why is the sky blue", "reference": "the sky is blue"}\n')
    words = [
        "--model",
        tiny_llama,
        "--dataset",
        "d.jsonl",
        "--output-dir",
        "runs",
        "--max-new-tokens",
        4,
        "--min-queries",
        4,
        "--in-process",
    ]
    monkeypatch.chdir(tmp_path)
    harness("run", "--scenario", "offline", *words)
    folder = run_folder(tmp_path / "runs")
    before = json.loads((folder / "result.json").read_text())
    assert "rouge1" in before["accuracy"]
    assert (
        json.loads(harness("report", folder, "--json").stdout.splitlines()[-1])["accuracy"]
        == before["accuracy"]
    )
    data.write_text('{"prompt": "why is the sky blue", "reference": "a b c d"}\n')
    after = json.loads(harness("report", folder, "--json").stdout.splitlines()[-1])
    assert after["accuracy"] == before["accuracy"]
    assert "the dataset has moved or changed: scores are those of the run" in after["notes"]


def test_a_reader_who_leaves_early_does_not_change_the_exit_code(tmp_path):
    words = (
        f"-m harness run --scenario server --sut simulated --clock virtual --output-dir {tmp_path}"
    )
    for tail in ("| head -1", "--json | true"):
        command = f"set -o pipefail; {sys.executable} {words} {tail} >/dev/null"
        assert subprocess.run(["bash", "-c", command], check=False, timeout=60).returncode == 0


def test_official_needs_more_than_the_name_of_a_profile(tmp_path):
    words = ["--profile", "mlperf", "--min-queries", 1, "--ttft-limit", "1000s", "--target-qps", 10]
    _, result = virtual(tmp_path, *words)
    assert result["official"] is False


def test_accuracy_mode_scores_each_sample_once(tmp_path, tiny_llama):
    words = ["--scenario", "multi-stream", "--mode", "accuracy", "--num-samples", 10]
    done = harness(*tiny_words(tiny_llama, tmp_path, *words, "--in-process"))
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["counts"]["samples"] == 16, done.stderr
    from harness.engine.runlog import read_log

    log, _ = read_log(run_folder(tmp_path / "runs"))
    once = [log.tokens[list(log.index).index(i)] for i in range(10)]
    assert result["accuracy"]["tokens_per_sample"] == sum(once) / 10


@pytest.mark.parametrize(
    "words",
    [
        ["--target-qps", "1e-300"],
        ["--target-qps", "1e-9"],
        ["--sut-option", "ttft_ms=nan"],
        ["--sut-option", "slots=-1"],
        ["--min-queries", "2000000000"],
        ["--target-qps", "1e8", "--min-duration", "600"],
        ["--max-queries", "10"],
        ["--num-samples", "2000000000"],
    ],
    ids=" ".join,
)
def test_figures_beyond_all_bounds_are_refused_in_words(tmp_path, words):
    command = [
        "run",
        "--scenario",
        "server",
        "--sut",
        "simulated",
        "--clock",
        "virtual",
        "--output-dir",
        tmp_path / "runs",
    ]
    done = harness(*command, *words)
    assert done.returncode == 2, done.stderr
    assert "unexpected" not in done.stderr
    assert not list(tmp_path.glob("runs/*"))
