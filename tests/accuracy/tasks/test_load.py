"""Which questions and examples stand in the prompts, and which files are refused?"""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accuracy.tasks import TABLE, checks
from accuracy.tasks.load import Asked, load_task
from accuracy.tasks.task import Doc
from harness.kernel.errors import BadInput
from sut.border import wire
from tests.accuracy.tasks.made import GSM8K, MMLU, jsonl, loaded
from tests.command_line import run


def numbered(count, first=0):
    return [GSM8K | {"question": f"Question {i}?"} for i in range(first, first + count)]


def shown(sample):
    """The questions of the examples before a sample's own."""
    return [part.splitlines()[0] for part in sample.prompt.split("Question: ")[1:-1]]


def test_a_training_part_is_drawn_from_for_each_question_as_lm_eval_does(tmp_path):
    test = jsonl(tmp_path / "test.jsonl", *numbered(5))
    train = jsonl(tmp_path / "train.jsonl", *numbered(50, 100))
    samples = loaded("gsm8k", test, shots=3, shots_file=train).samples
    lot = random.Random(1234)
    wanted = [[row["question"] for row in lot.sample(numbered(50, 100), 3)] for _ in samples]
    assert [shown(sample) for sample in samples] == wanted
    assert len({tuple(one) for one in wanted}) == 5


def test_an_embedded_task_shows_the_first_of_its_own_examples():
    first, second = load_task(Asked("word-problems", shots=2, num_samples=2)).samples
    assert len(shown(first)) == 2
    assert shown(first) == shown(second)


def test_examples_are_of_the_questions_own_subject():
    for sample in load_task(Asked("subjects", shots=5)).samples:
        subject = dict(sample.labels)["subject"]
        assert sample.prompt.startswith(
            f"The following are multiple choice questions (with answers) about {subject}.\n\n"
        )
        assert sample.prompt.count("\nAnswer: ") == 5


def test_fewer_questions_are_the_first_ones_or_a_share_of_each_subject(tmp_path):
    test = jsonl(tmp_path / "test.jsonl", *numbered(9))
    part = loaded("gsm8k", test, num_samples=2)
    assert [sample.prompt for sample in part.samples] == [
        f"Question: Question {i}?\nAnswer:" for i in range(2)
    ]
    assert part.source["subset"]["by"] == []
    rows = [MMLU | {"subject": name, "question": f"{i}?"} for name in "abc" for i in range(8)]
    part = loaded("mmlu", jsonl(tmp_path / "mmlu.jsonl", *rows), num_samples=6)
    assert [dict(sample.labels)["subject"] for sample in part.samples] == list("aabbcc")
    assert part.source["subset"]["by"] == ["subject"]


@pytest.mark.parametrize("same", ["Question 3?", "  question  3? ", "QUESTION\n3?", "Question ３?"])
def test_an_example_that_is_asked_is_named(same, tmp_path):
    test = jsonl(tmp_path / "test.jsonl", *numbered(5))
    train = jsonl(tmp_path / "train.jsonl", *numbered(4, 100), GSM8K | {"question": same})
    with pytest.raises(BadInput) as error:
        loaded("gsm8k", test, shots=1, shots_file=train)
    assert "example 5 of train.jsonl is question 4 of the test" in str(error.value)


def test_the_same_question_of_another_subject_is_no_overlap(tmp_path):
    test = jsonl(tmp_path / "test.jsonl", MMLU)
    rows = (MMLU | {"subject": "law"}, MMLU | {"question": "Three?"})
    assert loaded("mmlu", test, shots=1, shots_file=jsonl(tmp_path / "dev.jsonl", *rows))
    rows = (MMLU | {"question": " two?"}, MMLU | {"question": "Three?"})
    with pytest.raises(BadInput, match=r"example 1 of dev.jsonl is question 1"):
        loaded("mmlu", test, shots=1, shots_file=jsonl(tmp_path / "dev.jsonl", *rows))


@given(st.text(min_size=1), st.sampled_from(["\n", "  ", "\t", " "]), st.booleans())
def test_case_and_white_space_make_no_other_question(text, space, is_upper):
    other = space + text.replace(" ", space)
    other = other.upper() if is_upper and text.isascii() else other
    assert checks.plain(other) == checks.plain(text)


