"""Is each published file read in each kind of file, and is what is wrong named by its place?"""

import pytest

from accuracy.metrics.references import boxed
from accuracy.tasks import TABLE
from harness.kernel.errors import BadInput
from tests.accuracy.tasks.made import (
    ARC,
    GSM8K,
    HELLASWAG,
    HUMANEVAL,
    MATH500,
    MBPP,
    MMLU,
    ROWS,
    TRIVIAQA,
    jsonl,
    loaded,
    parquet,
    table,
)

RIGHT = {  # reference and choices that each row stands for
    "gsm8k": (GSM8K["answer"], ()),
    "math500": (MATH500["solution"], ()),
    "mmlu": ("B", (" A", " B", " C", " D")),
    "arc": ("B", (" ice", " fire", " dew")),
    "hellaswag": ("A", (" row.", " fly.", " cook.", " dig.")),
    "triviaqa": ("Seine\nThe Seine", ()),
    "humaneval": (HUMANEVAL["canonical_solution"], ()),
    "mbpp": (MBPP["code"], ()),
}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("write", [jsonl, parquet])
def test_a_published_row_is_read(name, write, tmp_path):
    path = write(tmp_path / f"test.{write.__name__}", ROWS[name])
    (sample,) = loaded(name, path).samples
    assert (sample.reference, sample.choices) == RIGHT[name]


def test_mmlus_own_csv_has_no_header_and_its_subject_in_its_name(tmp_path):
    path = tmp_path / "high_school_physics_test.csv"
    path.write_text('"Two, or three?",1,2,3,4,C\n')
    (sample,) = loaded("mmlu", path).samples
    assert sample.prompt == (
        "The following are multiple choice questions (with answers) about high school physics.\n\n"
        "Two, or three?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer:"
    )
    assert sample.reference == "C"
    assert dict(sample.labels) == {"subject": "high_school_physics", "group": "STEM"}


def test_a_table_with_a_header_is_read(tmp_path):
    (sample,) = loaded("gsm8k", table(tmp_path / "test.csv", GSM8K)).samples
    assert sample.prompt == "Question: Two and three?\nAnswer:"


def test_arc_is_read_as_its_authors_wrote_it(tmp_path):
    pairs = [{"text": "ice", "label": "1"}, {"text": "fire", "label": "2"}]
    row = {"id": "x", "question": {"stem": "What is hot?", "choices": pairs}, "answerKey": "2"}
    (sample,) = loaded("arc", jsonl(tmp_path / "test.jsonl", row)).samples
    assert sample.prompt == "Question: What is hot?\nAnswer:"
    assert (sample.reference, sample.choices) == ("B", (" ice", " fire"))


def test_math_without_a_column_of_answers_has_them_in_its_boxes(tmp_path):
    row = {"problem": "p", "solution": "\\boxed{3}", "type": "Algebra", "level": "Level 2"}
    (sample,) = loaded("math500", jsonl(tmp_path / "test.jsonl", row)).samples
    assert dict(sample.labels) == {"type": "Algebra", "level": "Level 2"}


def test_a_box_of_math_may_have_no_braces(tmp_path):
    rows = (
        {"problem": "p", "solution": text} for text in ("$x=\\boxed 12$.", r"\boxed{ } \boxed 3")
    )
    samples = loaded("math500", jsonl(tmp_path / "test.jsonl", *rows)).samples
    assert [boxed(sample.reference) for sample in samples] == ["12", "3"]


def test_a_chain_of_thought_is_made_of_a_training_row(tmp_path):
    shots = jsonl(tmp_path / "train.jsonl", GSM8K)
    test = jsonl(tmp_path / "test.jsonl", GSM8K | {"question": "One?"})
    (sample,) = loaded("gsm8k-cot", test, shots=1, shots_file=shots).samples
    assert sample.prompt == "Q: Two and three?\nA: 2 + 3 = 5 The answer is 5.\n\nQ: One?\nA:"


