"""Runs and trees for the tests of `package`: made by the simulated SUT on the virtual clock, at
full length, and dressed as runs of a model on the CPU; ways to spoil a tree.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from harness.mlperf.submission import read
from harness.options.settings import load_config
from harness.running.session import Run as HarnessRun
from reports.mlperf.files import ACCURACY, DETAIL, SUMMARY
from reports.submission.tree import package, place_of

PLACE = "open/Acme/results/box-1/llama3.1-8b/Server"
TIMED, SCORED = f"{PLACE}/performance/run_1/{DETAIL}", f"{PLACE}/accuracy/{DETAIL}"
ANSWERS, SCORES_FILE = f"{PLACE}/accuracy/{ACCURACY}", f"{PLACE}/accuracy/accuracy.txt"
SUMMARY_FILE = f"{PLACE}/performance/run_1/{SUMMARY}"
SYSTEM, MEASURED = "open/Acme/systems/box-1.json", f"{PLACE}/measurements.json"
SCORES = {
    "rouge1": 38.7792,
    "rouge2": 15.9075,
    "rougeL": 24.4957,
    "rougeLsum": 35.793,
    "gen_len": 8167644.0,
}
KNOWN = {
    "status": "available",
    "system_type": "datacenter",
    "host_processors_per_node": 1,
    "host_processor_core_count": 2,
    "host_memory_configuration": "2 x 16 GB",
    "host_storage_capacity": "1 TB",
    "host_storage_type": "NVMe",
    "host_networking": "Ethernet",
    "host_network_card_count": 1,
    "host_networking_topology": "none",
    "cooling": "air",
    "retraining": "no",
}


def make(folder: Path, **flags) -> Path:
    """A finished run of the simulated SUT, as llama3.1-8b in the server scenario unless told
    otherwise.
    """
    asked = {
        "scenario": "server",
        "sut": "simulated",
        "sut_options": {"tokens": 4},  # short answers: what is tested does not depend on them
        "clock": "virtual",
        "profile": "llama3.1-8b",
        "target_qps": 20,
        "num_samples": 13368,
        "output_dir": folder,
    }
    with HarnessRun(load_config(asked | flags), lambda _: None, progress=False) as run:
        run.execute()
    return run.folder


def dressed(folder: Path):
    """The run in `folder` as if a model had run on this CPU; its logs say so too."""
    run = read(folder)
    result = json.loads(json.dumps(run.result))
    result |= {"sut": "local", "model": "/home/somebody/tiny", "variant": "fp32"}
    result["sut_facts"] = {
        "model": "/home/somebody/tiny",
        "device": "cpu",
        "notes": ["its weights were tied"],
    }
    result["accuracy"] |= SCORES
    result["environment"]["variables"] = {"OMP_NUM_THREADS": "2", "CUDA_HOME": "/opt/cuda"}
    detail = run.detail.replace('"Touchstone simulated"', '"Touchstone local tiny fp32"')
    return replace(run, result=result, detail=detail)


def changed(run, **result):
    """The same run with other fields in its result."""
    return replace(run, result={**run.result, **result})


def pack(timed, scored, output, **given):
    """Package two runs as Acme's box-1. `given` may name division, benchmark and round."""
    place = place_of(
        timed.result,
        timed.pattern,
        given.pop("division", "open"),
        "Acme",
        "box-1",
        given.pop("benchmark", None),
        given.get("version", "v6.1"),
    )
    return package(timed, scored, place, output, **given)


# ---- spoiling a tree


def replaced(path, pattern, new):
    """A tree with one file changed (`new` None: gone)."""

    def change(tree):
        if new is None:
            return {name: text for name, text in tree.items() if name != path}
        text, n = re.subn(pattern, new, tree[path])
        assert n, f"{pattern} is not in {path}"
        return tree | {path: text}

    return change


def value(key, new, path=TIMED):
    """A log with another value of `key`, given as JSON."""
    return replaced(path, f'("key": "{key}", "value": )[^,]+', rf"\g<1>{new}")


def field(key, new, path=SYSTEM):
    """A JSON file with another field, or (new None) without it."""

    def change(tree):
        fields = json.loads(tree[path])
        fields = {name: text for name, text in fields.items() if name != key}
        return tree | {path: json.dumps(fields if new is None else fields | {key: new})}

    return change


def moved(tree, old, new):
    return {path.replace(old, new): text for path, text in tree.items()}


def added(path, text):
    return lambda tree: tree | {path: text}


def closed(tree):
    """The tree of the open division in the closed one."""
    path = SYSTEM.replace("open/", "closed/")
    return moved(tree, "open/", "closed/") | {path: tree[SYSTEM].replace('"open"', '"closed"')}
