"""A model is served by graphs where they agree with its own plain pass, and eagerly with the reason
where they do not.
"""

from __future__ import annotations

import inspect

import pytest
import torch

from sut.engine.agreement import expected_of
from sut.engine.graphs.runner import GraphRunner
from sut.engine.serving import choose
from sut.engine.trial import Span
from tests.sut.engine.graphs.captures import Recorded
from tests.sut.engine.test_lean import FAMILIES, made
from tests.sut.engine.test_slots import alone, served, tiny

SPANS = [Span(3, 40), Span(20, 60)]


def way_of(model, new_capture=Recorded, max_rows=8):
    return choose(model, expected_of(model, SPANS), 0, max_rows, new_capture)


@pytest.mark.parametrize("max_rows", [1, 3, 8])
def test_a_model_of_a_known_family_is_served_by_graphs_of_the_lean_step(max_rows):
    model = made(*FAMILIES["qwen2"])
    answers, way = alone(model), way_of(model, max_rows=max_rows)
    assert (way.path, way.note) == ("graph lean", "")
    runner = way.runner(max_rows, 60)
    assert isinstance(runner, GraphRunner)
    assert served(way.engine, runner) == answers


@pytest.mark.parametrize("name", ["gpt2", "gemma2, alternating windows"])
def test_other_families_are_served_by_graphs_of_their_own_classes(name):
    model = tiny(name)
    answers, way = alone(model), way_of(model)
    assert (way.path, way.note) == ("graph classes", "")
    assert served(way.engine, way.runner(4, 60)) == answers


def test_without_a_capture_steps_stay_eager():
    assert way_of(made(*FAMILIES["llama"]), None).path == "eager lean"
    assert way_of(tiny("gpt2"), None).path == "eager classes"
    assert way_of(tiny("rwkv"), Recorded).path == "static batches"


def test_steps_that_cannot_be_captured_stay_eager_and_the_note_says_why():
    way = way_of(made(*FAMILIES["llama"]), lambda: Recorded({"all"}))
    assert way.path == "eager lean"
    assert way.note.startswith("its decode steps are not captured: RuntimeError: operation not")


class Frozen(Recorded):
    """A recorder that takes along the positions of the moment, as a copy to the host would."""

    def __call__(self, computation):
        run = super().__call__(computation)
        at = inspect.getclosurevars(inspect.unwrap(computation)).nonlocals["at"]
        then = at.clone()

        def replay():
            at.copy_(then)
            run()

        return replay


def test_graphs_that_compute_something_else_are_found_out():
    way = way_of(made(*FAMILIES["llama"]), Frozen)
    assert way.path == "eager lean"
    assert "a prompt of" in way.note or "give other logits" in way.note


def test_a_model_on_the_cpu_has_no_capture_and_one_on_several_devices_neither():
    from sut.engine.graphs.capture import of_model

    model = tiny("llama")
    assert of_model(model) is None
    model.lm_head.to("meta")
    assert of_model(model) is None
    assert torch.device("cpu") in {p.device for p in model.parameters()}
