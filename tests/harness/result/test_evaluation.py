"""The evaluation of a run: what it says, when it is left out, and that a report made later says the
same.
"""

from __future__ import annotations

import json
import math

import pytest

from accuracy.tasks.attempts.draws import Draws, several
from harness.engine.driver import Stop
from harness.kernel.errors import RunBroke
from harness.kernel.types import Sample
from harness.options.settings import load_config
from harness.result.evaluation import choose, evaluate, figures, notes
from harness.result.publish import publish
from harness.running.session import Run
from reports.tables import brief

SAMPLES = [Sample(i, f"question {i}", reference="word " * (i % 7 + 1)) for i in range(40)] + [
    Sample(40, "no answer known")
]


class Counting:
    """Every answer has as many tokens as words, each at half a nat; every second is right."""

    def __init__(self, **changes):
        self.calls, self.changes = [], changes

    def evaluate(self, answers):
        self.calls.append([index for index, _ in answers])
        tokens = sum(len(text.split()) for _, text in answers)
        sums = {
            "nll_nats": tokens / 2,
            "correct": tokens // 2,
            "tokens": tokens,
            "samples": len(answers),
        }
        return sums | {"left_out": 0, "seconds": 0.5} | self.changes


def silent(text):
    del text


def test_every_reference_is_scored_once_and_the_sums_make_the_figures():
    sut = Counting()
    sums = evaluate(sut, SAMPLES, Stop(), silent)
    assert sorted(index for call in sut.calls for index in call) == list(range(40))
    found = figures(sums)
    assert found["eval_loss"] == pytest.approx(0.5)
    assert found["perplexity"] == pytest.approx(math.exp(0.5))
    assert found["token_accuracy"] == pytest.approx(0.5, abs=0.01)
    assert found["eval_samples"] == 40
    assert found["eval_samples_per_s"] == pytest.approx(40 / (0.5 * len(sut.calls)))


def test_answers_of_similar_length_are_asked_together():
    sut = Counting()
    evaluate(sut, SAMPLES, Stop(), silent)
    lengths = [len(SAMPLES[index].reference) for call in sut.calls for index in call]
    assert lengths == sorted(lengths, reverse=True)


class Breaks:
    def evaluate(self, answers):
        raise RunBroke("the evaluation", "out of memory", "", "Choose a smaller variant")


@pytest.mark.parametrize(
    ("sut", "samples", "problem"),
    [
        (object(), SAMPLES, "cannot score"),
        (Counting(), [Sample(0, "question")], "no reference answers"),
        (Breaks(), SAMPLES, "out of memory"),
        (Counting(nll_nats=float("nan")), SAMPLES, "not a number"),
    ],
)
def test_what_cannot_be_scored_is_a_note_and_no_figure(sut, samples, problem):
    sums = evaluate(sut, samples, Stop(), silent)
    assert figures(sums) == {}
    assert problem in notes(sums)[0]


def test_ctrl_c_ends_the_evaluation_between_two_calls():
    stop = Stop()

    class Interrupted(Counting):
        def evaluate(self, answers):
            stop.request()
            return super().evaluate(answers)

    sut = Interrupted()
    sums = evaluate(sut, SAMPLES, stop, silent)
    assert len(sut.calls) == 1
    assert notes(sums) == ["no evaluation: interrupted after 16 of 40 answers"]


def test_answers_that_do_not_fit_are_told():
    assert "do not fit the context" in notes({"left_out": 3})[0]


def test_choices_without_a_likelihood_are_counted():
    rows = [(0, [1.0, math.inf], [1, 9]), (1, [2.0, 3.0], [1, 1]), (2, [math.inf] * 4, [0] * 4)]
    kept = json.loads(json.dumps({"choices": {"rows": rows}}))
    assert notes(kept)[0].startswith("5 choices of 2 questions had no likelihood")
    assert notes({"choices": {"rows": rows[:2]}})[0].startswith("1 choice of 1 question had no")
    assert notes({"choices": {"rows": rows[1:2]}}) == []
    told = {"choices": {"problem": "no"}, "problem": "also no"}
    assert notes(told) == ["no likelihoods of choices: no", "no evaluation: also no"]


