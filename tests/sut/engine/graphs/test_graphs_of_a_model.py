"""A whole local model whose decode steps are captured, by a recorder in the place of CUDA: the same
answers, and facts, memory and notes that say what was captured.
"""

from __future__ import annotations

import pytest

import tests.sut.test_local_model as local
from tests.sut.engine.graphs.captures import Recorded

CAPTURE_OF = "sut.engine.prepared.of_model"


@pytest.mark.parametrize(
    ("model", "path"), [("tiny_llama", "graph lean"), ("tiny_gpt2", "graph classes")]
)
def test_a_models_answers_are_its_own_and_its_facts_name_the_graphs(
    model, path, request, monkeypatch
):
    folder = request.getfixturevalue(model)
    log, _ = local.answer(folder)
    monkeypatch.setattr(CAPTURE_OF, lambda model: Recorded)
    ours, sut = local.answer(folder, max_batch=6)
    tokens = [[one.record(i).token_ids.tolist() for i in range(len(one))] for one in (log, ours)]
    assert tokens[0] == tokens[1]
    facts = sut.facts()
    assert facts["decode_step"] == path
    assert facts["graphs"]["captured_at_load"] >= 4  # 1, 2, 4 and 6 rows
    assert facts["graphs"]["captured_later"] == 0
    assert facts["graphs"]["bytes"] == sut.memory().graph_bytes > Recorded.num_bytes
    assert facts["cudnn_attention"] is False
    assert sut.self_check()["captured_in_run"] == 0


def test_a_capture_after_the_load_is_counted(tiny_llama, monkeypatch):
    monkeypatch.setattr(CAPTURE_OF, lambda model: Recorded)
    monkeypatch.setattr("sut.engine.graphs.runner.LOAD_SECONDS", 0.0)
    _, sut = local.answer(tiny_llama, max_batch=6)
    assert sut.facts()["graphs"]["captured_at_load"] == 0
    assert sut.self_check()["captured_in_run"] >= 2


def test_what_cannot_be_captured_stays_eager_with_a_note(tiny_llama, monkeypatch):
    monkeypatch.setattr(CAPTURE_OF, lambda model: lambda: Recorded({"all"}))
    log, sut = local.answer(tiny_llama)
    facts = sut.facts()
    assert (log.end, facts["decode_step"], facts["graphs"]) == ("completed", "eager lean", None)
    assert any("its decode steps are not captured" in note for note in facts["notes"])
    assert sut.memory().graph_bytes is None


def test_on_the_cpu_steps_are_eager(tiny_llama):
    _, sut = local.answer(tiny_llama)
    assert sut.facts()["decode_step"] == "eager lean"
