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
SEEDS = 1000


@pytest.fixture(scope="module")
def tiny(tiny_llama):
    """A loaded model, which every load finds as the one before left it."""
    return local(tiny_llama, max_batch=64)


def local(folder, **options):
    return LocalModel(RealClock(), path=str(folder), **options)


def run(sut, samples):
    """The answers by index."""
    clock = sut._clock
    recorder = Recorder(clock)
    sut.load(samples, recorder)
    asked = [QuerySample(i, one.index) for i, one in enumerate(samples)]
    limits = settings(scenario="offline")
    log = drive([Query(0, asked, At(0))], sut, clock, recorder, limits)
    assert log.end == "completed", log.end_reason
    return {one.index: log.record(i).token_ids.tolist() for i, one in enumerate(samples)}


def drawn(index, seed, tokens=8, prompt=PROMPT, **changes):
    draw = Draw(**{"temperature": 0.8, "top_p": 1.0, "seed": seed, **changes})
    return Sample(index, prompt, max_new_tokens=tokens, draw=draw)


def logits(sut, index=0):
    ids = torch.tensor([sut._encoded.ids[index]])
    with torch.inference_mode():
        return sut._model(ids).logits[0, -1].double()


@pytest.mark.parametrize("temperature", [0.5, 1.5])
def test_first_tokens_come_as_often_as_the_model_says(tiny, temperature):
    samples = [drawn(i, seed=i, tokens=1, temperature=temperature) for i in range(SEEDS)]
    answers = run(tiny, samples)
    expected = SEEDS * (logits(tiny) / temperature).softmax(-1).numpy()
    seen = np.bincount([ids[0] for ids in answers.values()], minlength=len(expected))
    rare = expected < 5
    groups = [
        np.append(counts[~rare], counts[rare].sum()) for counts in (seen.astype(float), expected)
    ]
    kept = groups[1] > 0
    assert chisquare(groups[0][kept], groups[1][kept]).pvalue > 1e-3


def test_a_seed_gives_the_same_answer_whatever_the_batch(tiny, tiny_llama):
    many = [drawn(i, seed=100 + i) for i in range(9)]
    together = run(tiny, many)
    assert run(local(tiny_llama, max_batch=2), many[::-1]) == together
    assert run(tiny, [many[4]]) == {4: together[4]}
    assert len({tuple(ids) for ids in together.values()}) > 1


def test_greedy_answers_beside_drawn_ones_are_as_ever(tiny):
    greedy = [Sample(i, prompt, max_new_tokens=8) for i, prompt in enumerate((PROMPT, "a b c"))]
    alone = run(tiny, greedy)
    beside = run(tiny, [*greedy, *(drawn(i, seed=i) for i in range(2, 6))])
    assert {index: beside[index] for index in alone} == alone
    assert {index for index, *_ in tiny.drawn()} == {2, 3, 4, 5}


def test_temperature_zero_is_greedy_bit_for_bit(tiny):
    prompts = [PROMPT, "a b c", "x"]
    greedy = run(tiny, [Sample(i, p, max_new_tokens=8) for i, p in enumerate(prompts)])
    zero = [drawn(i, seed=i, prompt=p, temperature=0.0) for i, p in enumerate(prompts)]
    assert run(tiny, zero) == greedy


def test_a_small_top_p_leaves_the_most_likely_token_alone(tiny):
    greedy = run(tiny, [Sample(0, PROMPT, max_new_tokens=8)])
    assert run(tiny, [drawn(0, seed=3, temperature=1.5, top_p=1e-6)]) == greedy


def test_the_log_likelihood_is_the_models_own_before_temperature(tiny):
    answers = run(tiny, [drawn(i, seed=i, temperature=1.7) for i in range(3)])
    told = tiny.drawn()
    assert {index for index, *_ in told} == {0, 1, 2}
    for index, nll_nats, tokens in told:
        prompt, answer = tiny._encoded.ids[index], answers[index]
        with torch.inference_mode():
            rows = tiny._model(torch.tensor([[*prompt, *answer]])).logits[0].log_softmax(-1)
        each = [float(rows[len(prompt) - 1 + i, token]) for i, token in enumerate(answer)]
        assert tokens == len(answer)
        assert nll_nats == pytest.approx(-sum(each), rel=1e-4)


@pytest.mark.parametrize("model", ["tiny_gpt2", "tiny_mamba"])
def test_other_ways_of_serving_draw_as_well(model, request):
    sut = local(request.getfixturevalue(model))
    samples = [drawn(i, seed=i) for i in range(3)]
    assert run(sut, samples) == run(sut, samples)
    assert len(sut.drawn()) == 3


def test_nothing_is_kept_of_an_earlier_load(tiny):
    run(tiny, [drawn(0, seed=1)])
    tiny.load([Sample(0, PROMPT, max_new_tokens=4)], Recorder(tiny._clock))
    assert tiny.drawn() == []
