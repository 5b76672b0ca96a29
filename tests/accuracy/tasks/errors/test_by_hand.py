"""Do the kinds agree with a person's reading? SmolLM2-135M's answers to the embedded word problems,
with examples and without, in fp32 and int8, were read and labelled by hand.

Read that way, nearly every slip of this model sits in a wrong method: an answer is called an
arithmetic slip only if calculating rightly would have saved it.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from accuracy.tasks.errors.kinds import answers
from accuracy.tasks.load import docs_of
from tests import ROOT
from tests.accuracy.tasks.errors.helpers import number_sample, solved

LABELLED = [
    json.loads(line)
    for line in (ROOT / "tests" / "data" / "answers_by_hand.jsonl").read_text("utf-8").splitlines()
]
DOCS = docs_of("word-problems")


@pytest.mark.parametrize("row", LABELLED, ids=lambda row: f"{row['index']}-{row['kind']}")
def test_the_kind_is_the_one_that_a_person_gave(row):
    doc = DOCS[row["index"]]
    sample = replace(number_sample(0), reference=doc.expected)
    run = solved([sample], {0: row["text"]}, cuts={0} if row["is_cut"] else ())
    assert answers(run, {0: doc.question})[0].kind == row["kind"]


def test_enough_answers_were_read():
    wrong = [row for row in LABELLED if row["kind"] != "right"]
    assert len(wrong) >= 30
    assert len({row["kind"] for row in wrong}) >= 5
