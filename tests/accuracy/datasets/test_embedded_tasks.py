r"""Are the embedded tasks sound? Counts, ids, every calculation <<a=b>>, every \boxed{...}, the
spread of the right letters, and that no question that is asked is among those shown before it.
"""

import ast
import json
import operator
import re
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from accuracy import datasets
from accuracy.datasets import TABLE
from accuracy.datasets.files import load_dataset
from accuracy.datasets.readers import read
from accuracy.metrics.numbers import score, target
from accuracy.metrics.references import boxed, kind

FOLDER = Path(datasets.__file__).parent
COLUMNS = {
    "word_problems": ("id", "kind", "steps", "question", "answer"),
    "subjects": ("id", "subject", "group", "question", "choices", "answer"),
    "boxed": ("id", "subject", "level", "problem", "solution", "answer"),
}
FILES = [name + part for name in COLUMNS for part in ("", "_shots")]
WHAT_IS_ASKED = {"word_problems": "number", "subjects": "letter", "boxed": "number"}
SIGNS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def rows(name):
    return [row.cells for row in read(FOLDER / f"{name}.jsonl")]


def questions(name):
    texts = [row.get("question") or row["problem"] for row in rows(name)]
    return [" ".join(re.findall(r"\w+", text.casefold())) for text in texts]


def computed(expression):
    """Return the exact value of a calculation of numbers with + - * / and brackets."""

    def value(node):
        if isinstance(node, ast.Constant):
            return Fraction(str(node.value))
        return SIGNS[type(node.op)](value(node.left), value(node.right))

    return value(ast.parse(expression, mode="eval").body)


def word_problems():
    return rows("word_problems") + rows("word_problems_shots")


@pytest.mark.parametrize("name", FILES)
def test_every_row_has_the_columns_and_an_id_of_its_own(name):
    found = rows(name)
    assert {tuple(row) for row in found} == {COLUMNS[name.removesuffix("_shots")]}
    assert len({row["id"] for row in found}) == len(found)


def test_every_kind_is_asked_equally_often():
    assert set(Counter(row["kind"] for row in rows("word_problems")).values()) == {10}
    assert len(rows("word_problems")) == 60
    steps = [row["steps"] for row in rows("word_problems")]
    assert [sum(a <= step <= b for step in steps) for a, b in ((1, 1), (2, 3), (4, 5))] == [20] * 3
    found = Counter((row["group"], row["subject"]) for row in rows("subjects"))
    assert set(found.values()) == {10}
    assert set(Counter(group for group, _ in found).values()) == {3}
    assert len(rows("subjects")) == 120
    found = Counter((row["subject"], row["level"]) for row in rows("boxed"))
    assert set(found.values()) == {2}
    assert len(found) == 4 * 5


def test_there_are_rows_to_show_for_every_kind():
    kinds = {row["kind"] for row in rows("word_problems")}
    assert {row["kind"] for row in rows("word_problems_shots")} == kinds
    assert len(rows("word_problems_shots")) == 8
    found = Counter((row["group"], row["subject"]) for row in rows("subjects_shots"))
    assert found == {(row["group"], row["subject"]): 5 for row in rows("subjects")}
    subjects = [row["subject"] for row in rows("boxed_shots")]
    assert sorted(subjects) == sorted({row["subject"] for row in rows("boxed")})


@pytest.mark.parametrize("name", COLUMNS)
def test_no_question_comes_twice_or_is_shown_before_it_is_asked(name):
    found = questions(name) + questions(f"{name}_shots")
    assert len(set(found)) == len(found)
    ids = [row["id"] for part in (name, f"{name}_shots") for row in rows(part)]
    assert len(set(ids)) == len(ids)


def test_every_calculation_is_right():
    for row in word_problems():
        steps = re.findall(r"<<([^<>=]+)=([^<>=]+)>>([0-9.,]*[0-9])", row["answer"])
        assert len(steps) == row["answer"].count("<<") == row["steps"] <= 5, row["id"]
        for expression, result, shown in steps:
            assert computed(expression) == Fraction(result) == Fraction(shown.replace(",", ""))


def test_what_is_written_out_is_what_is_calculated():
    for row in word_problems():
        found = re.findall(r"((?:[\d.,]+|[-+*/()]| )+) = <<([^<>=]+)=", row["answer"])
        assert len(found) == row["steps"], row["id"]
        for written, marked in found:
            assert re.sub("[ ,]", "", written) == marked, row["id"]


def test_the_last_step_leads_to_the_whole_number_after_the_hashes():
    for row in word_problems():
        *_, last, final = row["answer"].splitlines()
        number = final.removeprefix("#### ")
        assert f">>{number} " in last or f">>{number}." in last, row["id"]
        assert re.fullmatch(r"[1-9][0-9]{0,2}(,[0-9]{3})*", number), row["id"]
        assert target(row["answer"]) == (number, "####")


@pytest.mark.parametrize("name", ["subjects", "subjects_shots"])
def test_four_different_choices_and_each_letter_is_right_equally_often(name):
    found = rows(name)
    for row in found:
        assert len({choice.casefold() for choice in row["choices"]}) == 4, row["id"]
    assert Counter(row["answer"] for row in found) == dict.fromkeys(range(4), len(found) // 4)


def test_the_longest_choice_is_right_no_more_often_than_by_chance():
    """One in four is chance; where several are longest, the first of them is picked."""
    longest = [
        max(range(4), key=lambda i, row=row: len(row["choices"][i])) == row["answer"]
        for row in rows("subjects")
    ]
    assert sum(longest) <= 0.3 * len(longest)


@pytest.mark.parametrize("name", ["boxed", "boxed_shots"])
def test_the_box_holds_the_answer(name):
    for row in rows(name):
        assert boxed(row["solution"]) == row["answer"], row["id"]
        assert row["solution"].count("\\boxed") == 1
        assert row["problem"].count("$") % 2 == row["solution"].count("$") % 2 == 0
        assert score(row["solution"], f"\\boxed{{{row['answer']}}}") == (1, 1)


@pytest.mark.parametrize("name", WHAT_IS_ASKED)
def test_the_metrics_find_what_they_compare_with(name):
    loaded = load_dataset(name.replace("_", "-"), 8)
    assert {kind(sample.reference) for sample in loaded.samples} == {WHAT_IS_ASKED[name]}
    assert {label for sample in loaded.samples for label, _ in sample.labels} == set(
        TABLE[name.replace("_", "-")].format.labels
    )
    assert loaded.source["licence"] == "Apache-2.0"


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_plain_utf8_with_one_object_per_line(name):
    lines = (FOLDER / f"{name}.jsonl").read_bytes().decode().split("\n")
    assert lines.pop() == ""
    assert all(line == json.dumps(json.loads(line), ensure_ascii=False) for line in lines)
