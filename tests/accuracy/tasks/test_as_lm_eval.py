"""Are prompts, stops and scores those of lm-eval 0.4.13? What it made of questions of our own
stands in tests/data/lm_eval_tasks.json; tests/clients/test_lm_eval_tasks.py makes it again.
"""

import json

import pytest

from accuracy.outputs.stops import cut
from accuracy.tasks.load import Asked, load_task
from accuracy.tasks.scorers import TABLE, Given
from accuracy.tasks.scoring import verified
from tests import ROOT

CASES = json.loads((ROOT / "tests/data/lm_eval_tasks.json").read_text(encoding="utf-8"))
METRICS = {  # lm-eval's filter/metric: ours
    "gsm8k": {"strict-match/exact_match": "strict_match",
              "flexible-extract/exact_match": "flexible_extract"},
    "gsm8k-cot": {"strict-match/exact_match": "strict_match_cot",
                  "flexible-extract/exact_match": "flexible_extract"},
    "math500": {"none/math_verify": "math_verify"},
    "mmlu": {"none/acc": "likelihood", "get_response/exact_match": "plain_match"},
    "arc": {"none/acc": "likelihood", "none/acc_norm": "likelihood_per_char"},
    "hellaswag": {"none/acc": "likelihood", "none/acc_norm": "likelihood_per_char"},
    "triviaqa": {"remove_whitespace/exact_match": "plain_match"},
}  # fmt: skip


def id_of(case):
    return f"{case['task']}: {case['name']}"


@pytest.fixture(params=CASES, ids=id_of)
def case(request):
    return request.param


@pytest.fixture
def samples(case, tmp_path):
    """The samples of our task over the rows of a case."""
    place = written(tmp_path / "test.jsonl", case["rows"])
    shots = written(tmp_path / "shots.jsonl", case["examples"]) if case["examples"] else None
    return load_task(Asked(f"{case['task']}:{place}", case["shots"], shots)).samples


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_same_is_asked(case, samples):
    for asked, sample in zip(case["found"]["asked"], samples, strict=True):
        assert sample.prompt == asked["prompt"]
        if "stop" in asked:
            assert list(sample.stop) == asked["stop"]
        else:
            assert list(sample.choices) == asked["choices"]


def test_the_same_is_right(case, samples):
    tries = case.get("answers") or case["log_likelihoods"]
    for sample, given, found in zip(samples, tries, case["found"]["scores"], strict=True):
        for one, values in zip(given, found, strict=True):
            for metric, ours in METRICS[case["task"]].items():
                if metric in values and (ours != "math_verify" or verified.is_installed()):
                    assert score(ours, sample, one) == values[metric], (ours, one)


def score(scorer, sample, one):
    if isinstance(one, list):
        return TABLE[scorer](Given("", tuple(-value for value in one)), sample).score
    return TABLE[scorer](Given(cut(one, sample.stop)), sample).score


def test_every_metric_is_compared_somewhere():
    found = {
        (case["task"], metric)
        for case in CASES
        for doc in case["found"]["scores"]
        for values in doc
        for metric in values
    }
    ours = {(task, metric) for task, metrics in METRICS.items() for metric in metrics}
    assert ours <= found
    assert found - ours == {("math500", "none/exact_match")}  # Minerva's words, not a boxed answer


def test_answers_are_right_and_wrong_of_each_task():
    for task in METRICS:
        scores = {
            value
            for case in CASES
            if case["task"] == task
            for doc in case["found"]["scores"]
            for values in doc
            for value in values.values()
        }
        assert scores == {0.0, 1.0}, task
