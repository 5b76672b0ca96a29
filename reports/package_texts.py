"""The files of a submission that say what was run: system, weights, settings, accuracy, and two
pages for people.

Everything is read from `result.json` (and the logs' bytes); what that does not tell stays empty.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from reports.package_check import Place
from reports.package_rules import (
    MAX_ACCURACY_LOG_BYTES,
    MEASUREMENTS,
    SYSTEM_FILLED,
    SYSTEM_MAY_BE_EMPTY,
)

SCENARIOS = {
    "single-stream": "SingleStream",
    "multi-stream": "MultiStream",
    "server": "Server",
    "offline": "Offline",
}
# MLPerf's exact_match is another figure than ours of that name (SQuAD's), and stays the submitter's
# affair
METRICS = (
    "rouge1",
    "rouge2",
    "rougeL",
    "rougeLsum",
    "gsm8k",
    "mbxp",
    "gen_len",
    "tokens_per_sample",
)
_HERE = (
    "local",
    "simulated",
    "null",
)  # systems under test that run on the machine of environment.json
_WITHOUT_MODEL = ("simulated", "null")
_WRITER = re.compile(r'"key": "loadgen_version", "value": "([^"]*)"')
_VIEWABLE_BYTES = 4096  # of a cut accuracy log, at either end


@dataclass(frozen=True, slots=True)
class Run:
    """What a submission takes of a run folder."""

    folder: Path
    result: Mapping[str, Any]
    detail: str
    summary: str
    accuracy_log: bytes


# ---- the system


def system_fields(result: Mapping[str, Any], place: Place) -> dict[str, str]:
    """All fields that must be there, in order; empty where neither the run nor its machine can
    tell.
    """
    fields = dict.fromkeys((*SYSTEM_FILLED, *SYSTEM_MAY_BE_EMPTY), "")
    fields |= {
        "division": place.division,
        "submitter": place.submitter,
        "system_name": place.system,
    }
    if result["sut"] not in _HERE:
        return fields  # it ran elsewhere: environment.json describes the client
    found, machine = result["environment"], result["environment"]["machine"]
    packages = dict(found["packages"])
    versions = [
        f"{name} {packages.pop(name)}" for name in ("torch", "transformers") if name in packages
    ]
    fields |= {
        "number_of_nodes": "1",
        "host_processor_model_name": machine["cpu"],
        "host_memory_capacity": f"{machine['memory_bytes'] / 2**30:.1f} GiB",
        "operating_system": found["platform"],
        "framework": (
            f"none ({result['sut']})" if result["sut"] in _WITHOUT_MODEL else ", ".join(versions)
        ),
        "other_software_stack": ", ".join(
            [
                f"Python {found['python']}",
                *(f"{name} {version}" for name, version in packages.items()),
                *_drivers(found),
            ]
        ),
        "hw_notes": _hardware_notes(result),
        "sw_notes": " ".join(
            f"{name}={value}" for name, value in found["variables"].items() if "/" not in value
        ),
    }
    return fields | _accelerators(result)


def _accelerators(result: Mapping[str, Any]) -> dict[str, str]:
    """Those that the run used: one, or none. Counts are text, because the checker takes a 0 for an
    empty field.
    """
    kind, _, number = str(result["sut_facts"].get("device", "")).partition(":")
    gpus = result["environment"]["gpus"]
    if kind == "cpu" or result["sut"] in _WITHOUT_MODEL:
        without = [key for key in SYSTEM_FILLED if key.startswith("accelerator_")]
        return dict.fromkeys(without, "N/A") | {"accelerators_per_node": "0"}
    if kind != "cuda" or int(number or 0) >= len(gpus):
        return {}
    gpu = gpus[int(number or 0)]
    memory = f"{gpu['memory_bytes'] / 2**30:.1f} GiB"
    return {
        "accelerators_per_node": "1",
        "accelerator_model_name": gpu["name"],
        "accelerator_memory_capacity": memory,
    }


def _drivers(environment: Mapping[str, Any]) -> list[str]:
    return [
        f"NVIDIA driver {version}"
        for version in sorted({gpu["driver"] for gpu in environment["gpus"]})
    ]


def _hardware_notes(result: Mapping[str, Any]) -> str:
    machine, gpus = result["environment"]["machine"], result["environment"]["gpus"]
    notes = [
        f"{machine['cores_physical']} cores in all, {machine['cores_allowed']} of"
        f" {machine['cores_logical']} CPUs allowed"
    ]
    notes += [" ".join(machine["cpu_flags"])] if machine["cpu_flags"] else []
    notes += [f"the machine has {len(gpus)} GPUs, of which at most one was used"] if gpus else []
    return "; ".join(notes)


def measurements(result: Mapping[str, Any]) -> dict[str, str]:
    """The weights and what was done to them. Whether they were retrained only the submitter
    knows.
    """
    fields = dict.fromkeys(MEASUREMENTS, "")
    if result["sut"] != "local":
        return fields
    notes = [str(note) for note in result["sut_facts"].get("notes") or []]
    return fields | {
        "input_data_types": "int64 (token ids)",
        "starting_weights_filename": _base(result["model"]),
        "weight_data_types": result["variant"],
        "weight_transformations": "; ".join([f"loaded as {result['variant']}", *notes]),
    }


# ---- the settings, for LoadGen and for us


def user_conf(result: Mapping[str, Any]) -> str:
    """The run's settings in LoadGen's syntax: milliseconds and percent. Its seeds are not among the
    keys that it takes.
    """
    run = result["settings"]["run"]
    scenario = SCENARIOS[run["scenario"]]
    lines = [f"*.{scenario}.{key} = {_number(value)}" for key, value in _conf_values(run)]
    return "\n".join([f"# {result['profile']}, {scenario}: {result['run_id']}", *lines]) + "\n"


def _conf_values(run: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """LoadGen reads the token limits only after `use_token_latencies`."""
    scenario = run["scenario"]
    yield "use_token_latencies", run["use_tokens"]
    if scenario.endswith("-stream"):
        yield "target_latency", 1000 / run["target_qps"]
    else:
        yield "target_qps", run["target_qps"]
    if scenario != "offline":
        yield "target_latency_percentile", 100 * run["percentile"]
    if scenario == "multi-stream":
        yield "samples_per_query", run["samples_per_query"]
    if scenario == "server" and run["use_tokens"]:
        yield "ttft_latency", run["ttft_limit_ns"] / 1e6
        yield "tpot_latency", run["tpot_limit_ns"] / 1e6
    elif scenario == "server":
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
    """The user's settings as `harness run --config` takes them, without the folders of the machine
    they ran on.
    """
    config = {
        key: value
        for key, value in result["settings"]["config"].items()
        if key not in ("output_dir", "origins", "conf_files", "loadgens_percentile")
    }
    config |= {"mode": result["mode"], "target_qps": result["settings"]["run"]["target_qps"]}
    config |= {key: _base(config[key]) for key in ("model", "dataset") if key in config}
    return "".join(
        f"{key} = {_toml(value)}\n"
        for key, value in config.items()
        if value is not None and value != {}
    )


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return (
            "{ "
            + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items())
            + " }"
        )
    return json.dumps(value)


def _number(value: float) -> str:
    """Whole numbers without a point: LoadGen cuts what follows it. Twelve digits hide the last bits
    of a product.
    """
    rounded = float(f"{value:.12g}")
    return str(int(rounded)) if rounded == int(rounded) else repr(rounded)


# ---- the accuracy


def accuracy_txt(scores: Mapping[str, float], log: bytes) -> str:
    """The metrics that MLPerf knows, one to a line, and the hash of the whole accuracy log."""
    known = [name for name in METRICS if name in scores and isfinite(scores[name])]
    lines = [f"'{name}': {scores[name]:.{0 if name == 'gen_len' else 4}f}" for name in known]
    return "\n".join([*lines, f"hash={hashlib.sha256(log).hexdigest()}"]) + "\n"


def truncated(log: bytes) -> str:
    """A long log becomes its two ends, with a line of dots to show that something is missing."""
    if len(log) <= MAX_ACCURACY_LOG_BYTES:
        return log.decode()
    ends = log[:_VIEWABLE_BYTES], log[-_VIEWABLE_BYTES:]
    return "\n\n...\n\n".join(end.decode(errors="ignore") for end in ends)


# ---- for people


def src_readme(timed: Run, scored: Run) -> str:
    """How to make the two runs again."""
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
    """The result, its accuracy and its latency limits: the open division asks for all three."""
    result, run, scores = timed.result, timed.result["settings"]["run"], scored.result["accuracy"]
    headline = result["result"]
    rows = {
        headline["name"]: f"{_shown(headline['value'])} {headline['unit']}",
        "tokens per second": _shown(result["throughput"]["tokens_per_s"]),
        "status": f"{result['status']}: {result['status_reason']}",
        "model, variant": _model(result),
        "dataset": _dataset(result),
    }
    if run["scenario"] == "server":
        limits = f"TTFT {run['ttft_limit_ns'] / 1e6:g} ms, TPOT {run['tpot_limit_ns'] / 1e6:g} ms"
        rows[f"p{100 * run['percentile']:g} limits"] = limits
    rows |= {name: _shown(scores[name]) for name in METRICS if name in scores}
    table = "".join(f"| {name} | {value} |\n" for name, value in rows.items())
    return f"""\
# {place.benchmark}, {place.scenario}

| | |
|---|---|
{table}
The logs were written by {writer(timed)}. How to make the runs again stands in
`src/{place.system}/{place.benchmark}/{place.scenario}`.
"""


def writer(run: Run) -> str:
    """The program that the detail log names: Touchstone, or LoadGen itself."""
    found = _WRITER.search(run.detail)
    return found[1] if found else "an unnamed program"


def _commit(result: Mapping[str, Any]) -> str:
    git = result["environment"].get("git") or {}
    return (
        f"commit {git['commit']}{' with changes' if git.get('dirty') else ''}"
        if git
        else "commit unknown"
    )


def _model(result: Mapping[str, Any]) -> str:
    return ", ".join(filter(None, (_base(result["model"]), result["variant"])))


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.6g}"


def _dataset(result: Mapping[str, Any]) -> str:
    source = result["settings"]["dataset"]
    sha256 = f", sha256 {source['sha256']}" if source.get("sha256") else ""
    return f"{_base(result['dataset'])}, {result['settings']['run']['num_samples']} samples{sha256}"


def _base(name: str) -> str:
    """The last part of a path on this machine; hub ids and aliases as they are."""
    return Path(name).name if name.startswith(("/", "~", ".")) else name
