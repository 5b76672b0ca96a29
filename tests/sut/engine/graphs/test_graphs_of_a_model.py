"""A whole local model whose decode steps are captured, by a recorder in the place of CUDA: the same
answers, and facts, memory and notes that say what was captured.
"""

from __future__ import annotations

import pytest

import tests.sut.test_local_model as local
from sut.local_model import LocalModel
from tests.sut.engine.graphs.captures import Recorded


class Captured(LocalModel):
    """As on a GPU that records everything."""

    def new_capture(self, model):
        return Recorded


class Refusing(LocalModel):
    def new_capture(self, model):
        return lambda: Recorded({"all"})


@pytest.mark.parametrize(
    ("model", "path"), [("tiny_llama", "graph lean"), ("tiny_gpt2", "graph classes")]
)
def test_a_models_answers_are_its_own_and_its_facts_name_the_graphs(
    model, path, request, monkeypatch
):
    folder = request.getfixturevalue(model)
    log, _ = local.answer(folder)
    monkeypatch.setattr(local, "LocalModel", Captured)
    ours, sut = local.answer(folder, max_batch=6)
    tokens = [[one.record(i).token_ids.tolist() for i in range(len(one))] for one in (log, ours)]
    assert tokens[0] == tokens[1]
    facts = sut.facts()
    assert facts["decode_step"] == path
    assert facts["graphs"]["captured_at_load"] >= 4  # 1, 2, 4 and 6 rows
    assert facts["graphs"]["captured_later"] == 0
    assert facts["graphs"]["bytes"] == sut.memory().graph_bytes > Recorded.num_bytes
    assert facts["cudnn_attention"] is False


def test_what_cannot_be_captured_stays_eager_with_a_note(tiny_llama, monkeypatch):
    monkeypatch.setattr(local, "LocalModel", Refusing)
    log, sut = local.answer(tiny_llama)
    facts = sut.facts()
    assert (log.end, facts["decode_step"], facts["graphs"]) == ("completed", "eager lean", None)
    assert any("its decode steps are not captured" in note for note in facts["notes"])
    assert sut.memory().graph_bytes is None


def test_on_the_cpu_steps_are_eager(tiny_llama):
    _, sut = local.answer(tiny_llama)
    assert sut.facts()["decode_step"] == "eager lean"
