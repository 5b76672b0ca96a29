"""Does the notebook in docs/ run from its first cell to its last, and is what it shows its own?"""

from __future__ import annotations

import functools
import json

import matplotlib
import pytest

import harness
from tests import ROOT
from tests.variant_helpers import resized

NOTEBOOK = ROOT / "docs" / "perplexity-against-size.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]
PARTS = [
    "family",
    "story",
    "size",
    "Context",
    "Instructions",
    "Tokens",
    "Categories",
    "Conclusions",
]


def source(cell) -> str:
    return "".join(cell["source"])


@pytest.fixture
def family(tiny_llama, tmp_path):
    """Three tiny models, wider and wider, that take a whole story."""
    return [
        str(
            resized(
                tiny_llama,
                tmp_path / f"{size}",
                intermediate_size=size,
                max_position_embeddings=4096,
            )
        )
        for size in (16, 32, 64)
    ]


def test_it_runs_from_the_first_cell_to_the_last(family, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    here = functools.partial(harness.perplexity, in_process=True)
    monkeypatch.setattr(harness, "perplexity", here, raising=False)
    known: dict[str, object] = {}
    for cell in CODE:
        is_for_parameters = "parameters" in cell["metadata"].get("tags", ())
        text = f"FAMILY = {family!r}\nTEXTS = 8" if is_for_parameters else source(cell)
        exec(compile(text, "a cell", "exec"), known)
    said = capsys.readouterr().out
    assert known["found"]["status"] == "DONE"
    assert "predicts the stories best" in said
    assert "of 2 steps up in size" in said
    assert set(known["per_story"].columns) == {"category", *known["names"]}
    assert known["of_family"]["perplexity"].notna().all()


def test_it_covers_the_whole_question():
    words = " ".join(source(cell) for cell in CELLS if cell["cell_type"] == "markdown")
    assert [part for part in PARTS if part not in words] == []


def test_what_it_shows_was_run_and_names_no_place_of_a_machine():
    assert all(cell["outputs"] for cell in CODE[-2:])
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    shown = json.dumps([cell["outputs"] for cell in CODE])
    wrong = ("/tmp/", "/root", "/home", "Traceback", "INTERRUPTED", "FAILED", "nan %")
    assert not [word for word in wrong if word in shown]
    assert shown.count("DONE") >= 4
