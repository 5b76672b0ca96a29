"""The files of a submission that say what was run: settings, accuracy, and two pages for people.

Everything is read from `result.json` (and the logs' bytes); what that does not tell stays empty.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from typing import Any

from harness.kernel.entries import ScenarioEntry
from reports.mlperf.files import ACCURACY, DETAIL, SUMMARY
from reports.submission.compliance import hash_line
from reports.submission.places import Place
from reports.submission.rules import ROUNDS
from reports.submission.system import WITHOUT_MODEL, base_name

METRICS = (  # of accuracy.txt, in its order
    "rouge1", "rouge2", "rougeL", "rougeLsum", "exact_match", "gsm8k", "mbxp", "gen_len",
    "tokens_per_sample",
)  # fmt: skip
_WRITER = re.compile(r'"key": "loadgen_version", "value": "([^"]*)"')


@dataclass(frozen=True, slots=True)
class Run:
    """What a submission takes of a run folder; `pattern` is the entry of its scenario."""

    folder: Path
    pattern: ScenarioEntry
    result: Mapping[str, Any]
    detail: str
    summary: str
    accuracy_log: bytes

    def logs(self) -> dict[str, bytes]:
        """Return LoadGen's three files by their names."""
        return {
            DETAIL: self.detail.encode(),
            SUMMARY: self.summary.encode(),
            ACCURACY: self.accuracy_log,
        }


# ---- the settings, for LoadGen and for us


def scenario_name(pattern: ScenarioEntry) -> str:
    """Return MLPerf's name of a scenario; one that MLPerf lacks is refused before."""
    assert pattern.loadgen is not None
    return pattern.loadgen.name


def user_conf(result: Mapping[str, Any], pattern: ScenarioEntry) -> str:
    """Return the run's settings in LoadGen's syntax: milliseconds and percent. Seeds are not among
    the keys that LoadGen takes.
    """
    scenario, values = scenario_name(pattern), _conf_values(result["settings"]["run"], pattern)
    lines = [f"*.{scenario}.{key} = {_number(value)}" for key, value in values]
    return "\n".join([f"# {result['profile']}, {scenario}: {result['run_id']}", *lines]) + "\n"


def _conf_values(run: Mapping[str, Any], pattern: ScenarioEntry) -> Iterator[tuple[str, float]]:
    """Yield the token limits after `use_token_latencies`: LoadGen ignores them before it."""
    yield "use_token_latencies", run["use_tokens"]
    if pattern.is_closed:
        yield "target_latency", 1000 / run["target_qps"]
    else:
        yield "target_qps", run["target_qps"]
    if not pattern.is_at_once:
        yield "target_latency_percentile", 100 * run["percentile"]
    if pattern.sized_by_user:
        yield "samples_per_query", run["samples_per_query"]
    if pattern.has_limits and run["use_tokens"]:
        yield "ttft_latency", run["ttft_limit_ns"] / 1e6
        yield "tpot_latency", run["tpot_limit_ns"] / 1e6
    elif pattern.has_limits:
        yield "target_latency", run["target_latency_ns"] / 1e6
    if run.get("inferred_tokens_per_sample"):
        yield "infer_token_latencies", 1
        yield "token_latency_scaling_factor", run["inferred_tokens_per_sample"]
    yield "min_duration", run["min_duration_ns"] / 1e6
    if run["max_duration_ns"]:
        yield "max_duration", run["max_duration_ns"] / 1e6
    yield "min_query_count", run["min_queries"]
    if run["max_queries"]:
        yield "max_query_count", run["max_queries"]
    yield "performance_sample_count_override", run["performance_samples"]
    if run["accuracy_samples"]:
        yield "accuracy_sample_count_override", run["accuracy_samples"]
    yield "performance_issue_unique", run["issue"] == "unique"
    yield "performance_issue_same", run["issue"] == "same"
    if run["issue"] == "same":
        yield "performance_issue_same_index", run["same_index"]
    yield "sample_concatenate_permutation", run["equal_issue"]
    if run.get("accuracy_log_target"):
        yield "accuracy_log_sampling_target", run["accuracy_log_target"]
        yield "accuracy_log_rng_seed", run["accuracy_log_seed"]


def config_toml(result: Mapping[str, Any]) -> str:
    """Return what the user set as `harness run --config` takes it, without the folders of the
    machine it ran on. A default stays out: written down, it would count as asked for.
    """
    asked = result["settings"]["config"]
    config = {key: asked[key] for key in asked["origins"] if key != "output_dir"}
    config |= {"mode": result["mode"], "target_qps": result["settings"]["run"]["target_qps"]}
    return "".join(
        f"{key} = {_toml(_without_folder(value))}\n"
        for key, value in config.items()
        if value is not None and value != {}
    )


