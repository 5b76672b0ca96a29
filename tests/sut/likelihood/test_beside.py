"""Whoever shares a batch, a text's losses are those of the plain pass over it alone."""

from __future__ import annotations

import pytest
import torch

from sut.likelihood.scoring import Text, token_scores
from tests.architectures import tiny

LENGTHS = (12, 20, 28, 31, 40, 75)  # the border of the first two is at 32
pytestmark = pytest.mark.filterwarnings("ignore")  # of the library, about its own old names


@pytest.mark.parametrize(
    "name", ["phi3, LongRoPE", "llama, dynamic NTK", "llama, YaRN", "gpt_neo", "gpt_oss"]
)
def test_losses_do_not_depend_on_the_texts_beside(name):
    torch.manual_seed(3)
    texts = [torch.randint(4, tiny.VOCABULARY, (length,)).tolist() for length in LENGTHS]
    found = dict(token_scores(tiny.model_of(name), [Text(ids) for ids in texts]))
    for i, ids in enumerate(texts):
        with torch.inference_mode():
            logits = tiny.model_of(name)(input_ids=torch.tensor([ids[:-1]])).logits[0]
        wanted = torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none")
        torch.testing.assert_close(
            torch.from_numpy(found[i].nll_nats), wanted, atol=1e-4, rtol=1e-4
        )