WRONG = [
    ("gsm8k", GSM8K, {"answer": "5"}, "column 'answer': no '#### n'"),
    ("gsm8k", GSM8K, {"answer": "five ####  "}, "column 'answer': no '#### n'"),
    ("gsm8k", GSM8K, {"answer": "#### five"}, "column 'answer': no '#### n'"),
    ("gsm8k", GSM8K, {"answer": None}, "column 'answer': nothing"),
    ("gsm8k", GSM8K, {"question": " "}, "column 'question': an empty text"),
    ("gsm8k-cot", {"question": "q", "target": "It is 5."}, {}, "no 'The answer is n.'"),
    ("math500", MATH500, {"solution": "x", "answer": ""}, "column 'answer': an empty text"),
    ("math500", {"problem": "p", "solution": "x=3"}, {}, "no \\boxed{...}"),
    ("mmlu", MMLU, {"choices": ["1", "2", "3"]}, "column 'choices': a list of 3"),
    ("mmlu", MMLU, {"choices": ["1", "2", "3", "4", "5"]}, "column 'choices': a list of 5"),
    ("mmlu", MMLU, {"choices": ["1", " ", "3", "4"]}, "a choice without text; expected 4 texts"),
    ("mmlu", MMLU, {"answer": 4}, "column 'answer': 4"),
    ("mmlu", MMLU, {"answer": "E"}, "column 'answer': 'E'"),
    ("mmlu", MMLU, {"answer": ""}, "column 'answer': an empty text"),
    ("mmlu", MMLU, {"answer": None}, "column 'answer': nothing"),
    ("arc", ARC, {"answerKey": "D"}, "column 'answerKey': 'D'; expected one of A, B, C"),
    ("arc", ARC, {"answerKey": None}, "column 'answerKey': nothing"),
    ("arc", ARC, {"choices": {"text": ["a"], "label": ["A", "B"]}}, "1 texts and 2 labels"),
    ("arc", ARC, {"choices": {"text": ["a", ""], "label": ["A", "B"]}}, "without text"),
    ("arc", ARC, {"choices": {"text": ["a", "b"], "label": ["B", "B"]}}, "the labels B, B"),
    ("arc", ARC, {"choices": "ice or fire"}, "0 texts and 0 labels"),
    ("hellaswag", HELLASWAG, {"label": ""}, "the published test part has none"),
    ("hellaswag", HELLASWAG, {"label": 7}, "column 'label': 7"),
    ("hellaswag", HELLASWAG, {"endings": ["a", "b"]}, "column 'endings': a list of 2"),
    ("hellaswag", HELLASWAG, {"endings": ["a", "b", "c", "[x]"]}, "an ending without text"),
    ("hellaswag", HELLASWAG, {"ctx_a": "", "ctx_b": ""}, "column 'ctx_a': an empty text"),
    ("triviaqa", TRIVIAQA, {"answer": {"aliases": []}}, "column 'answer': no text"),
    ("triviaqa", TRIVIAQA, {"answer": ["Seine", ""]}, "column 'answer': no text"),
    ("triviaqa", TRIVIAQA, {"answer": 5}, "column 'answer': a value of type int"),
]


@pytest.mark.parametrize(("name", "row", "change", "words"), WRONG)
def test_a_wrong_cell_is_named(name, row, change, words, tmp_path):
    good = {key: value for key, value in row.items() if key not in change} | row
    first = () if name == "gsm8k-cot" or not change else (good,)
    path = jsonl(tmp_path / "mine.jsonl", *first, row | change)
    with pytest.raises(BadInput) as error:
        loaded(name, path, shots=0)
    assert f"mine.jsonl, line {len(first) + 1}, column" in str(error.value)
    assert words in str(error.value)


def test_a_row_without_a_column_is_named(tmp_path):
    path = jsonl(tmp_path / "mine.jsonl", GSM8K, {"question": "q", "comment": "c"})
    with pytest.raises(BadInput) as error:
        loaded("gsm8k", path)
    assert "mine.jsonl, line 2" in str(error.value)
    assert "'answer' is not known; known: comment, question" in str(error.value)
    assert "--prompt-column" not in str(error.value)


@pytest.mark.parametrize("name", ROWS)
def test_the_file_of_another_task_is_told_by_its_columns(name, tmp_path):
    other = "arc" if name != "arc" else "hellaswag"
    path = jsonl(tmp_path / "mine.jsonl", ROWS[name] if name != "gsm8k" else ROWS["math500"])
    with pytest.raises(BadInput) as error:
        loaded(other, path)
    assert "its columns are " + ", ".join(ROWS[name if name != "gsm8k" else "math500"]) in str(
        error.value
    )
    assert f"needed: {', '.join(TABLE[other].columns[0])}" in str(error.value)


def test_the_task_that_a_file_with_more_columns_is_of_is_named(tmp_path):
    path = jsonl(tmp_path / "mine.jsonl", MMLU)
    with pytest.raises(BadInput, match="Is it mmlu") as error:
        loaded("gsm8k", path)
    assert "mine.jsonl, line 1, column 'answer'" in str(error.value)


def test_the_task_that_fits_a_file_is_named(tmp_path):
    path = jsonl(tmp_path / "mine.jsonl", HELLASWAG)
    with pytest.raises(BadInput, match="Is it hellaswag"):
        loaded("gsm8k", path)
