"""Teacher-forced figures against a direct computation in float64, whatever the batch and the padding."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest
import torch

from harness.clock import RealClock
from harness.recorder import Recorder
from harness.types import Sample
from sut.isolated import Isolated
from sut.local_model import LocalModel
from sut.null import Null
from sut.scoring import Pair, batches, score, turn_end_ids

CHAT = "{% for m in messages %}<bos> {{ m.content }} <eos> {% endfor %}{% if add_generation_prompt %}<bos> {% endif %}"


@pytest.fixture(scope="module", params=["tiny_llama", "tiny_gpt2"])
def model(request):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(request.getfixturevalue(request.param)).eval()


def made_pairs(count=13):
    draw = random.Random(3)
    return [
        Pair(
            [draw.randrange(4, 38) for _ in range(draw.randrange(1, 20))], [draw.randrange(4, 38) for _ in range(1 + i % 9)]
        )
        for i in range(count)
    ]


@torch.inference_mode()
def directly(model, pairs):
    """(summed loss, right tokens, tokens), one sequence at a time in float64 with all logits."""
    exact = type(model)(model.config).double().eval()
    exact.load_state_dict(model.state_dict())
    total, right, count = 0.0, 0, 0
    for prompt, answer in pairs:
        logits = exact(input_ids=torch.tensor([[*prompt, *answer]])).logits[0]
        for k, token in enumerate(answer):
            row = logits[len(prompt) + k - 1].log_softmax(-1)
            total -= float(row[token])
            right += int(row.argmax() == token)
            count += 1
    return total, right, count


@pytest.mark.parametrize("budget", [1, 40, 100_000])
def test_sums_equal_a_direct_float64_computation_at_every_batch_size(model, budget):
    pairs = made_pairs()
    total, right, count = directly(model, pairs)
    found = score(model, pairs, budget)
    assert found.nll_nats == pytest.approx(total, rel=1e-5)
    assert (found.correct, found.tokens) == (right, count)


def test_some_answer_tokens_are_right_where_the_model_wrote_the_answer(model):
    prompt = torch.tensor([[5, 6, 7]])
    greedy = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=6, do_sample=False, pad_token_id=0
    )
    answer = greedy[0, 3:].tolist()
    assert score(model, [Pair([5, 6, 7], answer)])[1:] == (len(answer), len(answer))


def test_the_output_layer_sees_the_answers_positions_and_no_others(model):
    seen = []
    hook = model.get_output_embeddings().register_forward_hook(lambda _, args, out: seen.append(out.shape))
    score(model, made_pairs(), 100_000)
    hook.remove()
    assert [shape[:2] for shape in seen] == [(1, sum(1 + i % 9 for i in range(13)))]
    assert model(input_ids=torch.tensor([[5, 6]])).logits.shape[:2] == (1, 2), "the model is itself again"


def test_no_batch_of_several_exceeds_the_budget_and_nobody_is_lost():
    pairs = made_pairs(40)
    made = list(batches(pairs, 60))
    assert all(len(batch) == 1 or max(p.length for p in batch) * len(batch) <= 60 for batch in made)
    assert sorted(pair for batch in made for pair in batch) == sorted(pairs)
    assert len(made) < 40


def test_an_answer_without_tokens_counts_for_nothing(model):
    assert score(model, [Pair([5, 6], [])]) == (0.0, 0, 0)


@pytest.mark.parametrize(
    ("template", "ends"),
    [
        (CHAT, [2]),
        ("{% for m in messages %}{{ m.content }} {% endfor %}", []),
        ("{% for m in messages %}{{ m.content }} why <eos>{% endfor %}", []),
        (None, []),
    ],
)
def test_the_end_token_counts_only_where_the_chat_template_closes_the_turn_with_it(tiny_llama, template, ends):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    tokenizer.chat_template = template
    assert turn_end_ids(tokenizer, frozenset({2})) == ends


# ---- through the SUT

PROMPTS = ["why is the sky blue", "a b c", "x"]


def loaded(folder, clock, **options):
    sut = LocalModel(clock, path=str(folder), **options)
    sut.load([Sample(i, prompt, max_new_tokens=8) for i, prompt in enumerate(PROMPTS)], Recorder(clock))
    return sut


def test_a_local_model_scores_the_answers_after_the_prompts_of_the_run(tiny_llama):
    from transformers import AutoModelForCausalLM

    sut = loaded(tiny_llama, RealClock())
    found = sut.evaluate([(0, "the sky is blue"), (2, "y z")])
    ids = [sut._tokenizer(text)["input_ids"] for text in (PROMPTS[0], "the sky is blue", PROMPTS[2], "y z")]
    plain = AutoModelForCausalLM.from_pretrained(tiny_llama)
    total, right, count = directly(plain, [Pair(ids[0], ids[1]), Pair(ids[2], ids[3])])
    assert found["nll_nats"] == pytest.approx(total, rel=1e-5)
    assert (found["correct"], found["tokens"], found["samples"], found["left_out"]) == (right, count, 2, 0)
    assert found["seconds"] > 0


def test_an_answer_beyond_the_context_is_left_out_and_counted(tiny_llama):
    sut = loaded(tiny_llama, RealClock())
    found = sut.evaluate([(0, "a " * 60), (1, "d")])
    assert (found["samples"], found["left_out"], found["tokens"]) == (1, 1, 1)


def test_the_figures_cross_the_process_border(tiny_llama, tmp_path):
    clock = RealClock()
    sut = Isolated(clock, "sut.local_model:LocalModel", {"path": str(tiny_llama)}, tmp_path / "sut.log")
    sut.load([Sample(i, prompt, max_new_tokens=8) for i, prompt in enumerate(PROMPTS)], Recorder(clock))
    found = sut.evaluate([(0, "the sky is blue"), (2, "y z")])
    sut.close()
    clock.close()
    here = loaded(tiny_llama, RealClock()).evaluate([(0, "the sky is blue"), (2, "y z")])
    assert found["nll_nats"] == pytest.approx(here["nll_nats"], rel=1e-6)
    assert found | {"seconds": 0, "nll_nats": 0} == here | {"seconds": 0, "nll_nats": 0}


def test_a_sut_that_cannot_score_says_none_across_the_border(tmp_path):
    clock = RealClock()
    sut = Isolated(clock, "sut.null:Null", {}, tmp_path / "sut.log")
    sut.load([], Recorder(clock))
    assert not hasattr(Null, "evaluate")
    assert sut.evaluate([(0, "x")]) is None
    sut.close()
    clock.close()


def test_out_of_memory_while_scoring_is_a_sentence(tiny_llama, monkeypatch):
    from harness.errors import RunBroke

    sut = loaded(tiny_llama, RealClock())

    def fails(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(sut, "_model", SimpleNamespace(get_output_embeddings=sut._model.get_output_embeddings, device="cpu"))
    monkeypatch.setattr("sut.scoring._batch_score", fails)
    with pytest.raises(RunBroke, match="out of memory"):
        sut.evaluate([(0, "a b")])


@pytest.mark.model
def test_the_real_model_expects_the_answers_it_was_trained_to_give(smollm2):
    from sut.models import resolve

    clock = RealClock()
    sut = LocalModel(clock, path=resolve(smollm2, print).path)
    sut.load([Sample(0, "What is the capital of France?", max_new_tokens=8)], Recorder(clock))
    right, wrong = (sut.evaluate([(0, text)]) for text in ("The capital of France is Paris.", "Paris cap is the France of."))
    assert right["tokens"] == len(sut._tokenizer("The capital of France is Paris.")["input_ids"]) + 1  # and its <|im_end|>
    assert right["nll_nats"] / right["tokens"] < 1.0 < wrong["nll_nats"] / wrong["tokens"]
