"""Draws against the shares that transformers' own processors leave, and the ties that topk leaves
open.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from sut.engine.sampling.adjust import adjust
from sut.engine.sampling.draw import draw
from sut.engine.sampling.engines import own_tokens
from sut.engine.sampling.thoughts import thoughts
from sut.engine.sampling.wanted import Asking, Wanted

DRAWS = 800
WIDE = 1000  # more than the first look at the most likely tokens


def logits(size=12, seed=5):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)) * 2


def asking(prompt=(1,), came=(), **wanted):
    request = Asking(0, prompt, 100, Wanted(**wanted))
    request.ids = list(came)
    return request


def theirs(row, **wanted):
    """The shares of all tokens, as transformers makes them."""
    kept = LogitsProcessorList([TemperatureLogitsWarper(wanted["temperature"])])
    if "top_k" in wanted:
        kept.append(TopKLogitsWarper(wanted["top_k"]))
    if "top_p" in wanted:
        kept.append(TopPLogitsWarper(wanted["top_p"]))
    return kept(torch.tensor([[1]]), row[None].clone())[0].softmax(-1)


CUTS = [
    {"temperature": 1.0},
    {"temperature": 0.7},
    {"temperature": 1.3, "top_k": 4},
    {"temperature": 1.0, "top_p": 0.8},
    {"temperature": 1.0, "top_k": 6, "top_p": 0.7},
]


@pytest.mark.parametrize("wanted", CUTS, ids=str)
@pytest.mark.parametrize("size", [12, WIDE])
def test_tokens_are_drawn_by_their_shares(wanted, size):
    row, request = logits(size), asking(seed=3, **wanted)
    shares = theirs(row, **wanted).double()
    drawn = Counter(draw(row[None], [request])[0] for _ in range(DRAWS))
    assert all(shares[token] > 0 for token in drawn), "a token that is cut away"
    expected = shares * DRAWS
    large = expected >= 20
    seen = torch.tensor([drawn[i] for i in range(size)])
    chi2 = float(((seen - expected)[large] ** 2 / expected[large]).sum())
    freedom = int(large.sum()) - 1
    assert chi2 < freedom + 5 * (2 * freedom) ** 0.5 + 5


@pytest.mark.parametrize("top_p", [0.999, 0.9])
def test_as_many_tokens_are_looked_at_as_top_p_needs(top_p):
    flat = torch.zeros(WIDE)
    drawn = {
        draw(flat[None], [asking(temperature=1.0, top_p=top_p, seed=i)])[0] for i in range(DRAWS)
    }
    assert max(drawn) > 800


def test_a_seed_gives_the_same_answer_whoever_shares_the_batch():
    rows = torch.stack([logits(seed=i) for i in range(4)])
    alone = [asking(temperature=1.0, seed=7) for _ in range(3)]
    together = [asking(temperature=1.0, seed=i, top_k=i) for i in (3, 7, 9)]
    together.insert(1, asking(temperature=1.0, seed=7))
    first = [draw(rows[1:2], [alone[0]])[0] for _ in range(20)]
    assert first == [draw(rows, together)[1] for _ in range(20)]
    assert first == [draw(rows[1:2], [alone[1]])[0] for _ in range(20)]


@pytest.mark.parametrize("seed", [0, -1, 2**63 - 1, -(2**63)])
def test_any_whole_number_is_a_seed(seed):
    row = torch.zeros(1, WIDE)
    first, second = (
        [draw(row, [request])[0] for _ in range(3)]
        for request in (asking(temperature=1.0, seed=seed), asking(temperature=1.0, seed=seed))
    )
    assert first == second


def test_without_a_seed_answers_differ():
    row = torch.zeros(1, WIDE)
    tokens = {draw(row, [asking(temperature=1.0)])[0] for _ in range(20)}
    assert len(tokens) > 10


@given(st.integers(0, 2**32 - 1), st.floats(1e-5, 100.0), st.sampled_from([0, 1, 3]))
def test_no_token_without_probability_is_drawn(seed, temperature, top_k):
    row = torch.full((1, 40), -torch.inf)
    row[0, [3, 17]] = torch.tensor([0.5, 90.0])
    assert draw(row, [asking(temperature=temperature, seed=seed, top_k=top_k)])[0] in (3, 17)


@pytest.mark.parametrize("factor", [0.5, 1.2, 3.0])
def test_a_repetition_is_penalised_as_in_transformers(factor):
    row, request = logits(), asking(prompt=(1, 4), came=(5, 5, 2), repetition_penalty=factor)
    seen = torch.tensor([[*request.prompt_ids, *request.ids]])
    expected = RepetitionPenaltyLogitsProcessor(factor)(seen, row[None].clone())[0]
    adjust(row, request)
    assert torch.allclose(row, expected)


def test_presence_counts_once_and_frequency_each_time_and_the_prompt_not_at_all():
    row = torch.zeros(12)
    adjust(row, asking((1, 4), (5, 5, 2), presence_penalty=0.5, frequency_penalty=0.25))
    assert row.tolist() == [0, 0, -0.75, 0, 0, -1.0, *[0] * 6]


def test_bias_moves_the_choice_of_its_row_alone():
    rows = torch.stack([logits(), logits()])
    requests = [asking(logit_bias={7: 50.0}), asking()]
    before = rows.clone()
    assert own_tokens(rows, requests) == [7, int(rows[1].argmax())]
    assert torch.equal(rows, before), "log-probabilities are told of these"


def test_an_end_cannot_come_before_the_least_length():
    row = torch.zeros(1, 12)
    row[0, 2], row[0, 3] = 9.0, 5.0
    request = asking(ends={2}, min_tokens=2)
    for expected in (3, 3, 2):
        request.take(own_tokens(row, [request])[0])
        assert request.ids[-1] == expected
    assert request.finish({2}) == "eos"


@given(
    st.lists(st.sampled_from([-3.0, -1.0, 0.0, 2.5]), min_size=1, max_size=30),
    st.integers(0, 8),
    st.data(),
)
def test_the_most_likely_stand_in_order_and_equal_ones_by_id(values, count, data):
    log_probs = torch.tensor(values).log_softmax(-1)
    token = data.draw(st.integers(0, len(values) - 1))
    (found,) = thoughts(log_probs[None], torch.tensor([token]), [count])
    order = np.lexsort((np.arange(len(values)), -log_probs.numpy()))[:count].tolist()
    assert found.top_ids == order
    assert found.top_logprobs == [float(log_probs[i]) for i in order]
    assert found.logprob == float(log_probs[token])
    assert found.rank == 1 + sum(value > values[token] for value in values)


def test_rows_may_want_different_numbers_of_them():
    rows = torch.stack([logits(), logits(), logits()]).log_softmax(-1)
    found = thoughts(rows, torch.tensor([0, 0, 0]), [0, 3, 20])
    assert [len(one.top_ids) for one in found] == [0, 3, 12]