def test_the_figures_of_a_line_are_not_shown_twice():
    scores = {"rougeL": 20.0, **figures(evaluate(Counting(), SAMPLES, Stop(), silent))}
    nothing = {"result": {"value": None}}
    lines = dict(brief(nothing | {"accuracy": scores}))
    assert lines["quality"] == "rougeL 20 (out of 100)"
    assert "loss 0.5000 nats per token, perplexity 1.649" in lines["evaluation"]
    assert "evaluation" not in dict(
        brief({"accuracy": {"rougeL": 20.0}, "result": {"value": None}})
    )


# ---- through whole runs


@pytest.fixture
def questions(tmp_path):
    rows = [
        {"prompt": "why is the sky", "reference": "the sky is blue"},
        {"prompt": "a b", "reference": "c d e"},
    ]
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def run(tmp_path, tiny_llama, questions, **flags):
    model = {
        "model": str(tiny_llama),
        "dataset": str(questions),
        "max_new_tokens": 4,
        "min_queries": 4,
        "in_process": True,
    }
    config = load_config(
        {
            "scenario": "offline",
            "warmup": 0,
            "evaluate": True,
            "output_dir": tmp_path,
            **model,
            **flags,
        }
    )
    with Run(config, silent, progress=False) as made:
        found = made.execute()
    return made.folder, found


def test_a_run_is_evaluated_and_its_report_says_the_same_later(tmp_path, tiny_llama, questions):
    folder, found = run(tmp_path, tiny_llama, questions)
    assert (found.accuracy["eval_samples"], found.accuracy["eval_tokens"]) == (2, 7)
    assert found.accuracy["perplexity"] == pytest.approx(math.exp(found.accuracy["eval_loss"]))
    questions.unlink()
    (folder / "result.json").unlink()
    assert publish(folder).accuracy == found.accuracy
    assert "<h2>Evaluation</h2>" in (folder / "report.html").read_text()


def test_a_run_without_the_flag_has_no_evaluation(tmp_path, tiny_llama, questions):
    _, found = run(tmp_path, tiny_llama, questions, evaluate=False)
    assert "eval_loss" not in found.accuracy


def test_a_submission_has_one_evaluation_beside_the_scores_of_its_accuracy_part(
    tmp_path, tiny_llama, questions
):
    folder, found = run(tmp_path, tiny_llama, questions, mode="submission")
    assert found.accuracy["eval_samples"] == 2
    assert "tokens_per_sample" in found.accuracy
    assert (
        "eval_loss" not in json.loads((folder / "accuracy" / "result.json").read_text())["accuracy"]
    )


def test_a_sut_without_answers_notes_it(tmp_path):
    flags = {
        "scenario": "server",
        "sut": "simulated",
        "clock": "virtual",
        "evaluate": True,
        "output_dir": tmp_path,
    }
    with Run(load_config(flags), silent, progress=False) as made:
        found = made.execute()
    assert found.status == "VALID"
    assert any("cannot score" in note for note in found.notes)


def test_a_search_is_evaluated_once_at_its_end(tmp_path, tiny_llama, questions):
    flags = {
        "scenario": "server",
        "mode": "find-peak",
        "target_qps": 1e4,
        "min_queries": 4,
        "min_duration": 0,
        "ttft_limit": "1ms",
    }
    folder, found = run(tmp_path, tiny_llama, questions, **flags)
    assert found.accuracy["eval_samples"] == 2
    assert (
        "eval_loss" not in json.loads((folder / "step_01" / "result.json").read_text())["accuracy"]
    )


def test_the_choices_of_a_question_are_compared_once_for_all_its_attempts():
    asked = []

    class Choosing:
        def choose(self, questions):
            asked.extend(index for index, _ in questions)
            return [(index, [1.0, 2.0], [1, 1]) for index, _ in questions]

    questions = [Sample(i, "q", choices=("a", "b")) for i in range(2)]
    samples = several(questions, Draws(3, 0.8))
    rows = choose(Choosing(), samples, Stop(), lambda _: None)["rows"]
    assert asked == [0, 3]
    assert rows == [(i, [1.0, 2.0], [1, 1]) for i in range(6)]
