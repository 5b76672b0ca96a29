"""Are these MLPerf's scores for answers that are no texts? Its scripts give the same figures."""

import json

import numpy as np
import pytest

from accuracy.datasets.files import load_dataset
from accuracy.gate.outputs import Outputs
from accuracy.gate.readings import Criteria, Reference
from accuracy.metrics.mlperf import final_number, mlperf_scores, needle, short_answer
from accuracy.metrics.rouge import rouge
from harness.kernel.types import Sample
from harness.result import result
from harness.result.read import read_run
from tests.harness.study.gating.test_gate import make
from tests.scenario_helpers import Row, hand_log

UUID = "12345678-1234-1234-1234-123456789012"
OTHER = "ABCDEFab-0000-1111-2222-abcdef000000"


def answers(*texts):
    log = hand_log([Row() for _ in texts])
    log.texts = dict(enumerate(texts))
    log.index[:] = range(len(texts))
    return log, np.arange(len(texts))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3 and 4 make 7.", "7"),
        ("The answer is $1,234. That is 3 less.", "1234"),
        ("The answer is 5. The answer is 6, not 7.", "6"),
        ("It is 8. The answer is", "8"),
        ("The answer is 9.\nQ: What is 1 + 1?\nA: The answer is 2.", "9"),
        ("-0.50", "-0.50"),
        ("none", ""),
    ],
)
def test_the_number_that_an_answer_ends_in(text, number):
    assert final_number(text) == number


def test_gsm8k_compares_floats():
    samples = [
        Sample(i, "?", reference=f"So.\n#### {n}") for i, n in enumerate(("1,234", "5", "6"))
    ]
    log, ids = answers("The answer is 1234.0", "5 or 7", "six")
    assert [(m.name, m.value, m.unit, m.n) for m in mlperf_scores(log, samples, ids)] == [
        ("gsm8k", 100 / 3, "%", 3)
    ]


@pytest.mark.parametrize(
    ("text", "reference", "score"),
    [
        (f"It is {UUID}.", UUID, 100.0),
        (f"{UUID.upper()} and {OTHER}", UUID, 50.0),
        (OTHER, UUID, 47.22),  # 17 of the 36 characters of the reference occur in it
        ("nothing", UUID, 0.0),
    ],
)
def test_a_needle_is_compared_character_by_character(text, reference, score):
    assert needle(text, reference) == score


@pytest.mark.parametrize(
    ("text", "reference", "score"),
    [
        ("Answer: Paris", "Paris", 100.0),
        ("I think. Answer: the city of  PARIS", "London|Paris", 100.0),
        ("Answer: Paris. Answer: Rome", "Paris", 0.0),
        ("Pa", "Paris", 100.0),
        ("", "Paris", 100.0),  # as in MLPerf's script: nothing is part of everything
        ("Rome", "Paris", 0.0),
    ],
)
def test_a_short_answer_is_looked_for_on_either_side(text, reference, score):
    assert short_answer(text, reference) == score


def row(**cells):
    return {"tok_input": [1, 2], **cells}


MIXTRAL = [
    row(dataset="OpenOrca", id="orca.1", input="Why?", gt_output="Because of the sun."),
    row(dataset="GSM8K", id="train.1", input="3 + 4?", gt_output="7"),
    row(dataset="MBXP", id="python_add", input="def add", gt_output="assert add(1, 2) == 3"),
]
LONG = [
    row(metric="rouge", input="Sum up.", gt_output="A day."),
    row(metric="niah_em", input="Where?", gt_output=UUID),
    row(metric="qa_em", input="Who?", gt_output="Ann|Anna"),
]
REASONING = [row(dataset="livecodebench_v6", text_input="Sort.", ground_truth="abc_1")]


@pytest.fixture
def load(tmp_path):
    def load(rows, name):
        path = tmp_path / "data.json"
        path.write_text(json.dumps(rows), encoding="utf-8")
        loaded = load_dataset(str(path), 8)
        assert loaded.source["format"] == name
        return loaded.samples

    return load


def test_mixtral_s_parts_are_scored_each_by_its_own_rule(load):
    samples = load(MIXTRAL, "mixtral-8x7b")
    log, ids = answers("The sun.", "The answer is 7.", "def add(a, b): return a + b")
    assert [(m.name, m.value, m.n) for m in mlperf_scores(log, samples, ids)] == [
        ("gsm8k", 100.0, 1),
        ("mbxp", None, 1),
    ]
    assert (
        mlperf_scores(log, samples, ids)[1].why
        == "its answers are programs, which are not run here"
    )
    assert {metric.n for metric in rouge(log, samples, ids)} == {1}


def test_the_gate_counts_the_tokens_of_every_part_and_the_rouge_of_texts(load):
    """MLPerf's tokens per sample is a mean over all of mixtral's three datasets."""
    samples = load(MIXTRAL * 4, "mixtral-8x7b")
    n = len(samples)

    def outputs(tokens):
        return Outputs(
            label="fp32",
            model="m",
            variant="fp32",
            run="",
            problem="",
            terms={},
            index=np.arange(n),
            ids=[np.zeros(1)] * n,
            texts=["Because of the sun."] * n,
            tokens=np.array(tokens * 4),
            rows=1,
            samples={sample.index: sample for sample in samples},
            dataset="mixtral",
        )

    reference = Reference(outputs([10, 10, 10]), Criteria("mixtral-8x7b"))
    ratios = {
        name: {ratio["name"]: (ratio["n"], ratio["candidate"]) for ratio in reading["ratios"]}
        for name, reading in reference.row(outputs([10, 10, 40]))["readings"].items()
    }
    assert ratios["dataset"]["rouge1"] == ratios["published"]["rouge1"] == (4, 1.0)
    assert ratios["dataset"]["tokens"] == ratios["published"]["tokens"] == (12, 20.0)


def test_the_parts_of_the_405b_benchmark_share_one_exact_match(load):
    samples = load(LONG, "llama3.1-405b")
    log, ids = answers("A day.", f"At {UUID}.", "Answer: Bob")
    (found,) = mlperf_scores(log, samples, ids)
    assert (found.name, found.value, found.n) == ("exact_match", 50.0, 2)
    assert [metric.value for metric in rouge(log, samples, ids)] == [100.0] * 4


def test_what_needs_programs_to_be_run_has_no_score_but_a_name(load):
    samples = load(REASONING, "reasoning")
    log, ids = answers("print(1)")
    (found,) = mlperf_scores(log, samples, ids)
    assert (found.name, found.value) == ("exact_match", None)
    assert found.why == "some of its answers are programs, which are not run here"


def test_other_datasets_have_none_of_these_scores():
    log, ids = answers("Yes.")
    assert mlperf_scores(log, [Sample(0, "?", reference="Yes.")], ids) == []


def test_a_run_names_the_score_that_it_cannot_make(tmp_path):
    file = tmp_path / "mixtral.json"
    file.write_text(json.dumps(MIXTRAL))
    folder = make(tmp_path, ["The sun.", "The answer is 7.", "return a + b"], file=file)
    found = result.build(folder, read_run(folder))
    assert found.accuracy["gsm8k"] == 100.0
    assert "mbxp" not in found.accuracy
    assert "no mbxp: its answers are programs, which are not run here" in found.notes
