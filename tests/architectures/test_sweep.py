"""One architecture of each kind, served beside the plainest loop; `make architectures` looks at all
of them.
"""

from __future__ import annotations

import re

import pytest

from tests.architectures import sweep
from tests.architectures.__main__ import PAGE, is_wrong

# each of another kind: windows in the model, chunks, frequencies that depend on length, ALiBi,
# latent attention, recurrent and hybrid states, no cache at all
SERVED = {
    "gpt_neo": "static",
    "gpt_oss": "in flight",
    "llama4_text": "static",
    "phi3, LongRoPE": "one at a time",
    "llama, dynamic NTK": "whole passes",
    "llama, YaRN": "in flight",
    "falcon, ALiBi": "static",
    "bloom": "static",
    "deepseek_v3": "in flight",
    "mamba": "static",
    "mamba2": "static",
    "jamba": "static",
    "openai-gpt": "whole passes",
    "bart": "one at a time",
}
REFUSED = ("bert", "roberta", "xlnet", "big_bird")

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of the library, about its own old names
]


@pytest.mark.parametrize("name", SERVED)
def test_answers_are_the_plain_loops(name):
    row = sweep.look(name)
    assert (row.error, row.equal) == ("", len(sweep.LENGTHS))
    assert row.worst < sweep.NEAR
    assert row.served == SERVED[name], row.note


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_causal_is_refused(name):
    row = sweep.look(name)
    assert row.kind == "refused"
    assert row.error.startswith("the logits of a token change with the tokens that follow it")


def test_other_answers_and_crashes_count_as_wrong():
    assert is_wrong(sweep.Row("a", equal=3))
    assert is_wrong(sweep.Row("a", kind="crashed"))
    assert not is_wrong(sweep.Row("a", equal=4))
    assert not is_wrong(sweep.Row("a", kind="refused"))


def test_the_page_has_no_wrong_answer_and_says_what_is_said_here():
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (\d of \d)? \|", PAGE.read_text(), re.MULTILINE)
    assert len(rows) > 150
    assert {equal for _, _, equal in rows} == {"4 of 4", ""}
    told = {name: served for name, served, _ in rows}
    assert told.items() >= (SERVED | dict.fromkeys(REFUSED, "refused")).items()