def _without_folder(value: Any) -> Any:
    """Return a path as the name of its file, also after a word, as in "trace:/folder/file.csv"."""
    if not isinstance(value, str):
        return value
    word, colon, place = value.partition(":")
    if place.startswith(("/", "~")) and not place.startswith("//"):
        return word + colon + base_name(place)
    return base_name(value)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        items = ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items())
        return f"{{ {items} }}"
    return json.dumps(value)


def _number(value: float) -> str:
    """Write whole numbers without a point: LoadGen cuts what follows it. Twelve digits hide the
    last bits of a product.
    """
    rounded = float(f"{value:.12g}")
    return str(int(rounded)) if rounded == int(rounded) else repr(rounded)


# ---- the accuracy


def accuracy_txt(scores: Mapping[str, float], log: bytes, benchmark: str) -> str:
    """Return the metrics that MLPerf knows, one to a line, and the hash of the whole accuracy log.

    The checker's patterns ask for one blank and no quotes (only ROUGE may have either).
    """
    known = {
        name: scores[name] for name in metrics_of(benchmark) if isfinite(scores.get(name, nan))
    }
    lines = [f"'{name}': {known[name]:.{0 if name == 'gen_len' else 4}f}" for name in known]
    return "".join(f"{line}\n" for line in lines) + hash_line(log)


def metrics_of(benchmark: str) -> tuple[str, ...]:
    """Return the metrics worth reporting. An exact match is MLPerf's where the benchmark asks for
    it; elsewhere the name means another figure (SQuAD's).
    """
    asks = any(
        "exact_match" in round_.benchmarks[benchmark].accuracy
        for round_ in ROUNDS.values()
        if benchmark in round_.benchmarks
    )
    return tuple(name for name in METRICS if asks or name != "exact_match")


# ---- for people


def src_readme(timed: Run, scored: Run) -> str:
    """Say how to make the two runs again."""
    rows: dict[str, Callable[[Run], str]] = {
        "run": lambda run: str(run.result["run_id"]),
        "started": lambda run: str(run.result["started_at"]),
        "logs by": writer,
        "harness": lambda run: _commit(run.result),
        "model, variant": lambda run: _model(run.result),
        "dataset": lambda run: _dataset(run.result),
    }
    table = "".join(
        f"| {name} | {value(timed)} | {value(scored)} |\n" for name, value in rows.items()
    )
    return f"""\
# What was run

Touchstone, with the settings beside this file. Both runs are made again with

    harness run --config performance.toml
    harness run --config accuracy.toml

| | performance | accuracy |
|---|---|---|
{table}"""


def result_readme(timed: Run, scored: Run, place: Place) -> str:
    """State result, accuracy and latency limits: the open division asks for all three."""
    result, run, scores = timed.result, timed.result["settings"]["run"], scored.result["accuracy"]
    headline = result["result"]
    rows = {
        headline["name"]: f"{_shown(headline['value'])} {headline['unit']}",
        "tokens per second": _shown(result["throughput"]["tokens_per_s"]),
        "status": f"{result['status']}: {result['status_reason']}",
        "system under test": result["sut"],
        "model, variant": _model(result),
        "dataset": _dataset(result),
    }
    if result["sut"] in WITHOUT_MODEL:
        rows["model, variant"] = "none: no model ran"
    if timed.pattern.has_limits:
        limits = f"TTFT {run['ttft_limit_ns'] / 1e6:g} ms, TPOT {run['tpot_limit_ns'] / 1e6:g} ms"
        rows[f"p{100 * run['percentile']:g} limits"] = limits
    rows |= {name: _shown(scores[name]) for name in metrics_of(place.benchmark) if name in scores}
    table = "".join(f"| {name} | {value} |\n" for name, value in rows.items())
    return f"""\
# {place.benchmark}, {place.scenario}

| | |
|---|---|
{table}
The logs were written by {writer(timed)}. How to make the runs again is in
`src/{place.system}/{place.benchmark}/{place.scenario}`.
"""


def writer(run: Run) -> str:
    """Return the program that the detail log names: Touchstone, or LoadGen itself."""
    found = _WRITER.search(run.detail)
    return found[1] if found else "an unnamed program"


def _commit(result: Mapping[str, Any]) -> str:
    git = result["environment"].get("git") or {}
    changes = " with changes" if git.get("dirty") else ""
    return f"commit {git['commit']}{changes}" if git else "commit unknown"


def _model(result: Mapping[str, Any]) -> str:
    return ", ".join(filter(None, (base_name(result["model"]), result["variant"])))


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.6g}"


def _dataset(result: Mapping[str, Any]) -> str:
    source = result["settings"]["dataset"]
    sha256 = f", sha256 {source['sha256']}" if source.get("sha256") else ""
    count = result["settings"]["run"]["num_samples"]
    return f"{base_name(result['dataset'])}, {count} samples{sha256}"
