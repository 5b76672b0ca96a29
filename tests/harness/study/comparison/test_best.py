"""Finished runs and measurements of perplexity side by side: intervals, kinds of task, and who is
best.
"""

import csv
import json
import shutil

import numpy as np
import pytest

from accuracy.datasets.files import load_dataset
from accuracy.ranking import Losses, pace_of
from harness.kernel.errors import BadInput
from harness.study.comparison import intervals, tasks
from harness.study.comparison.likelihoods import is_one, joined, loss_beside, subjects_of
from harness.study.comparison.rows import FIGURES
from tests import ROOT
from tests.doubt_helpers import log_of, one_by_one
from tests.harness.schema.test_schema import check
from tests.harness.study.comparison.test_compare import row
from tests.harness.study.comparison.test_verdict import published, run_compare
from tests.harness.study.gating.test_gate import edit, make
from tests.test_cli import harness as command

PERPLEXITY = ROOT / "tests" / "golden" / "perplexity.json"


# ---- intervals


def test_a_rate_lies_in_its_interval_and_a_steady_one_is_narrow():
    log = log_of(*one_by_one(np.random.default_rng(1), 1000))
    found = intervals.of_log(log, pace_of(log.token_ns))
    value, low, high = found["samples_per_s"]
    assert low < value < high < 1.1 * low
    assert set(found) >= {
        "tokens_per_s",
        "ttft_p50_ms",
        "ttft_p99_ms",
        "tpot_p90_ms",
        "inference_s",
    }
    assert all(one.low is None or one.low <= one.value for one in found.values())


def test_the_interval_of_a_share_is_wilsons():
    """Against the published example: 1 of 29 (Newcombe 1998, table I, method 3)."""
    low, high = intervals.share_of_100(100 / 29, 29)[1:]
    assert (low, high) == pytest.approx((0.6113, 17.1755), abs=2e-3)


def test_a_loss_and_its_perplexity_have_the_same_interval():
    tokens = np.full(50, 20)
    nats = np.random.default_rng(1).normal(2.0, 0.3, 50)
    found = intervals.of_losses(Losses(np.arange(50), nats * 20, tokens))
    assert np.exp(found["eval_loss"]) == pytest.approx(found["perplexity"])
    assert intervals.of_losses(None) == {}


# ---- kinds of task


class Labelled:
    def __init__(self, index, **labels):
        self.index, self.labels = index, tuple(labels.items())


