"""Replayed decode steps give the answers of eager ones, whatever rows and lengths come, and touch
no row that somebody else holds.
"""

from __future__ import annotations

import pytest
import torch

from sut.engine.agreement import difference, expected
from sut.engine.batching import Engine
from sut.engine.graphs.buckets import Bucket, Buckets, length_steps, row_steps
from sut.engine.graphs.runner import GraphRunner
from sut.engine.lean import lean_step
from sut.engine.slots import SlotRunner
from sut.engine.trial import short_trial
from tests.sut.engine.graphs.captures import Recorded
from tests.sut.engine.test_lean import FAMILIES, made
from tests.sut.engine.test_slots import PROMPTS, alone, served, tiny

OWN_CLASSES = [
    "llama",
    "mistral, window 4",
    "qwen2, some layers with a window",
    "gemma2, alternating windows",
    "gpt2",
]


def test_rows_and_lengths_go_up_in_few_steps_to_the_most():
    assert row_steps(1) == [1]
    assert row_steps(6) == [1, 2, 4, 6]
    assert row_steps(128) == [1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128]
    assert (length_steps(100), length_steps(1500)) == ([100], [256, 512, 1024, 1500])
    buckets = Buckets(32, 1024)
    assert buckets.holding(5, 257) == Bucket(8, 512)
    assert buckets.holding(32, 1024) == Bucket(32, 1024)
    assert next(buckets.largest_first()) == Bucket(32, 1024)
    assert Buckets(32, 1024, one_length=True).holding(1, 1) == Bucket(1, 1024)


@pytest.mark.parametrize("name", ["llama, biases", "llama, long context", "mistral", "qwen2"])
def test_lean_steps_that_are_replayed_answer_as_the_bare_model_does(name):
    model = made(*FAMILIES[name])
    answers = alone(model)
    runner = GraphRunner(model, 4, 64, lean_step(model), capture=(recorded := Recorded()))
    assert served(Engine, runner, prefill_tokens=7) == answers
    assert recorded.replays > recorded.captures > 1


@pytest.mark.parametrize("name", OWN_CLASSES)
def test_steps_of_the_models_own_classes_are_replayed_too(name):
    model = tiny(name)
    runner = GraphRunner(model, 4, 60, capture=(recorded := Recorded()))
    assert served(Engine, runner, prefill_tokens=7) == alone(model)
    assert recorded.replays > 0


def test_a_trial_with_rows_that_leave_and_join_agrees_with_the_plain_pass():
    model = made(*FAMILIES["llama"])
    runner = GraphRunner(model, 4, 64, lean_step(model), capture=Recorded())
    assert difference(runner, expected(model, short_trial(model))) is None


@torch.inference_mode()
def test_rows_that_fill_a_bucket_write_into_no_row_of_a_request():
    """Five rows in a bucket of eight; the sixth holds the pieces of a long prompt."""
    model = made(*FAMILIES["llama"])
    runner = GraphRunner(model, 8, 40, lean_step(model), capture=Recorded())
    runner.prefill(0, [[5, 6, 7]] * 8)
    before = [[part[5:8].clone() for part in runner.cache._keys + runner.cache._values]]
    for step in range(3):
        runner.decode([9 + step] * 5, [3 + step] * 5)
    after = [part[5:8] for part in runner.cache._keys + runner.cache._values]
    assert all(torch.equal(*pair) for pair in zip(before[0], after, strict=True))


@torch.inference_mode()
def test_all_that_fits_the_time_is_captured_at_load_and_the_rest_at_its_first_step():
    model = made(*FAMILIES["llama"])
    now_ns = [0]

    def slow(computation):
        now_ns[0] += 10**9
        return Recorded()(computation)

    runner = GraphRunner(
        model, 8, 60, lean_step(model), capture=slow, now_ns=lambda: now_ns[0]
    )  # buckets of 8, 4, 2 and 1 rows
    runner.prepare(seconds=2.0)
    assert (runner.captures.at_load, runner.captures.later) == (2, 0)
    runner.prefill(0, [[5, 6, 7]] * 4)
    runner.decode([9] * 4, [3] * 4)
    assert runner.captures.later == 0
    runner.decode([9], [4])
    runner.decode([9], [5])
    assert (runner.captures.at_load, runner.captures.later) == (2, 1)
    assert runner.captures.seconds == 3.0


@pytest.mark.parametrize("refused", [{0}, {1}, {"all"}])
def test_a_bucket_that_cannot_be_captured_is_computed_and_said_once(refused):
    model = made(*FAMILIES["llama"])
    runner = GraphRunner(model, 4, 64, lean_step(model), capture=Recorded(refused))
    runner.prepare()
    assert served(Engine, runner, prefill_tokens=7) == alone(model)
    assert runner.captures.notes == [
        "its decode steps are not captured: RuntimeError: operation not permitted when stream is"
        " capturing"
    ]


@torch.inference_mode()
def test_logits_that_were_handed_out_survive_the_next_step():
    model = made(*FAMILIES["llama"])
    graph = GraphRunner(model, 2, 16, lean_step(model), capture=Recorded())
    eager = SlotRunner(model, 2, 16, lean_step(model))
    for runner in (graph, eager):
        runner.prefill(0, [[5, 6], [7, 8, 9]])
    seen = [[one.decode_logits([4, 5], [2, 3]), one.decode_logits([6, 7], [3, 4])]
            for one in (graph, eager)]  # fmt: skip
    assert torch.allclose(seen[0][0], seen[1][0], atol=1e-4)
    assert torch.allclose(seen[0][1], seen[1][1], atol=1e-4)


def test_what_the_graphs_take_is_their_pool_and_the_logits():
    model = made(*FAMILIES["llama"])
    runner = GraphRunner(model, 4, 64, lean_step(model), capture=Recorded())
    runner.prepare()
    assert runner.graph_bytes == 4096 + 4 * 96 * 4
    assert len(PROMPTS) == 4
