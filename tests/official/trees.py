"""Submissions without a fault: made of the simulated SUT's runs by `package`, completed as a
submitter would complete them, and dressed as if a model had run.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from harness.mlperf.submission import make
from harness.options.settings import load_config
from harness.running.session import Run
from reports.mlperf.files import ACCURACY
from reports.submission.compliance import Lengths, Quality
from reports.submission.places import read_tree
from reports.submission.rules import ROUNDS, Benchmark

AUDIT = {"accuracy_log_seed": 720381539243781796, "min_duration": 0.0}
AUDITS = {
    "TEST06": AUDIT | {"accuracy_log_target": 100, "min_queries": 100, "issue": "random"},
    "TEST07": AUDIT
    | {"accuracy_log_target": 990, "min_queries": 990, "issue": "unique", "num_samples": 990},
    "TEST09": AUDIT | {"accuracy_log_target": 10_000, "min_queries": 6396, "issue": "unique"},
}
SYSTEM = {
    "status": "available",
    "system_type": "datacenter",
    "host_processors_per_node": "2",
    "host_processor_core_count": "56",
    "host_memory_configuration": "16 x 32 GiB",
    "host_storage_capacity": "1 TB",
    "host_storage_type": "NVMe",
    "host_networking": "Ethernet",
    "host_network_card_count": "1",
    "host_networking_topology": "N/A",
    "accelerators_per_node": "8",
    "cooling": "air",
    "framework": "touchstone",
    "retraining": "no",
    "input_data_types": "int64",
    "starting_weights_filename": "model",
    "weight_data_types": "bf16",
    "weight_transformations": "none",
}
NETWORK_FIELDS = (
    "network_type", "network_media", "network_rate", "nic_loadgen", "number_nic_loadgen",
    "net_software_stack_loadgen", "network_protocol", "number_connections", "nic_sut",
    "number_nic_sut", "net_software_stack_sut", "network_topology",
)  # fmt: skip
OWN_NAME, DRESSED = '"Touchstone simulated"', '"Touchstone local llama bf16"'


class Base(NamedTuple):
    """A submission: one system, one benchmark, its scenarios."""

    profile: str
    benchmark: str
    scenarios: tuple[str, ...] = ("server", "offline")
    division: str = "closed"
    version: str = "v6.1"
    interactive: bool = False
    system_type: str = "datacenter"

    @property
    def place(self) -> str:
        return f"{self.division}/acme/results/box/{self.benchmark}"


BASES = {
    "llama3.1-8b": Base("llama3.1-8b", "llama3.1-8b"),
    "open": Base("llama3.1-8b", "llama3.1-8b", ("server",), "open"),
    "edge": Base(
        "llama3.1-8b-edge",
        "llama3.1-8b-edge",
        ("single-stream", "offline"),
        system_type="edge",
    ),
    "llama2-70b": Base("llama2-70b", "llama2-70b-99.9", interactive=True),
    "deepseek-r1": Base("deepseek-r1", "deepseek-r1", system_type="datacenter,edge"),
    "gpt-oss-120b": Base("gpt-oss-120b", "gpt-oss-120b"),
    "mixtral-8x7b": Base("mixtral-8x7b", "mixtral-8x7b", version="v6.0"),
    "llama3.1-405b": Base("llama3.1-405b", "llama3.1-405b", version="v6.0", interactive=True),
}


@cache
def base(name: str) -> Mapping[str, str]:
    """The tree of a base, made once. `network` is llama3.1-8b in that division, by hand."""
    if name == "network":
        return _network(base("llama3.1-8b"))
    with tempfile.TemporaryDirectory() as scratch:
        return _made(BASES[name], Path(scratch))


def version(name: str) -> str:
    return BASES["llama3.1-8b" if name == "network" else name].version


def run(folder: Path, **flags: Any) -> Path:
    """A finished run of the simulated SUT."""
    asked = {
        "sut": "simulated",
        "clock": "virtual",
        "sample_timeout": 1e6,
        "output_dir": folder,
    }
    with Run(load_config(asked | flags), lambda _: None, progress=False) as made:
        made.execute()
    return made.folder


def _made(wanted: Base, scratch: Path) -> Mapping[str, str]:
    known = scratch / "known.json"
    known.write_text(json.dumps(SYSTEM | {"system_type": wanted.system_type}))
    benchmark = ROUNDS[wanted.version].benchmarks[wanted.benchmark]
    for scenario in wanted.scenarios:
        _package(wanted, benchmark, scenario, scratch, known)
        known.write_text("{}")  # the description of the system stands already
    return _completed(read_tree(scratch / "out"), wanted, benchmark)


def _package(wanted: Base, benchmark: Benchmark, scenario: str, scratch: Path, known: Path) -> None:
    flags = _flags(wanted, benchmark, scenario)
    tests = benchmark.tests if wanted.division == "closed" else ()
    own = flags | {"accuracy_samples": benchmark.accuracy_samples}
    make(
        run(scratch, **flags),
        scratch / "out",
        "acme",
        "box",
        accuracy_run=run(scratch, **(own | {"mode": "accuracy"})),
        compliance=[run(scratch, **(flags | AUDITS[test])) for test in tests],
        system_json=known,
        division=wanted.division,
        benchmark=wanted.benchmark,
    )


def _flags(wanted: Base, benchmark: Benchmark, scenario: str) -> dict[str, Any]:
    """A run that just takes its 600 s, with two tokens in an answer."""
    n = benchmark.samples
    each_s = 620 / n
    options = {"tokens": 2, "per_token_ms": 5.0, "slots": 1, "ttft_ms": max(1e3 * each_s - 5, 1)}
    if scenario == "server":
        options |= {"slots": 64, "ttft_ms": 50.0}
    interactive = wanted.interactive and scenario == "server"
    return {
        "scenario": scenario,
        "profile": wanted.profile + ("-interactive" if interactive else ""),
        "seeds": wanted.version,
        "num_samples": n,
        "target_qps": float(f"{1.02 / each_s:.3g}"),
        "sut_options": options,
    }


def _completed(tree: Mapping[str, str], wanted: Base, benchmark: Benchmark) -> Mapping[str, str]:
    """Scores, weights and pages that somebody else has to write; a name of a system that ran."""
    done = {path: text.replace(OWN_NAME, DRESSED) for path, text in tree.items()}
    for path, text in tree.items():
        if path.endswith("/accuracy/accuracy.txt") and "/TEST" not in path:
            hashes = [line for line in text.splitlines() if line.startswith("hash=")]
            done[path] = "".join(f"{line}\n" for line in [*_scores(benchmark), *hashes])
        if path.endswith("/measurements.json"):
            known = {key: SYSTEM[key] for key in json.loads(text)}
            done[path] = json.dumps(known)
        if path.endswith("TEST07/verify_accuracy.txt"):
            done[path] = Quality(62.5, 60.698).page()
        if path.endswith("TEST09/verify_output_len.txt"):
            done[path] = Lengths(6396, 1278.2, 1150.38, 1406.02).page()
    return done


def _scores(benchmark: Benchmark) -> list[str]:
    """Every score a little above what it must be."""
    lines = []
    for name, (least, most) in benchmark.accuracy.items():
        value = least * 1.001 if least else most * 0.9
        lines.append(f"'{name}': {value:.4f}")
    return lines


def _network(tree: Mapping[str, str]) -> Mapping[str, str]:
    moved = {path.replace("closed/", "network/", 1): text for path, text in tree.items()}
    system = "network/acme/systems/box.json"
    fields = json.loads(moved[system]) | {"division": "network", "is_network": "true"}
    moved[system] = json.dumps(fields | dict.fromkeys(NETWORK_FIELDS, "x"))
    named = '"Network SUT llama bf16"'
    return {
        path: text.replace(DRESSED, named) if ACCURACY not in path else text
        for path, text in moved.items()
    }
