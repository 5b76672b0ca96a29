"""On the CPU the figures are, bit for bit, those of the plainest walk: a batch after the other, 32
rows of one text at a time, each read at once. And they are those that were once written down.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from sut.likelihood.distributions import compare, exact, record
from sut.likelihood.forward.batch import Job, leading
from sut.likelihood.forward.output_layer import side_by_side
from sut.likelihood.scoring import Settings, Text, loss, token_scores, walk
from sut.likelihood.windows import windows
from tests.sut.likelihood.test_distributions import VOCABULARY, in_order, made_llama

WRITTEN = Path(__file__).parent / "figures.json"
CONTEXT, STRIDE, BATCH_TOKENS, ROWS = 40, 30, 90, 32


def made_texts():
    draw = random.Random(5)
    return [
        Text([draw.randrange(VOCABULARY) for _ in range(3 + 13 * i % 90)], 1 + i % 2)
        for i in range(7)
    ]


@torch.inference_mode()
def plainly(models, texts, measure):
    """Return (text, where its window begins to count, column) to the values of each piece."""
    layers = side_by_side(models)
    jobs = [
        Job(i, text.ids, window)
        for i, text in enumerate(texts)
        for window in windows(len(text.ids), CONTEXT, STRIDE, text.first)
    ]
    jobs.sort(key=lambda job: -job.length)
    found = {}
    while jobs:
        batch = leading(jobs, BATCH_TOKENS)
        jobs = jobs[len(batch) :]
        ids = torch.zeros((len(batch), batch[0].length), dtype=torch.long)
        places = []
        for i, job in enumerate(batch):
            ids[i, : job.length] = torch.tensor(job.ids[job.window.start : job.window.end - 1])
            places += [(i, k) for k in range(job.window.scored, job.window.end)]
        rows = torch.tensor([i for i, _ in places])
        columns = torch.tensor([k - 1 - batch[i].window.start for i, k in places])
        logits = [torch.cat([*layer.logits(ids, rows, columns)]) for layer in layers]
        for i, job in enumerate(batch):
            own = (rows == i).nonzero()[:, 0]
            for piece in own.split(ROWS):
                targets = torch.tensor([job.ids[places[k][1]] for k in piece.tolist()])
                log_probs = [one[piece].float().log_softmax(-1) for one in logits]
                for name, values in measure(None, targets, *log_probs).items():
                    key = (job.text, job.window.scored, name)
                    found.setdefault(key, []).append(values.numpy())
    return found


def of_text(found, text, name):
    windows_of_it = sorted(key for key in found if key[0] == text and key[2] == name)
    return np.concatenate([piece for key in windows_of_it for piece in found[key]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_losses_have_the_bits_of_the_plainest_walk(dtype):
    model, texts = made_llama(VOCABULARY, spread=0.7).to(dtype), made_texts()
    wanted = plainly((model,), texts, loss)
    settings = Settings(CONTEXT, STRIDE, BATCH_TOKENS)
    for text, columns in walk((model,), texts, loss, settings):
        for name, values in columns.items():
            np.testing.assert_array_equal(values, of_text(wanted, text, name))


def test_figures_are_those_that_were_written_down():
    """By the code before batches were read late; other processors may round the last digits."""
    reference, variant = (made_llama(VOCABULARY, noise, spread=0.7) for noise in (0.0, 0.02))
    texts, settings = made_texts(), Settings(CONTEXT, STRIDE, BATCH_TOKENS)
    recorded = in_order(record(reference, texts, settings))
    found = {
        "loss": in_order(token_scores(reference, texts, settings)),
        "recorded": recorded,
        "compared": in_order(compare(variant, texts, recorded.__getitem__, settings)),
        "exact": in_order(exact(reference, variant, texts, settings)),
    }
    written = json.loads(WRITTEN.read_text())
    for name, sums in written.items():
        way, _, column = name.partition(" ")
        np.testing.assert_allclose(
            [getattr(one, column).sum(dtype=np.float64) for one in found[way]], sums, rtol=1e-4
        )
