"""Teacher-forced figures against a direct computation in float64, whatever the batch and the
padding.
"""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.engine.recorder import Recorder
from harness.kernel.clock import RealClock
from harness.kernel.errors import BadInput, RunBroke
from harness.kernel.types import Sample
from sut.border.isolated import Isolated
from sut.likelihood import scoring
from sut.likelihood.answers import Pair, score_pairs, turn_end_ids
from sut.likelihood.forward import output_layer
from sut.likelihood.forward.batch import leading
from sut.likelihood.scoring import Settings, Text, token_scores, walk
from sut.likelihood.windows import windows
from sut.local_model import LocalModel
from sut.null import Null

CHAT = (
    "{% for m in messages %}<bos> {{ m.content }} <eos> {% endfor %}{% if add_generation_prompt"
    " %}<bos> {% endif %}"
)


@pytest.fixture(scope="module", params=["tiny_llama", "tiny_gpt2"])
def model(request):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(request.getfixturevalue(request.param)).eval()


def made_pairs(count=13):
    draw = random.Random(3)
    return [
        Pair(
            [draw.randrange(4, 38) for _ in range(draw.randrange(1, 20))],
            [draw.randrange(4, 38) for _ in range(1 + i % 9)],
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
    for pair, found in zip(pairs, score_pairs(model, pairs, budget), strict=True):
        total, right, count = directly(model, [pair])
        assert found.nll_nats == pytest.approx(total, rel=1e-5)
        assert (found.correct, found.tokens) == (right, count)


def test_some_answer_tokens_are_right_where_the_model_wrote_the_answer(model):
    prompt = torch.tensor([[5, 6, 7]])
    greedy = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=6,
        do_sample=False,
        pad_token_id=0,
    )
    answer = greedy[0, 3:].tolist()
    (found,) = score_pairs(model, [Pair([5, 6, 7], answer)])
    assert found[1:] == (len(answer), len(answer))


def test_the_output_layer_sees_the_answers_positions_and_no_others(model):
    seen = rows_of_the_output_layer(model, lambda: score_pairs(model, made_pairs(), 100_000))
    scored = sum(1 + i % 9 for i in range(13))
    assert seen[-1] == scored
    trials = [1, 1, 1, 1]  # is the layer the last, do texts change beside longer ones
    assert seen[:-1] == [*trials, 1], "and one row of the model's own forward pass"
    assert model(input_ids=torch.tensor([[5, 6]])).logits.shape[:2] == (
        1,
        2,
    ), "the model is itself again"


def rows_of_the_output_layer(model, work):
    seen = []
    hook = model.get_output_embeddings().register_forward_hook(
        lambda _, args, out: seen.append(out.shape[:-1].numel())
    )
    work()
    hook.remove()
    return seen


def test_no_batch_of_several_exceeds_the_budget_and_nobody_is_lost():
    pairs = made_pairs(40)
    waiting, made = sorted(pairs, key=lambda pair: -pair.length), []
    while waiting:
        made.append(leading(waiting, 60))
        waiting = waiting[len(made[-1]) :]
    assert all(len(batch) == 1 or max(p.length for p in batch) * len(batch) <= 60 for batch in made)
    assert sorted(pair for batch in made for pair in batch) == sorted(pairs)
    assert len(made) < 40


def test_an_answer_without_tokens_counts_for_nothing(model):
    assert score_pairs(model, [Pair([5, 6], [])]) == [(0.0, 0, 0)]


@pytest.mark.parametrize(
    ("template", "ends"),
    [
        (CHAT, [2]),
        ("{% for m in messages %}{{ m.content }} {% endfor %}", []),
        ("{% for m in messages %}{{ m.content }} why <eos>{% endfor %}", []),
        (None, []),
    ],
)
def test_the_end_token_counts_only_where_the_chat_template_closes_the_turn_with_it(
    tiny_llama, template, ends
):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    tokenizer.chat_template = template
    assert turn_end_ids(tokenizer, frozenset({2})) == ends


# ---- texts, token by token


def made_texts(count=11):
    draw = random.Random(5)
    return [
        Text([draw.randrange(4, 38) for _ in range(2 + 5 * i % 37)], 1 + i % 2)
        for i in range(count)
    ]


def in_order(found):
    return [scores for _, scores in sorted(found)]


@torch.inference_mode()
def losses(model, ids, start=0):
    """In float64, of every token but the first: (losses, first choices)."""
    exact = type(model)(model.config).double().eval()
    exact.load_state_dict(model.state_dict())
    log_probs = exact(input_ids=torch.tensor([ids[start:]])).logits[0, :-1].log_softmax(-1)
    targets = torch.tensor(ids[start + 1 :])
    return -log_probs.gather(-1, targets[:, None])[:, 0].numpy(), log_probs.argmax(-1).numpy()


def test_each_token_has_the_loss_of_a_direct_float64_computation(model):
    texts = made_texts()
    for text, found in zip(texts, in_order(token_scores(model, texts)), strict=True):
        nll, choices = losses(model, text.ids)
        np.testing.assert_allclose(found.nll_nats, nll[text.first - 1 :], rtol=1e-5)
        np.testing.assert_array_equal(
            found.correct, (choices == np.array(text.ids[1:]))[text.first - 1 :]
        )
        assert (found.nll_nats.dtype, found.correct.dtype) == (np.float32, np.bool_)


@pytest.mark.parametrize("budget", [1, 50, 100_000])
def test_neither_batch_size_nor_order_nor_padding_moves_a_loss(model, budget):
    texts = made_texts()
    alone = [next(token_scores(model, [text]))[1].nll_nats for text in texts]
    shuffled = random.Random(1).sample(range(len(texts)), len(texts))
    for i, found in token_scores(
        model, [texts[i] for i in shuffled], Settings(batch_tokens=budget)
    ):
        np.testing.assert_allclose(found.nll_nats, alone[shuffled[i]], rtol=2e-6)


def test_logits_never_exist_at_once(model, monkeypatch):
    """The output layer makes a few rows at a time, and the measure sees fewer still."""
    monkeypatch.setattr(output_layer, "_LOGITS_BYTES", 16 * 64 * 4)
    monkeypatch.setattr(scoring, "_ROWS", 5)
    texts, shapes = made_texts(), []

    def measure(where, targets, log_probs):
        shapes.append((tuple(log_probs.shape), log_probs.dtype))
        return scoring.loss(where, targets, log_probs)

    found = []
    seen = rows_of_the_output_layer(model, lambda: found.extend(walk((model,), texts, measure)))
    assert max(seen) == 16
    assert max(rows for (rows, _), _ in shapes) == 5
    assert {dtype for _, dtype in shapes} == {torch.float32}
    monkeypatch.undo()
    for (_, columns), scores in zip(
        sorted(found, key=lambda f: f[0]), in_order(token_scores(model, texts)), strict=True
    ):
        np.testing.assert_allclose(columns["nll_nats"], scores.nll_nats, rtol=2e-6)


@pytest.mark.parametrize("cap", [None, 2.0])
def test_what_a_model_does_after_its_output_layer_counts(cap, monkeypatch):
    """Gemma 2 caps its logits after the output layer: calling that layer alone would miss it."""
    from transformers import Gemma2Config, Gemma2ForCausalLM

    monkeypatch.setattr(output_layer, "_LOGITS_BYTES", 8 * 64 * 4)
    torch.manual_seed(1)
    config = Gemma2Config(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, head_dim=8, num_key_value_heads=2, max_position_embeddings=64,
        final_logit_softcapping=cap,
    )  # fmt: skip
    model = Gemma2ForCausalLM(config).eval()
    torch.nn.init.normal_(model.get_output_embeddings().weight, std=0.3)
    texts, found = made_texts(), []
    seen = rows_of_the_output_layer(model, lambda: found.extend(token_scores(model, texts)))
    for text, scores in zip(texts, in_order(found), strict=True):
        np.testing.assert_allclose(
            scores.nll_nats, losses(model, text.ids)[0][text.first - 1 :], rtol=1e-5
        )
    assert (max(seen) == 8) == (cap is None), "in pieces where nothing comes after it"


def test_the_same_tokens_are_scored_whatever_comes_before_them(model):
    """Instructions, first sentences: more context, same targets, another loss."""
    bare = [5, 6, 7, 8, 9, 10]
    (_, plain), (_, with_context) = sorted(
        token_scores(model, [Text([4, *bare], 1), Text([11, 12, 13, *bare], 3)])
    )
    assert len(plain.nll_nats) == len(with_context.nll_nats) == len(bare)
    assert not np.allclose(plain.nll_nats, with_context.nll_nats)
    np.testing.assert_allclose(
        with_context.nll_nats, losses(model, [11, 12, 13, *bare])[0][2:], rtol=1e-5
    )


def test_texts_come_as_they_are_done_and_may_be_scored_in_two_sittings(model):
    texts, forwards = made_texts(), []
    hook = model.register_forward_pre_hook(lambda *_: forwards.append(1))
    going = token_scores(model, texts, Settings(batch_tokens=1))
    first, scores = next(going)
    assert len(forwards) == 2, "a trial and one batch"
    assert first == max(range(len(texts)), key=lambda i: len(texts[i].ids)), "the longest first"
    rest = dict(going)
    hook.remove()
    assert rest.keys() | {first} == set(range(len(texts)))
    for i, again in token_scores(model, texts):
        np.testing.assert_allclose(again.nll_nats, (rest | {first: scores})[i].nll_nats, rtol=2e-6)


@pytest.mark.parametrize("ids", [[], [5], [5, 6]])
def test_a_text_without_a_token_to_score_is_not_given_out(model, ids):
    texts = [Text(ids, 2), Text([5, 6, 7])]
    assert [i for i, _ in token_scores(model, texts)] == [1]
    assert list(token_scores(model, texts[:1])) == []


# ---- windows


@given(st.integers(0, 300), st.integers(1, 70), st.data())
def test_every_token_is_scored_once_in_order_with_the_context_that_was_promised(
    length, context, data
):
    stride, first = data.draw(st.integers(1, context)), data.draw(st.integers(1, 80))
    made = windows(length, context, stride, first)
    assert [token for window in made for token in range(window.scored, window.end)] == list(
        range(first, length)
    )
    for window in made:
        assert 0 <= window.start < window.scored
        assert window.end - 1 - window.start <= context, "the last token is only predicted"
        assert window.start == 0 or window.scored - window.start >= context + 1 - stride
        assert window.start == 0 or window.end - 1 - window.start == context, "as full as it can be"


@given(st.integers(2, 300), st.integers(2, 70))
def test_windows_are_those_of_rolling_log_likelihood(length, context):
    """lm-eval's rule in its own words: a start token, then disjoint pieces, each with as much
    before it as fits.
    """
    text = list(range(1, length))
    expected, predicted = [], 0
    while predicted < len(text):
        count = min(context, len(text) - predicted)
        predicted += count
        expected.append(
            (
                [0, *text][max(0, predicted - context) : predicted],
                text[predicted - count : predicted],
            )
        )
    ids = [0, *text]
    found = [
        (ids[w.start : w.end - 1], ids[w.scored : w.end]) for w in windows(length, context, context)
    ]
    assert found == expected


def test_a_text_beyond_the_context_is_scored_in_windows(model):
    draw = random.Random(2)
    text = Text([draw.randrange(4, 38) for _ in range(150)])
    ((_, found),) = token_scores(model, [text], Settings(context=40, stride=10, batch_tokens=90))
    expected = losses(model, text.ids[:41])[0].tolist()
    for end in range(51, 151, 10):
        expected += losses(model, text.ids[:end], end - 41)[0][-10:].tolist()
    expected += losses(model, text.ids, 150 - 41)[0][-9:].tolist()
    np.testing.assert_allclose(found.nll_nats, expected, rtol=1e-5)


def test_a_text_beyond_the_context_without_a_stride_is_refused(model):
    with pytest.raises(
        BadInput,
        match=r"text fox: it has 66 tokens; the context takes 64 and predicts one more.*--stride",
    ):
        list(token_scores(model, [Text([5] * 66, name="fox")]))
    assert len(next(token_scores(model, [Text([5] * 65)]))[1].nll_nats) == 64


@pytest.mark.parametrize("stride", [0, -1, 9])
def test_a_stride_outside_the_context_is_refused(stride):
    with pytest.raises(BadInput, match="1 to the context"):
        windows(20, 8, stride)


def test_nothing_predicts_the_first_token():
    with pytest.raises(ValueError, match="token 0"):
        windows(5, 8, first=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_one_logit_that_is_no_number_names_its_text_and_token(model, value):
    """Where token 20 follows 5 and 6, the logit of one word is spoilt."""
    states = []
    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, args: states.append(args[0][0, 2]))
    model(input_ids=torch.tensor([[5, 6, 20]]))
    hook.remove()

    def spoil(_, args, logits):
        at_state = (args[0] - states[0]).abs().amax(-1) < 1e-4
        logits[..., 7] = torch.where(at_state, value, logits[..., 7])

    hook = head.register_forward_hook(spoil)
    texts = [Text([8, 9, 10, 11], name="good"), Text([5, 6, 20, 9, 12], name="bad")]
    with pytest.raises(
        RunBroke, match="text bad: the logits that predict token 3 are not all finite"
    ):
        list(token_scores(model, texts))
    assert len(list(token_scores(model, texts[:1]))) == 1
    hook.remove()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("budget", [1, 1000])
def test_sums_are_lm_evals_rolling_log_likelihoods(model, budget, request):
    huggingface = pytest.importorskip("lm_eval.models.huggingface")
    from lm_eval.api.instance import Instance
    from transformers import AutoTokenizer

    folder = request.getfixturevalue("tiny_llama")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = [
        "why is the sky blue",
        "a b c d e f g",
        " ".join(random.Random(4).choices("abcdefgh", k=150)),
    ]
    peer = huggingface.HFLM(
        pretrained=model, tokenizer=tokenizer, batch_size=2, max_length=64, device="cpu"
    )
    requests = [Instance("loglikelihood_rolling", {}, (text,), i) for i, text in enumerate(texts)]
    expected = peer.loglikelihood_rolling(requests, disable_tqdm=True)
    ours = [Text([tokenizer.bos_token_id, *tokenizer(text)["input_ids"]]) for text in texts]
    found = in_order(token_scores(model, ours, Settings(stride=64, batch_tokens=budget)))
    assert [-float(scores.nll_nats.sum()) for scores in found] == pytest.approx(expected, rel=1e-5)


# ---- through the SUT

PROMPTS = ["why is the sky blue", "a b c", "x"]


def loaded(folder, clock, **options):
    sut = LocalModel(clock, path=str(folder), **options)
    sut.load(
        [Sample(i, prompt, max_new_tokens=8) for i, prompt in enumerate(PROMPTS)], Recorder(clock)
    )
    return sut


def test_a_local_model_scores_the_answers_after_the_prompts_of_the_run(tiny_llama):
    from transformers import AutoModelForCausalLM

    sut = loaded(tiny_llama, RealClock())
    found = sut.evaluate([(0, "the sky is blue"), (2, "y z")])
    ids = [
        sut._tokenizer(text)["input_ids"]
        for text in (PROMPTS[0], "the sky is blue", PROMPTS[2], "y z")
    ]
    plain = AutoModelForCausalLM.from_pretrained(tiny_llama)
    total, right, count = directly(plain, [Pair(ids[0], ids[1]), Pair(ids[2], ids[3])])
    assert found["nll_nats"] == pytest.approx(total, rel=1e-5)
    assert (found["correct"], found["tokens"], found["samples"], found["left_out"]) == (
        right,
        count,
        2,
        0,
    )
    assert found["seconds"] > 0
    assert [(index, tokens) for index, _, tokens in found["answers"]] == [(0, 4), (2, 2)]
    assert sum(nll for _, nll, _ in found["answers"]) == found["nll_nats"]


def test_an_answer_beyond_the_context_is_left_out_and_counted(tiny_llama):
    sut = loaded(tiny_llama, RealClock())
    found = sut.evaluate([(0, "a " * 60), (1, "d")])
    assert (found["samples"], found["left_out"], found["tokens"]) == (1, 1, 1)


def test_the_figures_cross_the_process_border(tiny_llama, tmp_path):
    clock = RealClock()
    sut = Isolated(
        clock, "sut.local_model:LocalModel", {"path": str(tiny_llama)}, tmp_path / "sut.log"
    )
    sut.load(
        [Sample(i, prompt, max_new_tokens=8) for i, prompt in enumerate(PROMPTS)], Recorder(clock)
    )
    found = sut.evaluate([(0, "the sky is blue"), (2, "y z")])
    sut.close()
    clock.close()
    here = loaded(tiny_llama, RealClock()).evaluate([(0, "the sky is blue"), (2, "y z")])
    assert found.pop("seconds") > 0 < here.pop("seconds")
    for row, mine in zip(found.pop("answers"), here.pop("answers"), strict=True):
        assert row == pytest.approx(mine, rel=1e-6)
    assert found == pytest.approx(here, rel=1e-6)


def test_a_sut_that_cannot_score_says_none_across_the_border(tmp_path):
    clock = RealClock()
    sut = Isolated(clock, "sut.null:Null", {}, tmp_path / "sut.log")
    sut.load([], Recorder(clock))
    assert not hasattr(Null, "evaluate")
    assert sut.evaluate([(0, "x")]) is None
    sut.close()
    clock.close()


def test_out_of_memory_while_scoring_is_a_sentence(tiny_llama, monkeypatch):
    sut = loaded(tiny_llama, RealClock())

    def fails(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(sut._model, "forward", fails)
    with pytest.raises(RunBroke, match="out of memory"):
        sut.evaluate([(0, "a b")])


@pytest.mark.model
def test_the_real_model_expects_the_answers_it_was_trained_to_give(smollm2):
    from sut.model.find import resolve

    clock = RealClock()
    sut = LocalModel(clock, path=resolve(smollm2, print).path)
    sut.load([Sample(0, "What is the capital of France?", max_new_tokens=8)], Recorder(clock))
    right, wrong = (
        sut.evaluate([(0, text)])
        for text in ("The capital of France is Paris.", "Paris cap is the France of.")
    )
    assert (
        right["tokens"] == len(sut._tokenizer("The capital of France is Paris.")["input_ids"]) + 1
    )  # and its <|im_end|>
    assert right["nll_nats"] / right["tokens"] < 1.0 < wrong["nll_nats"] / wrong["tokens"]
