"""Is a measurement of perplexity on a cluster the one that would be made here?"""

from __future__ import annotations

import json
import time
from threading import Thread

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.kernel.errors import RunBroke
from harness.likelihood import settings, spread, study, subject
from tests.harness.likelihood.test_study import ROWS, dataset

VARIANTS = "fp32,bf16,int8"


def measure(place, model, *more):
    place.mkdir()
    words = ["perplexity", "--models", str(model), "--variants", VARIANTS, "--device", "cpu"]
    words += ["--dataset", str(dataset(place)), "--output-dir", str(place / "out"), "--json"]
    done = CliRunner().invoke(app, [*words, *more])
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def on(cluster):
    return "--executor", "ray", "--ray-address", cluster.head


def test_the_figures_of_two_nodes_are_those_of_this_machine(two_nodes, tiny_llama, tmp_path):
    here, _ = measure(tmp_path / "here", tiny_llama)
    there, said = measure(tmp_path / "there", tiny_llama, *on(two_nodes))
    assert "2 runs on" in said
    for ours, theirs in zip(here["subjects"], there["subjects"], strict=True):
        assert (ours["label"], ours["status"]) == (theirs["label"], theirs["status"])
        assert ours["figures"]["tokens"] == theirs["figures"]["tokens"]
        assert ours["figures"]["eval_loss"] == pytest.approx(theirs["figures"]["eval_loss"])
    for ours, theirs in zip(here["subjects"][1:], there["subjects"][1:], strict=True):
        ours, theirs = ours["divergence"], theirs["divergence"]
        assert ours["mean_kld"]["value"] == pytest.approx(theirs["mean_kld"]["value"], rel=1e-3)
        assert ours["note"] == theirs["note"]
    (folder,) = (tmp_path / "there" / "out").iterdir()
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == [
        row["folder"] for row in there["subjects"]
    ]


def test_a_node_that_is_killed_costs_nothing(two_nodes, tiny_llama, tmp_path):
    def kill():
        until = time.monotonic() + 60
        while not list((tmp_path / "place" / "out").glob("*/*/settings.json")):
            assert time.monotonic() < until
            time.sleep(0.05)
        two_nodes.kill(two_nodes.nodes[0])

    killer = Thread(target=kill)
    killer.start()
    found, said = measure(tmp_path / "place", tiny_llama, *on(two_nodes))
    killer.join()
    assert [row["status"] for row in found["subjects"]] == ["DONE"] * 3
    assert "was lost while it made" in said


def test_a_node_that_reads_other_texts_is_named(tmp_path, tiny_llama):
    """Its losses would stand beside those of the texts that are here."""
    flags = {"models": str(tiny_llama), "output_dir": tmp_path}
    ours = settings.settings(flags | {"dataset": str(dataset(tmp_path))})
    place = study.begin(ours, print)
    (tmp_path / "node").mkdir()
    theirs = settings.settings(flags | {"dataset": str(dataset(tmp_path / "node", ROWS[1:]))})
    folder = study.begin(theirs, print)
    (only,) = settings.subjects(ours)
    with pytest.raises(RunBroke, match="it read other texts"):
        spread.bring(place, folder, only)
    assert subject.read_row(place, only).get("status") is None
