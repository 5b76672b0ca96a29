"""Answers that are drawn in a run: by the model's own shares, the same again, whoever is beside."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from harness.engine.driver import drive
from harness.engine.recorder import Recorder
from harness.kernel.clock import RealClock
from harness.kernel.types import At, Draw, Query, QuerySample, Sample
from sut.local_model import LocalModel
from tests.helpers import settings

PROMPT = "why is the sky blue"
SEEDS = 3000


def run(folder, samples, **options):
    """The answers by index, and the SUT."""
    clock = RealClock()
    sut = LocalModel(clock, path=str(folder), **options)
    recorder = Recorder(clock)
    sut.load(samples, recorder)
    asked = [QuerySample(i, one.index) for i, one in enumerate(samples)]
    limits = settings(scenario="offline")
    log = drive([Query(0, asked, At(0))], sut, clock, recorder, limits)
    assert log.end == "completed", log.end_reason
    return {one.index: log.record(i).token_ids.tolist() for i, one in enumerate(samples)}, sut


def drawn(index, seed, tokens=8, prompt=PROMPT, **changes):
    draw = Draw(**{"temperature": 0.8, "top_p": 1.0, "seed": seed, **changes})
    return Sample(index, prompt, max_new_tokens=tokens, draw=draw)


def logits(sut, index=0):
    ids = torch.tensor([sut._encoded.ids[index]])
    with torch.inference_mode():
        return sut._model(ids).logits[0, -1].double()


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
def test_first_tokens_come_as_often_as_the_model_says(tiny_llama, temperature):
    samples = [drawn(i, seed=i, tokens=1, temperature=temperature) for i in range(SEEDS)]
    answers, sut = run(tiny_llama, samples, max_batch=64)
    expected = SEEDS * (logits(sut) / temperature).softmax(-1).numpy()
    seen = np.bincount([ids[0] for ids in answers.values()], minlength=len(expected))
    rare = expected < 5
    groups = [
        np.append(counts[~rare], counts[rare].sum()) for counts in (seen.astype(float), expected)
    ]
    kept = groups[1] > 0
    assert chisquare(groups[0][kept], groups[1][kept]).pvalue > 1e-3


def test_a_seed_gives_the_same_answer_whatever_the_batch(tiny_llama):
    many = [drawn(i, seed=100 + i) for i in range(9)]
    together, _ = run(tiny_llama, many, max_batch=9)
    turned, _ = run(tiny_llama, many[::-1], max_batch=2)
    alone, _ = run(tiny_llama, [many[4]], max_batch=1)
    assert together == turned
    assert together[4] == alone[4]
    assert len({tuple(ids) for ids in together.values()}) > 1


def test_greedy_answers_beside_drawn_ones_are_as_ever(tiny_llama):
    greedy = [Sample(i, prompt, max_new_tokens=8) for i, prompt in enumerate((PROMPT, "a b c"))]
    alone, _ = run(tiny_llama, greedy)
    beside, sut = run(tiny_llama, [*greedy, *(drawn(i, seed=i) for i in range(2, 6))])
    assert {index: beside[index] for index in alone} == alone
    assert {index for index, *_ in sut.drawn()} == {2, 3, 4, 5}


def test_temperature_zero_is_greedy_bit_for_bit(tiny_llama):
    prompts = [PROMPT, "a b c", "x"]
    greedy, _ = run(tiny_llama, [Sample(i, p, max_new_tokens=8) for i, p in enumerate(prompts)])
    zero = [drawn(i, seed=i, prompt=p, temperature=0.0) for i, p in enumerate(prompts)]
    assert run(tiny_llama, zero)[0] == greedy


def test_a_small_top_p_leaves_the_most_likely_token_alone(tiny_llama):
    greedy, _ = run(tiny_llama, [Sample(0, PROMPT, max_new_tokens=8)])
    narrow, _ = run(tiny_llama, [drawn(0, seed=3, temperature=1.5, top_p=1e-6)])
    assert narrow == greedy


def test_the_log_likelihood_is_the_models_own_before_temperature(tiny_llama):
    answers, sut = run(tiny_llama, [drawn(i, seed=i, temperature=1.7) for i in range(3)])
    for index, nll_nats, tokens in sut.drawn():
        prompt, answer = sut._encoded.ids[index], answers[index]
        with torch.inference_mode():
            rows = sut._model(torch.tensor([[*prompt, *answer]])).logits[0].log_softmax(-1)
        expected = -sum(float(rows[len(prompt) - 1 + i, token]) for i, token in enumerate(answer))
        assert tokens == len(answer)
        assert nll_nats == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("model", ["tiny_gpt2", "tiny_mamba"])
def test_other_ways_of_serving_draw_as_well(model, request):
    folder = request.getfixturevalue(model)
    samples = [drawn(i, seed=i) for i in range(3)]
    first, sut = run(folder, samples)
    assert run(folder, samples)[0] == first
    assert len(sut.drawn()) == 3


def test_nothing_is_kept_of_an_earlier_load(tiny_llama):
    _, sut = run(tiny_llama, [drawn(0, seed=1)])
    sut.load([Sample(0, PROMPT, max_new_tokens=4)], Recorder(RealClock()))
    assert sut.drawn() == []
