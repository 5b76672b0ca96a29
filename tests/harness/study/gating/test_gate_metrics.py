"""Can any metric decide a gate? Each by the figure that a run itself reports, with its interval."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF

from accuracy.gate.metrics import METRICS
from accuracy.gate.offers import TABLE, in_words
from accuracy.metrics import exact_match
from accuracy.tasks import TABLE as TASKS
from accuracy.tasks.scorers import OF_DATASETS, OF_TEXTS, scored_by
from accuracy.tasks.scorers import TABLE as SCORERS
from harness import registry
from harness.kernel.types import Metric
from harness.result.library import samples_of
from harness.result.read import read_run
from tests import ROOT
from tests.harness.study.gating.test_gate import answers, invoke, make, screen
from tests.harness.test_registry import install

assert install  # a fixture
HERE = "tests.harness.study.gating.test_gate_metrics"
N = 60


def letters(log, samples, ids):
    """Share of answers that begin with a letter of the first half of the alphabet."""
    found = [log.texts[i][:1].lower() <= "m" for i in ids.tolist()]
    return [Metric("letters", 100 * float(np.mean(found)), "%", len(found))]


def longest(log, samples, ids):
    """Length of the longest answer of all: no mean."""
    return [Metric("longest", max(len(log.texts[i]) / 1000 for i in ids.tolist()), "", len(ids))]


def words(log, samples, ids):
    """Mean number of words in an answer: no share."""
    return [Metric("words", float(np.mean([len(log.texts[i].split()) for i in ids])), "", len(ids))]


def breaks(log, samples, ids):
    raise ZeroDivisionError("nothing to divide by")


def asked(folder, references, name="asked.jsonl"):
    """A dataset with these answers."""
    file = folder / name
    rows = [{"prompt": f"question {i}", "reference": one} for i, one in enumerate(references)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def judged(folder, references, ours, theirs, metric):
    """(gate.json, its only row, what was said) of a reference's answers and a candidate's."""
    file = asked(folder, references)
    runs = make(folder, ours, file=file), make(folder, theirs, "int8", file=file)
    code, found, said = invoke(*runs, flags=["--target", "99", "--metric", metric])
    assert code in (0, 1), said
    return found, found["tasks"][0]["rows"][0], said


@pytest.mark.parametrize(("metric", "oracle"), [("bleu", BLEU()), ("chrf", CHRF())])
def test_a_corpus_figure_decides_as_it_is(tmp_path, metric, oracle):
    wanted = answers(n=N)
    ours = [text.replace("alpha", "alpha or") for text in wanted]
    theirs = [text if i % 4 else text.replace("gamma delta", "x") for i, text in enumerate(ours)]
    found, row, _ = judged(tmp_path, wanted, ours, theirs, metric)
    whole = [oracle.corpus_score(texts, [wanted]).score / 100 for texts in (theirs, ours)]
    (ratio,) = row["readings"]["task"]["ratios"]
    assert (ratio["candidate"], ratio["reference"]) == pytest.approx(tuple(whole))
    assert ratio["low"] < ratio["value"] < ratio["high"]
    assert (row["status"], found["why"]) == ("FAIL", "all answers together")
    assert row["paired"] is None
    assert "of fp32's " in row["reason"]
    solved = found["tasks"][0]["reference"]["solved"]
    assert solved["low"] <= solved["value"] <= solved["high"]
    assert "score, %" in " ".join(screen(found, 120).split())


def test_a_figure_that_needs_more_answers_says_how_many(tmp_path):
    wanted = answers(n=N)
    theirs = [text if i else text.replace("gamma delta", "x") for i, text in enumerate(wanted)]
    _, row, _ = judged(tmp_path, wanted, wanted, theirs, "bleu")
    assert row["status"] == "UNDECIDED"
    assert row["needed"] > N
    assert "questions would decide" in row["reason"]


def test_graded_scores_that_change_by_chance_move_the_figure_as_far_as_is_said(tmp_path):
    """Where each change may as well be a gain as a loss, their sum varies as much as `moved`."""
    wanted = answers(n=N)
    theirs = [text if i % 3 else text.replace("gamma delta", "x") for i, text in enumerate(wanted)]
    theirs[4] = "nothing of it"
    _, row, _ = judged(tmp_path, wanted, wanted, theirs, "token_f1")
    changes = np.array(
        [1 - exact_match.score(*pair)[1] for pair in zip(theirs, wanted, strict=True)]
    )
    signs = np.random.default_rng(3).choice((-1, 1), (20_000, N))
    assert row["moved"] == pytest.approx(np.std(signs @ changes) / N, rel=0.02)
    assert row["changed"] == 21


OWN = {  # metric -> (expected answer, right, wrong, figure of the run)
    "number_match": ("so\n#### {}", "it is {}.", "it is -9.", "number_match"),
    "multiple_choice": ("B", "Answer: B", "Answer: A", "multiple_choice"),
    "mlperf_scores": ("so\n#### {}", "The answer is {}.", "no idea", "gsm8k"),
    "exact_match": ("city {}", "The City {}.", "a village", "exact_match"),
}


@pytest.mark.parametrize("metric", OWN)
def test_a_metric_of_a_dataset_counts_right_and_wrong_as_the_run_does(tmp_path, metric):
    expected, right, wrong, figure = OWN[metric]
    wanted = [expected.format(i) for i in range(N)]
    ours = [(right if i % 5 else wrong).format(i) for i in range(N)]
    theirs = [(right if i % 3 else wrong).format(i) for i in range(N)]
    found, row, said = judged(tmp_path, wanted, ours, theirs, metric)
    only = {name: row["paired"][name] for name in ("only_reference", "only_candidate")}
    assert only == {"only_reference": 16, "only_candidate": 8}, said
    raw = read_run(next(tmp_path.glob("fp32_*")))
    ids = np.arange(N)
    samples = samples_of(raw)
    name = next(name for name in registry.metrics() if name == metric)
    values = {one.name: one.value for one in registry.metric(name)(raw.log, samples, ids)}
    own = found["tasks"][0]["reference"]["solved"]["value"]
    assert 100 * own == pytest.approx(values[figure], abs=1e-3)


def test_only_answers_of_its_kind_are_marked(tmp_path):
    wanted = ["#### 7" if i % 2 else "B" for i in range(N)]
    _, row, _ = judged(tmp_path, wanted, wanted, wanted, "multiple_choice")
    assert row["readings"]["task"]["n"] == N / 2
    assert row["status"] == "PASS"
    assert scored_by("number_match", []) == []


def test_answers_that_a_metric_cannot_mark_decide_nothing(tmp_path):
    file = asked(tmp_path, answers(n=N))
    runs = [make(tmp_path, answers(n=N), variant, file=file) for variant in ("fp32", "int8")]
    _, found, _ = invoke(*runs, flags=["--metric", "number_match"])
    assert found["status"] == "UNDECIDED"
    assert "no answer of it can be scored by number_match" in found["rows"][0]["reason"]


# ---- plug-ins


def test_a_metric_of_a_package_decides_by_the_scores_of_single_answers(tmp_path, install):
    install("metric", "letters", f"{HERE}:letters")
    ours = ["apple" if i % 4 else "zebra" for i in range(N)]
    theirs = ["apple" if i % 2 else "zebra" for i in range(N)]
    found, row, _ = judged(tmp_path, ["x"] * N, ours, theirs, "letters")
    assert (row["status"], row["paired"]["only_reference"]) == ("FAIL", 15)
    assert found["metric"] == "letters"


@pytest.mark.parametrize(
    ("metric", "words"),
    [("longest", "the mean over single ones is"), ("words", "scores from 0 to 1"),
     ("breaks", "the plug-in broke: ZeroDivisionError")],
)  # fmt: skip
def test_a_metric_of_a_package_that_is_no_mean_of_scores_is_refused(
    tmp_path, install, metric, words
):
    install("metric", metric, f"{HERE}:{metric}")
    file = asked(tmp_path, ["x"] * N)
    texts = [*answers(n=N - 1), "long " * 99]
    runs = [make(tmp_path, texts, variant, file=file) for variant in ("fp32", "int8")]
    code, _, said = invoke(*runs, flags=["--metric", metric])
    assert (code, words in re.sub(r"\s+", " ", said)) == (2, True), said


# ---- one table


def test_every_name_that_is_offered_is_known_and_the_other_way_round():
    assert list(TABLE) == [*METRICS, *sorted((*OF_TEXTS, *OF_DATASETS), key=list(TABLE).index)]
    assert {name for name in TABLE if name not in METRICS} <= set(SCORERS)
    of_tasks = {name for task in TASKS.values() for name in task.scorers}
    assert not of_tasks & {*OF_DATASETS}
    assert all(name in in_words() for name in TABLE)


def test_the_guide_has_the_same_table():
    text = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
    for offer in TABLE.values():
        assert f"| `{offer.name}` | {offer.says} | {offer.of} | {offer.interval} |" in text
