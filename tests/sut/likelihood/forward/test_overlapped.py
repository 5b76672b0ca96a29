"""On a GPU a walk over texts waits once a batch, with the next one launched, and says the same."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from harness.kernel.errors import RunBroke
from sut.likelihood import scoring
from sut.likelihood.distributions import compare, exact, record
from sut.likelihood.scoring import Settings, Text, token_scores
from tests.overlap_helpers import Counting, left_out, pretend_gpu
from tests.sut.likelihood.test_distributions import VOCABULARY, in_order, made_llama
from tests.sut.likelihood.test_worker import row, run

WINDOWS = Settings(context=30, stride=20)


@pytest.fixture(scope="module")
def pair():
    return tuple(made_llama(VOCABULARY, noise, spread=0.7) for noise in (0.0, 0.02))


def made_texts(count=9):
    draw = random.Random(5)
    lengths = [2 + 11 * i % 60 for i in range(count)]
    return [
        Text([draw.randrange(VOCABULARY) for _ in range(n)], 1 + n % 2, f"{n}") for n in lengths
    ]


def scored(pair, texts, settings):
    reference, variant = pair
    recorded = in_order(record(reference, texts, settings))
    return (
        in_order(token_scores(variant, texts, settings)),
        recorded,
        in_order(compare(variant, texts, recorded.__getitem__, settings)),
        in_order(exact(reference, variant, texts, settings)),
    )


def fields(one):
    return one._asdict() if hasattr(one, "_asdict") else {n: getattr(one, n) for n in one.__slots__}


def test_the_figures_are_those_of_the_cpu(pair, monkeypatch):
    texts, settings = made_texts(), WINDOWS._replace(batch_tokens=90)
    plain = scored(pair, texts, settings)
    pretend_gpu(monkeypatch)
    for found, wanted in zip(scored(pair, texts, settings), plain, strict=True):
        for one, other in zip(found, wanted, strict=True):
            for name, values in fields(one).items():
                expected = fields(other)[name]
                np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-6, err_msg=name)
                assert np.asarray(values).dtype == np.asarray(expected).dtype


def ways(pair, texts, settings, recorded):
    reference, variant = pair
    return {
        "loss": (reference, lambda: token_scores(reference, texts, settings)),
        "record": (reference, lambda: record(reference, texts, settings)),
        "compare": (variant, lambda: compare(variant, texts, recorded.__getitem__, settings)),
    }


@pytest.mark.parametrize("way", ["loss", "record", "compare"])
def test_nobody_waits_for_the_device_but_once_a_batch(pair, monkeypatch, way):
    texts, counting = made_texts(), Counting()
    recorded = in_order(record(pair[0], texts, WINDOWS))
    overlap = pretend_gpu(monkeypatch)
    tokens = []

    def begins(batch_tokens):
        tokens.append(batch_tokens)
        counting.waits.clear()  # of finding out how the model is asked

    settings = WINDOWS._replace(batch_tokens=90, heard=begins)
    model, work = ways(pair, texts, settings, recorded)[way]
    with counting, left_out(counting, model):
        found = list(work())
    assert len(found) == len(texts)
    assert tokens == [90]
    assert counting.waits == []
    batches = overlap.events.count("sent")
    assert batches > 3
    order = ["sent", *["sent", "waited"] * (batches - 1), "waited"]
    assert overlap.events == order, "the next batch is launched before anybody waits for one"


def test_ids_and_places_go_to_the_device_in_two_transfers_a_batch(pair, monkeypatch):
    overlap = pretend_gpu(monkeypatch)
    list(token_scores(pair[0], made_texts(), WINDOWS._replace(batch_tokens=90)))
    assert overlap.to_device == 2 * overlap.events.count("sent")


def test_texts_of_a_batch_are_measured_together(pair, monkeypatch):
    pretend_gpu(monkeypatch)
    spans = []

    def measure(rows, targets, log_probs):
        spans.append(rows.spans)
        first = rows.spans[0]
        assert rows.positions[: first.number].tolist() == [
            *range(first.first, first.first + first.number)
        ]
        return scoring.loss(rows, targets, log_probs)

    list(scoring.walk((pair[0],), made_texts(), measure, Settings(batch_tokens=10_000, context=64)))
    assert len(spans) == 1
    assert sorted(span.text for span in spans[0]) == [*range(9)]


def test_logits_that_are_no_numbers_name_their_token_there_too(pair, monkeypatch):
    model, texts = pair[0], made_texts()
    pretend_gpu(monkeypatch)
    states = []
    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, args: states.append(args[0][0, 4]))
    model(input_ids=torch.tensor([texts[5].ids]))
    hook.remove()

    def spoil(_, args, logits):
        at_state = (args[0] - states[0]).abs().amax(-1) < 1e-4
        logits[..., 7] = torch.where(at_state, float("nan"), logits[..., 7])

    hook = head.register_forward_hook(spoil)
    with pytest.raises(RunBroke, match=f"text {texts[5].name}: the logits that predict token 5 "):
        list(token_scores(model, texts, Settings(batch_tokens=90, context=64)))
    hook.remove()


def test_a_batch_that_does_not_fit_is_halved(pair, monkeypatch):
    pretend_gpu(monkeypatch)
    model, texts, heard = pair[0], made_texts(), []

    def refuse(_, args, given):
        if len(given["input_ids"]) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    wanted = in_order(token_scores(model, texts, Settings(context=64)))
    hook = model.register_forward_pre_hook(refuse, with_kwargs=True)
    settings = Settings(context=64, batch_tokens=400, heard=heard.append)
    found = in_order(token_scores(model, texts, settings))
    hook.remove()
    assert len(heard) > 1
    assert heard == sorted(heard, reverse=True)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one.nll_nats, other.nll_nats, rtol=1e-5)


def test_a_single_text_that_does_not_fit_is_an_error(pair, monkeypatch):
    pretend_gpu(monkeypatch)

    def refuse(*_):
        raise RuntimeError("CUDA out of memory.")

    monkeypatch.setattr(scoring, "_columns", refuse)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(token_scores(pair[0], [Text([5] * 40)], Settings(batch_tokens=400, context=64)))


def test_a_subject_says_that_its_batches_were_halved(tiny_llama, tmp_path, monkeypatch):
    pretend_gpu(monkeypatch)
    columns = scoring._columns

    def refuse(layers, jobs, measure):
        if len(jobs) > 3:
            raise RuntimeError("CUDA out of memory.")
        return columns(layers, jobs, measure)

    monkeypatch.setattr(scoring, "_columns", refuse)
    rows = [row(f"{i}", "the sky is blue why") for i in range(6)]
    events, parts = run(tmp_path / "one", tiny_llama, *rows, batch_tokens=24)
    assert len(parts) == 6
    assert events["done"]["batch_tokens"] == 12
    assert events["done"]["notes"] == ["memory ran out with batches of 24 tokens: they hold 12"]
