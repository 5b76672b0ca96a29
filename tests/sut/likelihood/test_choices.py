"""Are likelihoods of choices those of a plain forward pass of transformers, its ids cut as lm-eval
cuts them?
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.engine.recorder import Recorder
from harness.kernel.clock import RealClock
from harness.kernel.types import Sample
from sut.likelihood.answers import Loaded
from sut.likelihood.choices import Comparison
from sut.local_model import LocalModel
from sut.prompts.encode import Room
from tests.prompt_helpers import CHAT, model, tokenizer

ROOM = Room(256, 320)
LETTERS = (" A", " B", " C", " D")
ASKED = [
    ("why is the sky blue? Answer:", LETTERS),
    ("what is the sum of two ", ("and three?", "日本語 ☂", "\n", " x")),
    ("why", (" is the sky", " is the air", " is")),
    ("the sum is\n\n", ("two", "three, which scatters in the air.")),
]
SAMPLES = [Sample(i, p, is_plain=True, max_new_tokens=2) for i, (p, _) in enumerate(ASKED)]
QUESTIONS = [(i, list(choices)) for i, (_, choices) in enumerate(ASKED)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny Llama whose tokenizer opens texts with <s> and has a chat template."""
    place = tmp_path_factory.mktemp("choices") / "model"
    return model(place, tokenizer("<s> $A"), template=CHAT)


@pytest.fixture(scope="module")
def plain(folder):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    net = AutoModelForCausalLM.from_pretrained(folder).double().eval()
    return net, AutoTokenizer.from_pretrained(folder)


@torch.inference_mode()
def directly(plain, context, text, **how):
    """lm-eval's loglikelihood, written down: (nll in nats, tokens), one pass in float64."""
    net, words = plain
    kept = context.rstrip()
    text = context[len(kept) :] + text
    before = words(kept, **how)["input_ids"]
    after = words(kept + text, **how)["input_ids"][len(before) :]
    logits = net(input_ids=torch.tensor([[*before, *after]])).logits[0, len(before) - 1 : -1]
    rows = logits.log_softmax(-1)
    return -float(rows[torch.arange(len(after)), torch.tensor(after)].sum()), len(after)


def check(rows, plain, contexts, choices, **how):
    for (_, nll_nats, tokens), context, own in zip(rows, contexts, choices, strict=True):
        wanted = [directly(plain, context, one, **how) for one in own]
        assert nll_nats == pytest.approx([nll for nll, _ in wanted], rel=1e-5)
        assert tokens == [count for _, count in wanted]


def loaded(folder, samples=SAMPLES, **options):
    clock = RealClock()
    sut = LocalModel(clock, path=str(folder), **options)
    sut.load(samples, Recorder(clock))
    return sut


def test_likelihoods_are_those_of_a_plain_pass(folder, plain):
    rows = loaded(folder).choose(QUESTIONS)
    assert [index for index, _, _ in rows] == [0, 1, 2, 3]
    check(rows, plain, [p for p, _ in ASKED], [c for _, c in ASKED])
    assert directly(plain, *("why", " is"))[1] == rows[2][2][2]


def test_a_question_that_is_not_plain_stands_in_the_chat_template(folder, plain):
    (asked,) = [Sample(7, "why is the sky blue?", max_new_tokens=2)]
    rows = loaded(folder, [asked]).choose([(7, ["because", " of light"])])
    text = plain[1].apply_chat_template(
        [{"role": "user", "content": asked.prompt}], tokenize=False, add_generation_prompt=True
    )
    check(rows, plain, [text], [["because", " of light"]], add_special_tokens=False)


def comparison(plain, samples, room=ROOM):
    net, words = plain
    return Comparison(Loaded(net, words, samples, {}, room, frozenset()))


def test_letters_of_a_question_take_one_pass(plain):
    net, words = plain
    prompt, fed = words(ASKED[0][0])["input_ids"], []

    def hear(_, __, given):
        fed.extend(given["input_ids"].tolist())

    handle = net.register_forward_pre_hook(hear, with_kwargs=True)
    comparison(plain, SAMPLES).rows([QUESTIONS[0], (1, ["and three?", "日本語 ☂"])])
    handle.remove()
    assert [ids[: len(prompt)] for ids in fed].count(prompt) == 1
    other = words("what is the sum of two")["input_ids"]
    assert [ids[: len(other)] for ids in fed].count(other) == 2


@settings(max_examples=12, deadline=None)
@given(
    prompt=st.text("why is ☂日\n", min_size=1, max_size=12).filter(str.strip),
    choices=st.lists(st.text("a b日é", min_size=1, max_size=5), min_size=1, max_size=4),
    budget=st.sampled_from([1, 17, 64, 10_000]),
)
def test_no_batch_changes_them(plain, prompt, choices, budget):
    samples = [*SAMPLES, Sample(9, prompt, is_plain=True)]
    questions = [*QUESTIONS, (9, choices)]
    rows = comparison(plain, samples).rows(questions, batch_tokens=budget)
    for (_, nll_nats, tokens), (_, own) in zip(rows[-1:], questions[-1:], strict=True):
        for nll, count, one in zip(nll_nats, tokens, own, strict=True):
            if count:  # else it has become a part of the prompt's last token
                assert (nll, count) == pytest.approx(directly(plain, prompt, one), rel=1e-5)
            else:
                assert nll == math.inf
    check(rows[:-1], plain, [p for p, _ in ASKED], [c for _, c in ASKED])


def test_a_choice_that_does_not_fit_is_infinitely_unlikely_and_the_others_are_not(plain):
    prompt, choices = ASKED[1][0], ["and", "and " * 30]
    whole = len(plain[1](prompt + "and")["input_ids"])
    samples = [Sample(0, prompt, is_plain=True)]
    ((_, nll_nats, tokens),) = comparison(plain, samples, Room(whole - 1, 320)).rows([(0, choices)])
    assert nll_nats[0] == pytest.approx(directly(plain, prompt, "and")[0], rel=1e-5)
    assert nll_nats[1] == math.inf
    assert tokens[1] > 30
    ((_, cut, _),) = comparison(plain, samples, Room(whole - 2, 320, True)).rows([(0, choices)])
    assert math.isfinite(cut[0])
    assert cut[0] != nll_nats[0]
    ((_, left, _),) = comparison(plain, samples, Room(whole - 2, 320)).rows([(0, choices)])
    assert left == [math.inf, math.inf]
