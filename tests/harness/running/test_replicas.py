"""`--replicas N` from the command line to the folder: what holds, what is told, what is refused."""

from __future__ import annotations

import os

import pyarrow.parquet as pq
import pytest

from harness.kernel.errors import BadInput
from harness.options.settings import load_config
from harness.running import warmup
from harness.running.sampling import of_sut
from harness.study.cells import cells_of
from tests.command_line import run

TWO = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two cores are needed")
APART = "--sut tests.faults.apart:Apart --sut-option ttft_ms=5 --sut-option tokens=4"


def config(**flags):
    return load_config({"scenario": "offline", "replicas": 2, **flags})


@TWO
def test_two_replicas_share_a_run_and_each_is_told_of(tmp_path):
    words = "--scenario offline --min-queries 200 --replicas 2 --min-duration 0s --num-samples 40"
    result, screen = run(f"{words} {APART}", tmp_path)
    told = result["sut_facts"]["replicas"]
    assert (result["status"], result["counts"]["completed"]) == ("VALID", 200)
    assert (told["count"], sum(told["samples"]), sum(told["tokens"])) == (2, 200, 800)
    assert min(told["samples"]) > 50
    assert f"2 replicas ({'; '.join(told['places'])}) took" in " ".join(screen.split())
    (folder,) = tmp_path.iterdir()
    page = (folder / "report.html").read_text()
    assert "<h2>Replicas</h2>" in page
    assert all(place in page for place in told["places"])
    rows = pq.read_table(folder / "telemetry.parquet").to_pylist()
    assert len(rows[0]["replica_rss_bytes"]) == 2
    assert rows[0]["sut_rss_bytes"] == sum(rows[0]["replica_rss_bytes"])
    assert result["memory"]["system_peak_bytes"] >= rows[0]["sut_rss_bytes"]


def test_more_replicas_than_the_machine_has_room_for_is_a_setup_failure(tmp_path):
    _, screen = run(f"--scenario offline --replicas 4000 {APART}", tmp_path, code=3)
    assert "--replicas 4000: this process may use" in " ".join(screen.split())


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"in_process": True}, "each replica needs a process of its own; leave --in-process out"),
        ({"device": "cuda:1"}, "--device cuda:1 is a single GPU, and each replica needs its own"),
        ({"sut": "simulated"}, "--sut simulated has no process of its own"),
        ({"base_url": "http://localhost:8000"}, "a server has its own replicas"),
        ({"replicas": 0}, "--replicas is 0: it must be above 0"),
    ],
)
def test_what_does_not_go_together_is_refused(flags, sentence):
    with pytest.raises(BadInput, match=sentence):
        config(**flags)


def test_one_replica_is_what_it_was_without_the_flag():
    assert config(replicas=1, in_process=True).replicas == 1


def test_a_comparison_may_vary_the_replicas():
    names = [cell.name for cell in cells_of({"replicas": "1,2", "variant": "fp32"}, None)]
    assert names == ["replicas=1", "replicas=2"]


def test_the_warm_up_fills_the_batches_of_all_replicas():
    settings = config(scenario="server", max_concurrency=8)
    assert warmup.warmup_samples(settings, library=10) == 32
    assert next(warmup.warmup(1, 10, settings)).release.below == 16


def test_the_warm_up_of_an_accuracy_run_is_no_longer_than_the_run():
    offline = config(scenario="offline", mode="accuracy", max_concurrency=8, replicas=2)
    assert [warmup.warmup_samples(offline, library) for library in (3, 1000)] == [3, 16]
    server = config(scenario="server", mode="accuracy", max_concurrency=8, replicas=2)
    assert warmup.warmup_samples(server, library=3) == 32


def test_the_processes_of_replicas_are_parts_of_one_role():
    class Two:
        pids = (11, 12)

    assert of_sut(Two()) == {"sut.1": 11, "sut.2": 12}
