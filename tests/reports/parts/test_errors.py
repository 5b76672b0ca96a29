"""What is said of what went wrong on a task? Made of answers, through the analysis, to the page."""

from __future__ import annotations

import jsonschema
import pytest

from accuracy.tasks.errors import analysis, of_one
from harness.schema.of_task.errors import ANALYSIS, ERRORS
from reports.beside import Beside
from reports.blocks import Table, markdown
from reports.pages import html
from reports.parts import errors
from tests.accuracy.tasks.errors.helpers import choice_sample, number_sample, solved

HOSTILE = "<script>alert()</script>\x1b[m {{ x * x }} | \u202egnp"
TEXTS = {
    0: "12 * 3 = 35\n#### 35",
    1: "12 * 3 = 35\n#### 35",
    2: "12 + 3 = 15\n#### 15",
    3: f"I do not know {HOSTILE}",
    4: "12 * 3 is",
    5: "12 * 3 = 36\n#### 36",
}
RIGHT = dict.fromkeys(TEXTS, "12 * 3 = <<12*3=36>>36\n#### 36")
SAMPLES = [number_sample(i) for i in TEXTS]


def one():
    return of_one(solved(SAMPLES, TEXTS, cuts={4}))


def both():
    changed = RIGHT | {0: TEXTS[0], 3: TEXTS[3]}
    before = RIGHT | {1: TEXTS[1]}
    return analysis(solved(SAMPLES, before), solved(SAMPLES, changed, label="int8"))


def choices():
    samples = [choice_sample(i, i % 4) for i in range(20)]
    sure = {i: [1.0 if k == i % 4 else 3.0 for k in range(4)] for i in range(20)}
    biased = {i: [2.0, 0.5, 3.0, 3.0] for i in range(20)}
    runs = [
        solved(samples, {}, label=label, scorers=("likelihood",), nll=nll)
        for label, nll in (("fp32", sure), ("int8", biased))
    ]
    return of_one(runs[1]), analysis(*runs)


def test_one_sentence_says_what_went_wrong():
    assert errors.sentence(one()) == (
        "Of 5 wrong answers 2 are arithmetic slips, 1 follows a wrong method, 1 has no final answer"
        " and 1 was cut by the limit."
    )
    assert errors.sentence(both()) == (
        "int8 lost 2 questions that fp32 solves and gained 1 that it does not. Of 2 lost answers"
        " 1 is an arithmetic slip and 1 has no final answer."
    )
    assert "Choice B is taken too often: in 15 wrong answers" in errors.sentence(choices()[0])


def test_nothing_is_said_where_nothing_went_wrong():
    right = solved(SAMPLES, RIGHT)
    assert errors.sentence(of_one(right)) == ""
    assert errors.sentence({}) == ""
    assert errors.blocks({}) == []
    assert errors.sentence(analysis(right, right)) == "fp32 has the same questions right as fp32."


@pytest.mark.parametrize("found", [one(), both(), *choices()], ids=range(4))
def test_the_files_hold_what_their_schema_says(found):
    schema = ANALYSIS if errors.is_paired(found) else ERRORS
    jsonschema.Draft202012Validator(schema).validate(found)


@pytest.mark.parametrize("found", [one(), both(), *choices()], ids=range(4))
def test_tables_have_a_cell_for_each_column(found):
    tables = [block for block in errors.blocks(found) if isinstance(block, Table)]
    assert tables
    for table in tables:
        assert all(len(row) == len(table.columns) for row in table.rows)
        assert markdown([table])


def test_examples_show_lost_questions_first_with_what_differs():
    (shown,) = (block for block in errors.blocks(both()) if isinstance(block, Beside))
    assert [example.below.split()[0] for example in shown.examples] == ["lost", "lost", "gained"]
    first = next(one for one in shown.examples if one.name == "0")
    assert first.question == "What is problem 0?"
    assert "expected: 36" in first.below
    assert [side.head for side in first.sides] == [
        "fp32 · right · read: 36",
        "int8 · arithmetic slip · read: 35",
    ]
    assert first.sides[1].below == "12 * 3 = 35, should be 36"
    assert any(piece.differs for piece in first.sides[1].pieces)


def test_strangers_words_are_escaped():
    (shown,) = (block for block in errors.blocks(both()) if isinstance(block, Beside))
    page = html.environment().from_string('{% import "blocks.html" as b %}{{ b.beside(shown) }}')
    source = page.render(shown=shown)
    assert "<script" not in source
    assert "&lt;script&gt;" in source
    assert "\x1b" not in source
    assert "\u202e" not in source