@given(st.sampled_from("+-*/=<>^.,"), st.sampled_from("+-*/=<>^.,"))
def test_signs_make_another_question(one, other):
    same = checks.plain(f"What is 5 {one} 3?") == checks.plain(f"What is 5 {other} 3?")
    assert same == (one == other)


def test_too_few_examples_are_counted(tmp_path):
    test = jsonl(tmp_path / "test.jsonl", MMLU)
    dev = jsonl(tmp_path / "dev.jsonl", MMLU | {"question": "Three?"})
    with pytest.raises(BadInput) as error:
        loaded("mmlu", test, shots=5, shots_file=dev)
    assert "--shots 5: dev.jsonl has 1 example of anatomy" in str(error.value)


def test_a_file_without_examples_needs_another(tmp_path):
    test = jsonl(tmp_path / "test.jsonl", GSM8K)
    for name, shots in (("gsm8k", 5), ("gsm8k-cot", None)):
        with pytest.raises(BadInput, match="has no examples of its own"):
            loaded(name, test, shots=shots)


@pytest.mark.parametrize(
    ("text", "words"), [("", "the file is empty"), ("\n\n", "its file has no rows")]
)
def test_an_empty_file_has_no_rows(text, words, tmp_path):
    (tmp_path / "test.jsonl").write_text(text)
    with pytest.raises(BadInput, match=words):
        loaded("gsm8k", tmp_path / "test.jsonl")


def test_a_run_solves_one_task(tmp_path):
    path = jsonl(tmp_path / "one, two.jsonl", GSM8K)
    for several in ("word-problems,subjects", f"gsm8k:{tmp_path}/one.jsonl,subjects"):
        with pytest.raises(BadInput, match="these are several tasks; expected one; only gate"):
            load_task(Asked(several))
    assert len(loaded("gsm8k", path).samples) == 1


def test_a_web_address_has_to_be_downloaded():
    with pytest.raises(BadInput, match=r"it is a web address.*Download it and pass the file"):
        load_task(Asked("gsm8k:https://example.com/test.jsonl"))


def test_a_folder_needs_tables(tmp_path):
    with pytest.raises(BadInput, match="a folder without tables"):
        loaded("gsm8k", tmp_path)


def test_repeated_questions_are_counted_and_told(tmp_path):
    test = jsonl(tmp_path / "test.jsonl", *numbered(3), *numbered(2))
    source = loaded("gsm8k", test).source
    assert source["task"]["repeated"] == 2
    assert checks.notes(source) == [
        "task: 2 questions are in the file a second time and counted again"
    ]
    assert checks.notes(loaded("gsm8k", jsonl(tmp_path / "one.jsonl", GSM8K)).source) == []


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=6))
def test_a_prompt_is_heading_examples_and_question(texts):
    docs = [Doc(text, text[::-1], "") for text in texts]
    task = TABLE["gsm8k"]._replace(heading=lambda doc: "H:", gap=" ", between="|")
    *examples, last = docs
    wanted = "H:" + "".join(f"{d.question} {d.shown}|" for d in examples) + last.question
    assert task.prompt(last, examples) == wanted


def test_a_sample_crosses_the_border_whole():
    for name in ("word-problems", "subjects", "boxed"):
        for sample in load_task(Asked(name, shots=1, num_samples=3)).samples:
            there = wire.sample(wire.told(sample))
            assert (there.prompt, there.stop, there.is_plain, there.max_new_tokens) == (
                sample.prompt,
                sample.stop,
                True,
                sample.max_new_tokens,
            )


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([GSM8K, GSM8K | {"answer": "5"}], "line 2, column 'answer': no '#### n' at its end"),
        ([{"text": "x"}], "its columns are text"),
        ([], "the file is empty"),
    ],
)
def test_the_command_says_what_is_wrong(rows, words, tmp_path):
    path = jsonl(tmp_path / "mine.jsonl", *rows)
    _, screen = run(
        f"--model smollm2-135m --mode accuracy --scenario offline --task gsm8k:{path}",
        tmp_path / "runs",
        code=2,
    )
    assert words in " ".join(screen.split())
    assert not list(tmp_path.glob("runs/*/result.json"))
