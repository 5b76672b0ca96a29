"""Losses and divergences on a GPU are those of the CPU, and nobody waits for the device but once a
batch.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sut.likelihood.distributions import compare, exact, record
from sut.likelihood.scoring import Settings, Text, token_scores
from tests.sut.likelihood.test_bits import made_texts
from tests.sut.likelihood.test_distributions import VOCABULARY, in_order, made_llama

pytestmark = pytest.mark.gpu
WINDOWS = Settings(context=40, stride=30, batch_tokens=200)


def pair_on(device):
    return tuple(made_llama(VOCABULARY, noise, spread=0.7).to(device) for noise in (0.0, 0.02))


def scored(pair, settings=WINDOWS):
    (reference, variant), texts = pair, made_texts()
    recorded = in_order(record(reference, texts, settings))
    return {
        "loss": in_order(token_scores(variant, texts, settings)),
        "compared": in_order(compare(variant, texts, recorded.__getitem__, settings)),
        "exact": in_order(exact(reference, variant, texts, settings)),
    }


def test_losses_and_divergences_are_those_of_the_cpu():
    there, here = scored(pair_on("cuda")), scored(pair_on("cpu"))
    for way, wanted in here.items():
        for one, other in zip(there[way], wanted, strict=True):
            for name, values in one._asdict().items():
                if name in ("correct", "same_top", "kld", "kld_error"):
                    continue  # ties may fall otherwise; other tokens may be drawn of the tail
                expected = getattr(other, name)
                np.testing.assert_allclose(values, expected, rtol=2e-3, atol=1e-4, err_msg=name)


def test_the_size_of_a_batch_is_measured_and_moves_no_loss():
    model, texts, heard = pair_on("cuda")[0], made_texts(), []
    measured = Settings(context=40, stride=30, heard=heard.append)
    found = in_order(token_scores(model, texts * 60, measured))
    plain = in_order(token_scores(model, texts, WINDOWS))
    assert heard[0] >= 2048
    for i, one in enumerate(found):
        np.testing.assert_allclose(one.nll_nats, plain[i % len(texts)].nll_nats, rtol=1e-3)


class Watch:
    """Makes a wait for the device an error, from `begin` on, outside the model's own forward pass:
    its masks are its own affair.
    """

    def __init__(self, model) -> None:
        self._model, self._has_begun = model, False

    def begin(self, _=0) -> None:
        self._has_begun = True
        torch.cuda.set_sync_debug_mode("error")

    def __enter__(self):
        def before(*_) -> None:
            torch.cuda.set_sync_debug_mode("default")

        def after(*_) -> None:
            if self._has_begun:
                torch.cuda.set_sync_debug_mode("error")

        self._hooks = [
            self._model.register_forward_pre_hook(before),
            self._model.register_forward_hook(after),
        ]
        return self

    def __exit__(self, *_) -> None:
        for hook in self._hooks:
            hook.remove()
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("way", ["loss", "record", "compare"])
def test_nobody_waits_for_the_device_outside_the_model(way):
    model, texts = pair_on("cuda")[0], made_texts()
    recorded = in_order(record(model, texts, WINDOWS))
    watch = Watch(model)
    watched = WINDOWS._replace(heard=watch.begin)
    ways = {
        "loss": lambda: token_scores(model, texts, watched),
        "record": lambda: record(model, texts, watched),
        "compare": lambda: compare(model, texts, recorded.__getitem__, watched),
    }
    with watch:
        found = list(ways[way]())
    assert len(found) == len(texts)


def test_one_logit_that_is_no_number_names_its_text():
    from harness.kernel.errors import RunBroke

    model = pair_on("cuda")[0]
    model.get_output_embeddings().weight[9] = float("nan")
    with pytest.raises(RunBroke, match="text fox: the logits that predict token 1 "):
        list(token_scores(model, [Text([5, 6, 7], name="fox")], WINDOWS))
