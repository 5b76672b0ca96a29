"""On a GPU `auto` picks it: greedy answers are those of transformers' `generate` there, but for
near ties, which are counted; perplexities are those of the CPU.
"""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from accuracy.datasets.files import load_dataset
from harness.cli import app
from tests.sut.test_local_model import answer

pytestmark = pytest.mark.gpu
NEAR = 1e-3  # of a logit: two kernels may round to either side
QUESTIONS, TOKENS, MOST_TIES = 50, 64, 5


def generated(sut, ids, max_new_tokens):
    import torch

    prompt = torch.tensor([ids], device=sut._model.device)
    out = sut._model.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=max_new_tokens,
        do_sample=False, pad_token_id=0,
    )  # fmt: skip
    return out[0, len(ids) :].tolist()


def is_near_tie(sut, ids, ours, theirs):
    """Say whether the two tokens, where the answers part, are about as likely to the model."""
    import torch

    k = next(i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b)
    text = torch.tensor([[*ids, *ours[:k]]], device=sut._model.device)
    with torch.inference_mode():
        logits = sut._model(input_ids=text).logits[0, -1].float()
    return abs(float(logits[ours[k]] - logits[theirs[k]])) < NEAR


def parted(log, sut, max_new_tokens):
    """Return (index, whether it is a near tie) of the answers that are not those of `generate`."""
    for i, ids in sut._encoded.ids.items():
        ours, theirs = log.record(i).token_ids.tolist(), generated(sut, ids, max_new_tokens)
        if ours != theirs:
            yield i, is_near_tie(sut, ids, ours, theirs)


@pytest.mark.parametrize("model", ["tiny_llama", "tiny_gpt2"])
@pytest.mark.parametrize("max_batch", [1, 8])
def test_greedy_answers_equal_generate(model, max_batch, request):
    log, sut = answer(request.getfixturevalue(model), max_batch=max_batch)
    assert sut.facts()["device"].startswith("cuda")
    assert list(parted(log, sut, 12)) == []


@pytest.mark.model
def test_the_real_models_greedy_answers_equal_generate_but_for_near_ties(smollm2):
    from sut.model.find import resolve

    samples = load_dataset("qa", 1).samples[:QUESTIONS]
    path = resolve(smollm2, lambda _: None).path
    log, sut = answer(path, [sample.prompt for sample in samples], TOKENS)
    found = list(parted(log, sut, TOKENS))
    assert [i for i, is_tie in found if not is_tie] == []
    assert len(found) <= MOST_TIES


def perplexities(folder, device):
    """Return those of each text, variant by variant."""
    words = f"perplexity --model {folder / 'llama'} --variants fp32,bf16 --device {device}"
    words += f" --dataset {folder / 'texts.jsonl'} --output-dir {folder / device}"
    done = CliRunner().invoke(app, words.split())
    assert done.exit_code == 0, done.output
    (made,) = (folder / device).iterdir()
    subjects = json.loads((made / "perplexity.json").read_text())["subjects"]
    assert [one["device"].startswith("cuda") for one in subjects] == [device == "auto"] * 2
    return [row["perplexity"] for one in subjects for row in one["by_text"]]


def test_perplexity_is_that_of_the_cpu(tiny_llama, tmp_path):
    (tmp_path / "llama").symlink_to(tiny_llama)
    text = "why is the sky blue a b c d e how the sample "
    rows = [{"id": str(i), "text": text[i % 5 :] * 3} for i in range(8)]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    here = perplexities(tmp_path, "cpu")
    assert len(here) == 16
    assert perplexities(tmp_path, "auto") == pytest.approx(here, rel=2e-2)
