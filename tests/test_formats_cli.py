"""Tables for programs: `--format csv > table.csv` is a valid file that agrees with result.json, and
a figure or a percentile that somebody adds shows everywhere.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.kernel.words.figure import Figure
from reports import figures

RUN = "run --sut simulated --clock virtual --num-samples 40 --seeds v6.1 --scenario server"
LOGS = ("mlperf_log_detail.txt", "mlperf_log_summary.txt", "mlperf_log_accuracy.json")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def harness(words, code=0):
    done = CliRunner().invoke(app, words.split())
    assert done.exit_code == code, done.output
    return done


def run(words="", code=0):
    """A finished run: (what the command printed, its folder)."""
    before = set(Path("runs").glob("*"))
    done = harness(f"{RUN} --target-qps 5 {words}", code)
    (folder,) = set(Path("runs").glob("*")) - before
    return done, folder


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def result_of(folder):
    return json.loads((folder / "result.json").read_text())


def page_of(folder):
    return (folder / "report.html").read_text()


def test_the_csv_of_a_run_is_one_row_with_the_figures_of_result_json():
    done, folder = run("--format csv")
    (row,) = rows_of(done.stdout)
    result = result_of(folder)
    for name in ("run_id", "scenario", "status", "status_reason", "model"):
        assert row[name] == result[name]
    assert float(row["result"]) == result["result"]["value"]
    assert row["result_unit"] == result["result"]["unit"]
    for key, summary in result["latency"].items():
        for statistic, value in summary.items():
            if statistic != "n":
                assert float(row[f"{key.removesuffix('_ms')}_{statistic}_ms"]) == value
    for name, value in result["throughput"].items():
        assert float(row[name]) == value
    for name in ("queries", "samples", "completed", "failed", "tokens"):
        assert int(row[name]) == result["counts"][name]
    for name, value in result["accuracy"].items():
        assert float(row[name]) == value
    assert row["joules"] == ""  # not known


def test_what_people_read_goes_to_stderr():
    done, folder = run("--format csv")
    assert "VALID  server" in done.stderr
    assert "run folder: " in done.stderr
    assert "note: no model ran" in done.stderr
    assert "TTFT" not in done.stderr  # the figures are on stdout
    again = harness(f"report {folder} --format csv")
    assert again.stdout == done.stdout


def test_markdown_has_the_same_latencies_as_the_screen():
    done, folder = run("--format markdown")
    assert "**Milliseconds from the due time**" in done.stdout
    assert "| TTFT | 50 | 50 |" in done.stdout
    assert "| status | VALID |" in done.stdout
    assert "| Throughput | tokens | 138 tokens/s | higher |" in done.stdout
    assert "run folder" not in done.stdout
    assert "run folder" in harness(f"report {folder} --format markdown").stderr


def test_the_exit_code_is_the_verdicts_whatever_the_format():
    words = f"{RUN} --target-qps 40 --sut-option slots=1"
    done = harness(f"{words} --format csv", 1)
    (row,) = rows_of(done.stdout)
    assert row["status"] == "INVALID"


@pytest.mark.parametrize("form", ["csv", "markdown"])
def test_json_and_another_format_are_refused_before_anything_runs(form):
    done = harness(f"{RUN} --json --format {form}", 2)
    assert done.stdout == ""
    assert f"--format {form} is given too" in done.stderr
    assert not Path("runs").exists()


def test_json_and_the_usual_format_agree():
    done, folder = run("--json --format table")
    assert json.loads(done.stdout)["run_id"] == folder.name


def test_an_unknown_format_names_the_known_ones():
    done = harness(f"{RUN} --format xml", 2)
    assert "known: csv, markdown, table" in done.stderr
    assert not Path("runs").exists()


def test_the_csv_of_a_comparison_has_a_row_per_run_as_compare_json():
    first, second = (run(f"--sut-option ttft_ms={ms}")[1] for ms in (50, 80))
    done = harness(f"compare {first} {second} --format csv")
    (place,) = Path("runs").glob("*_compare*")
    found = json.loads((place / "compare.json").read_text())
    rows = rows_of(done.stdout)
    assert [row["label"] for row in rows] == [row["label"] for row in found["rows"]]
    for row, known in zip(rows, found["rows"], strict=True):
        assert row["status"] == "VALID"
        for name in ("tokens_per_s", "ttft_p50_ms", "speed_ratio", "samples_per_s"):
            assert float(row[name]) == known[name]
        assert row["eval_loss"] == ""
    assert "comparison: " in done.stderr
    people = harness(f"compare {first} {second} --format markdown").stdout
    assert "|  | simulated #1 | simulated #2 |" in people
    assert "| TTFT p50, ms | 50 | 80 |" in people


@pytest.mark.parametrize("what", ["", "suts", "variants"])
def test_lists_are_one_csv(what):
    found = json.loads(harness(f"list {what} --json").stdout)
    rows = rows_of(harness(f"list {what} --format csv").stdout)
    known = [(name, key, text) for name, of in found.items() for key, text in of.items()]
    assert [(row["list"], row["name"], row["what_it_is"]) for row in rows] == known


def test_a_plan_is_its_settings():
    words = "plan --sut simulated --scenario server --target-qps 7"
    found = json.loads(harness(f"{words} --json").stdout)["effective"]
    rows = rows_of(harness(f"{words} --format csv").stdout)
    assert [row["setting"] for row in rows] == [row["name"] for row in found]
    (rate,) = (row for row in rows if row["setting"] == "target_qps")
    assert rate == {"setting": "target_qps", "value": "7.0", "unit": "/s", "from": "--target-qps"}
    assert "| target_qps | 7 /s | --target-qps |" in harness(f"{words} --format markdown").stdout


# ---- a gate and a perplexity study


@pytest.fixture
def model(tiny_llama):
    Path("llama").symlink_to(tiny_llama)
    words = ("why is the sky blue", "what is a sample", "how blue is the sky")
    rows = [{"prompt": f"{text} {c}", "reference": text} for text in words for c in "abcd"]
    Path("answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    texts = [{"text": f"why is the sky blue {c} what"} for c in "abcde"]
    Path("texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    return "--model llama --in-process"  # most of a child's time would be its imports


def test_the_csv_of_a_gate_has_each_verdict_and_ratio(model):
    words = f"gate {model} --candidates bf16 --dataset answers.jsonl --max-new-tokens 4"
    done = CliRunner().invoke(app, f"{words} --resamples 200 --format csv".split())
    found = json.loads(next(Path("runs").glob("*/gate.json")).read_text())
    rows = rows_of(done.stdout)
    assert [row["role"] for row in rows] == ["control", "candidate"]
    for row, known in zip(rows, [found["control"], *found["rows"]], strict=True):
        assert row["label"] == known["label"]
        assert row["status"] == known["status"]
        for reading, part in known["readings"].items():
            for ratio in part["ratios"]:
                name = f"{reading}_{ratio['name']}_ratio"
                ends = {"": "value", "_low": "low", "_high": "high"}
                for end, key in ends.items():
                    assert row[name + end] == ("" if ratio[key] is None else str(ratio[key]))
            for target, verdict in part["verdicts"].items():
                assert row[f"{reading}_keeps_{target}"] == verdict["status"]


def test_the_csv_of_a_perplexity_study_has_each_subject_with_its_intervals(model):
    words = f"perplexity {model} --variants fp32,bf16 --dataset texts.jsonl"
    done = harness(f"{words} --format csv")
    found = json.loads(next(Path("runs").glob("*/perplexity.json")).read_text())
    for row, subject in zip(rows_of(done.stdout), found["subjects"], strict=True):
        assert row["variant"] == subject["variant"]
        assert row["status"] == subject["status"]
        for end in ("", "_low", "_high"):
            known = subject["figures"][f"perplexity{end}"]
            assert row[f"perplexity{end}"] == ("" if known is None else str(known))


# ---- percentiles


def test_a_percentile_that_is_asked_for_shows_everywhere_and_changes_no_log():
    usual, plain = run()
    done, folder = run("--percentiles 50,99,99.99")
    heads = next(line for line in done.stdout.splitlines() if "p99.99" in line)
    assert heads.split() == ["mean", "p50", "p99", "p99.99", "max", "n"]
    assert "p99.99" not in usual.stdout
    assert '<th scope="col" class="n"><bdi>p99.99</bdi></th>' in page_of(folder)
    assert "p99.9</bdi></th>" not in page_of(folder)
    result = result_of(folder)
    (row,) = rows_of(harness(f"report {folder} --format csv").stdout)
    assert float(row["ttft_p99.99_ms"]) == result["latency"]["ttft_ms"]["p99.99"]
    assert row["ttft_p90_ms"]  # a program finds the usual ones where they always are
    assert "| p99.99 |" in harness(f"report {folder} --format markdown").stdout
    for name in LOGS:
        assert _stable(plain / name) == _stable(folder / name)


def _stable(log):
    """The lines without those that name the run and its moment."""
    lines = log.read_text().replace(log.parent.name, "").splitlines()
    moments = ("test_datetime", "power_begin", "power_end", "loadgen_")
    return [line for line in lines if not any(name in line for name in moments)]


def test_report_shows_percentiles_that_the_run_did_not_ask_for():
    _, folder = run("--sut-option slots=2")
    done = harness(f"report {folder} --percentiles 25,75.5")
    assert next(line for line in done.stdout.splitlines() if "p75.5" in line)
    values = result_of(folder)["latency"]["latency_ms"]
    assert values["p25"] <= values["p50"] <= values["p75.5"] <= values["p90"]


def test_percentiles_are_a_setting_like_others(tmp_path):
    Path("run.toml").write_text("percentiles = [99.99, 50]\n")
    done, folder = run("--config run.toml")
    assert "p99.99" in done.stdout
    (setting,) = (
        row for row in result_of(folder)["settings"]["effective"] if row["name"] == "percentiles"
    )
    assert setting["value"] == "50,99.99"
    assert setting["origin"] == "run.toml"


@pytest.mark.parametrize("text", ["0", "100", "50,", "abc", "-1", "nan", "99.99999", ","])
def test_a_percentile_that_cannot_be_is_refused(text):
    for words in (f"{RUN} --target-qps 5", "report runs"):
        done = harness(f"{words} --percentiles {text}", 2)
        assert "numbers above 0 and below 100" in done.stderr
        assert "Traceback" not in done.output


# ---- a figure from outside


@pytest.fixture
def cost():
    """A price per token, declared in one line."""
    figure = Figure(
        "usd_per_million_tokens", "cost",
        lambda result: 3.6 / 3600 * 1e6 / result["throughput"]["tokens_per_s"],
        "USD per million tokens", "lower", compared=True,
    )  # fmt: skip
    figures.declare(figure)
    yield figure
    del figures.FIGURES[figure.name]


def test_a_figure_is_declared_once_and_shows_everywhere(cost):
    done, folder = run()
    value = 1000 / result_of(folder)["throughput"]["tokens_per_s"]
    text = f"{value:.4g} USD per million tokens"
    assert f"cost        {text}" in done.stdout
    assert "Other figures" in page_of(folder)
    assert text in page_of(folder)
    (row,) = rows_of(harness(f"report {folder} --format csv").stdout)
    assert float(row["usd_per_million_tokens"]) == value
    markdown = harness(f"report {folder} --format markdown").stdout
    assert f"| Other | cost | {text} | lower |" in markdown
    (row, _) = rows_of(harness(f"compare {folder} {folder} --format csv").stdout)
    assert float(row["usd_per_million_tokens"]) == value
    (place,) = Path("runs").glob("*_compare*")
    assert "cost, USD per million tokens" in (place / "compare.html").read_text()
    assert f"{value:.4g}" in harness(f"compare {folder} {folder}").stdout


def test_a_figure_may_join_the_line_of_its_group_on_the_terminal():
    own = Figure("joules_per_query", "per query", lambda _: 3, "J", group="Energy", brief="{} each")
    figures.declare(own)
    try:
        done, folder = run()
    finally:
        del figures.FIGURES[own.name]
    assert "energy      3 J each" in done.stdout
    assert "<h2>Energy</h2>" in page_of(folder)


def test_a_figure_without_its_sources_is_not_known(cost):
    assert cost.value({"throughput": {"tokens_per_s": None}}) is None
    assert cost.value({"throughput": {"tokens_per_s": 0}}) is None
    assert cost.value({}) is None


def test_a_name_is_declared_once(cost):
    with pytest.raises(ValueError, match="declared already"):
        figures.declare(cost)