def test_kinds_are_the_values_of_labels_that_differ():
    one = [Labelled(i, kind="why" if i % 2 else "what", source="book") for i in range(4)]
    assert tasks.members_of(one) == {"what": frozenset({0, 2}), "why": frozenset({1, 3})}
    two = [Labelled(i, kind="ab"[i % 2], language="xy"[i // 2]) for i in range(4)]
    assert set(tasks.members_of(two)) == {"kind: a", "kind: b", "language: x", "language: y"}
    names = [Labelled(i, title=f"text {i}") for i in range(40)]
    assert tasks.members_of(names) == {}


def test_a_kind_of_few_answers_is_left_out():
    members = {"many": frozenset(range(10)), "few": frozenset(range(10, 13))}
    found = tasks.of_losses(Losses(np.arange(13), np.ones(13), np.ones(13, int)), members)
    assert list(found["perplexity"]) == ["many"]


def test_runs_are_compared_by_kind_of_task(tmp_path):
    """One run answers all but the questions why, the other half of all: each is better at
    something.
    """
    loaded = load_dataset("qa", 32, 80)
    samples = loaded.samples
    is_why = [("kind", "why") in sample.labels for sample in samples]
    good, bad = [sample.reference for sample in samples], "nothing of the kind"
    ours = [bad if why else text for text, why in zip(good, is_why, strict=True)]
    theirs = [text if i % 2 else bad for i, text in enumerate(good)]
    folders = [make(tmp_path, ours, "bf16", "qa"), make(tmp_path, theirs, "int8", "qa")]
    for folder in folders:
        edit(folder / "settings.json", "dataset", **loaded.source)
    folders = published(*folders)
    found = run_compare(tmp_path, *folders)
    places = {one["kind"]: one["places"] for one in found["best"]["kinds"]}
    assert places["why"] == {"bf16": 2, "int8": 1}
    assert places["fact"] == {"bf16": 1, "int8": 2}
    apart = [(one["label"], one["better"], one["kind"]) for one in found["best"]["disagreements"]]
    assert ("bf16", "int8", "why") in apart
    low, high = found["rows"][0]["intervals"]["rougeL"]
    assert low <= found["rows"][0]["rougeL"] <= high


# ---- perplexity beside runs


@pytest.fixture
def measured(tmp_path):
    folder = tmp_path / "perplexity"
    folder.mkdir()
    shutil.copy(PERPLEXITY, folder / "perplexity.json")
    return folder


def test_a_subject_joins_the_run_of_its_model_and_variant(measured):
    subjects = subjects_of(measured)
    rows = joined([row(model="llama")], subjects, dict.fromkeys(FIGURES))
    assert [(one["model"], one["variant"]) for one in rows] == [
        ("llama", "fp32"), ("llama", "bf16"),
    ]  # fmt: skip
    value, low, high = rows[0]["likelihood"]["figures"]["text_perplexity"]
    assert low < value < high
    assert rows[0]["perplexity"] == 20.0  # that of the run's own answers stays what it was
    assert rows[1]["tokens_per_s"] is None


def test_losses_on_the_same_texts_are_compared_text_by_text(measured):
    first, second = subjects_of(measured)
    value, low, high = loss_beside(first, second)
    assert 0 < low < value < high
    assert loss_beside(second, first) == (-value, -high, -low)
    assert loss_beside(first, row()) is None


def test_compare_takes_a_folder_of_perplexity_alone(measured, tmp_path):
    assert is_one(measured)
    found = run_compare(tmp_path, measured)
    ranks = {one["figure"]: one["places"] for one in found["best"]["ranks"]}
    assert ranks["text_perplexity"] == {"fp32": 2, "bf16": 1}
    assert found["comparable"]


def test_a_damaged_measurement_is_refused(measured):
    (measured / "perplexity.json").write_text('{"schema": "touchstone.perplexity/1"}')
    with pytest.raises(BadInput, match="its schema is"):
        subjects_of(measured)
    (measured / "perplexity.json").write_text("[]")
    with pytest.raises(BadInput):
        subjects_of(measured)


# ---- cost


SPEEDS = {"fast": 2, "slow": 8}


@pytest.fixture(scope="module")
def two_speeds(tmp_path_factory):
    """Finished offline runs of two made-up systems, in virtual time."""
    place = tmp_path_factory.mktemp("two_speeds")
    words = "run --scenario offline --sut simulated --clock virtual --min-duration 1s --quiet"
    for name, per_token_ms in SPEEDS.items():
        done = command(*words.split(), "--sut-option", f"per_token_ms={per_token_ms}",
                       "--output-dir", place / name)  # fmt: skip
        assert done.returncode in (0, 1), done.stderr
    return [next((place / name).iterdir()) for name in SPEEDS]


def test_a_price_says_what_a_million_tokens_cost(two_speeds, tmp_path):
    done = command("compare", *two_speeds, "--price-per-hour", "2.5", "--output-dir", tmp_path,
                   "--json")  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    check("compare", found)
    assert found["price_per_hour"] == {"": 2.5}
    for one in found["rows"]:
        cost = one["usd_per_million_tokens"]
        assert cost == pytest.approx(1e6 * 2.5 / 3600 / one["tokens_per_s"])
        low, high = one["intervals"]["usd_per_million_tokens"]
        assert low < cost < high
    (rank,) = [one for one in found["best"]["ranks"] if one["figure"] == "usd_per_million_tokens"]
    assert list(rank["places"].values()) == [1, 2]
    assert "cost, $/million tokens" in (tmp_path / found["folder"] / "compare.html").read_text()


def test_each_may_have_its_own_price_and_a_card_its_column(two_speeds, tmp_path):
    words = ["--price-per-hour", "simulated #1=10,1", "--columns", "tokens_per_s,cost"]
    done = command("compare", *two_speeds, *words, "--format", "csv", "--output-dir", tmp_path)
    dear, cheap = csv.DictReader(done.stdout.splitlines())
    assert float(dear["usd_per_million_tokens"]) > float(cheap["usd_per_million_tokens"])
    assert float(dear["tokens_per_s"]) > float(cheap["tokens_per_s"])


@pytest.mark.parametrize(
    ("price", "said"),
    [("int8=2", "'int8' is not known"), ("-1", "it is -1"), ("dear", "'dear' is no price")],
)
def test_a_price_that_cannot_be_is_refused(two_speeds, tmp_path, price, said):
    done = command("compare", *two_speeds, "--price-per-hour", price, "--output-dir", tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert not any(tmp_path.iterdir())


def test_a_series_keeps_its_price_when_it_goes_on(tmp_path):
    words = "--sut simulated --clock virtual --max-concurrency 8,16 --min-duration 1s"
    price = ["--price-per-hour", "max-concurrency=8=4,2"]
    done = command("compare", *words.split(), *price, "--output-dir", tmp_path, "--json")
    found = json.loads(done.stdout.splitlines()[-1])
    one, two = (made["usd_per_million_tokens"] * made["tokens_per_s"] for made in found["rows"])
    assert one == pytest.approx(2 * two)
    again = command("resume", found["folder"], "--json")
    costs = [
        [made["usd_per_million_tokens"] for made in rows]
        for rows in (found["rows"], json.loads(again.stdout.splitlines()[-1])["rows"])
    ]
    assert costs[0] == costs[1]
