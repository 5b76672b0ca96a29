"""The engine of a server through its own door: a process, a socket, requests that come and go."""

from __future__ import annotations

import asyncio
import os
import select
import signal

import psutil
import pytest

from harness.kernel.errors import BadInput, RunBroke
from sut.serving.engine import Engine
from sut.serving.messages import Done, Options, Prompt, Refused, Request, Tokens

ENV = {"OMP_NUM_THREADS": "1"}
PATIENCE_S = 60
PROMPT = [5, 7, 9, 11]


@pytest.fixture(scope="module")
def engine(tiny_llama, tmp_path_factory):
    log = tmp_path_factory.mktemp("engine") / "engine.log"
    one = Engine(Options(path=str(tiny_llama), max_batch=3), log, ENV)
    yield one
    one.close()
    assert not psutil.pid_exists(one.pid)
    assert log.is_file()


def events(engine, *requests):
    """All that is said until nothing is open."""
    for request in requests:
        engine.submit(request)
    heard = []
    while engine.open_requests:
        assert select.select([engine.fd], [], [], PATIENCE_S)[0], "nothing came"
        heard += engine.read()
    return heard


def ids_of(heard, request_id=1):
    return [i for one in heard if isinstance(one, Tokens) and one.id == request_id for i in one.ids]


def greedy(folder, prompt, count):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = model.generate(torch.tensor([prompt]), max_new_tokens=count, do_sample=False)
    return ids[0, len(prompt) :].tolist()


def test_an_answer_comes_step_by_step_and_is_the_models_own(engine, tiny_llama):
    heard = events(engine, Request(id=1, prompt_ids=PROMPT, max_tokens=12))
    *tokens, done = heard
    assert ids_of(heard) == greedy(tiny_llama, PROMPT, 12)
    assert all(len(one.ids) == 1 for one in tokens)
    assert isinstance(done, Done)
    assert (done.tokens, done.end) == (len(tokens), "eos" if ids_of(heard)[-1] == 2 else "length")
    assert done.queue_ns >= 0


def test_it_says_what_it_serves(engine, tiny_llama):
    info = engine.info
    assert (info.model, info.variant) == (str(tiny_llama), "fp32")
    assert (info.context, info.max_len, info.max_rows, info.vocabulary) == (64, 64, 3, 64)
    assert (info.eos_ids, info.chat_template, info.batching) == ([2], None, "in flight")
    assert info.facts["parameters"] > 0


def test_requests_of_many_kinds_at_once_are_all_answered(engine):
    asked = [
        Request(id=i, prompt_ids=PROMPT[: 1 + i % 4], max_tokens=6 + i % 7, **kind)
        for i, kind in enumerate(
            [
                {},
                {"temperature": 1.0, "seed": 1},
                {"logprobs": 3},
                {"prompt_logprobs": 0},
                {"temperature": 0.5, "top_p": 0.5, "logprobs": 0, "prompt_logprobs": 2},
                {"ignore_eos": True, "min_tokens": 6},
                {"logit_bias": {9: 5.0}, "repetition_penalty": 1.3},
                {"presence_penalty": 1.0, "frequency_penalty": 1.0, "stop_token_ids": [8]},
            ]
            * 3
        )
    ]
    heard = events(engine, *asked)
    done = [one for one in heard if isinstance(one, Done)]
    assert sorted(one.id for one in done) == list(range(len(asked)))
    for one in done:
        assert len(ids_of(heard, one.id)) == one.tokens >= 1
    for request in asked:
        told = [one for one in heard if isinstance(one, Prompt) and one.id == request.id]
        assert len(told) == (request.prompt_logprobs is not None)
        assert all(len(one.scored) == len(request.prompt_ids) - 1 for one in told)
    state = engine.state
    assert (state.running, state.waiting, state.cache_use) == (0, 0, 0.0)


def test_one_that_is_given_up_is_done_and_the_others_go_on(engine):
    long = Request(id=1, prompt_ids=PROMPT, max_tokens=60, ignore_eos=True)
    waiting = [Request(id=i, prompt_ids=PROMPT, max_tokens=50, ignore_eos=True) for i in (2, 3, 4)]
    scoring = Request(id=5, prompt_ids=PROMPT, max_tokens=50, prompt_logprobs=0)
    for request in (long, *waiting, scoring):
        engine.submit(request)
    for request_id in (1, 4, 5, 99):
        engine.cancel(request_id)
    heard = events(engine)
    ends = {one.id: one.end for one in heard if isinstance(one, Done)}
    assert ends == {1: "cancelled", 2: "length", 3: "length", 4: "cancelled", 5: "cancelled"}
    engine.cancel(1)  # it is over: nobody minds
    assert ids_of(events(engine, Request(id=1, prompt_ids=PROMPT, max_tokens=2)))


REFUSED = [
    ({"prompt_ids": []}, "prompt"),
    ({"prompt_ids": [64]}, "prompt"),
    ({"prompt_ids": [-1]}, "prompt"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 61}, "max_tokens"),
    ({"min_tokens": 9}, "min_tokens"),
    ({"temperature": -1.0}, "temperature"),
    ({"temperature": float("nan")}, "temperature"),
    ({"top_p": 0.0}, "top_p"),
    ({"top_p": 1.5}, "top_p"),
    ({"repetition_penalty": 0.0}, "repetition_penalty"),
    ({"presence_penalty": 3.0}, "presence_penalty"),
    ({"frequency_penalty": float("inf")}, "frequency_penalty"),
    ({"logit_bias": {64: 1.0}}, "logit_bias"),
    ({"logit_bias": {3: float("inf")}}, "logit_bias"),
    ({"stop_token_ids": [1000]}, "stop_token_ids"),
    ({"logprobs": -1}, "logprobs"),
    ({"prompt_logprobs": 65}, "prompt_logprobs"),
    ({"seed": 2**64}, ""),
    ({"prompt_ids": [5, 2**70]}, ""),
]


@pytest.mark.parametrize(("changed", "parameter"), REFUSED, ids=str)
def test_what_cannot_be_answered_is_refused_with_the_field_to_blame(engine, changed, parameter):
    given = {"id": 1, "prompt_ids": PROMPT, "max_tokens": 8} | changed
    (refused,) = events(engine, Request(**given))
    assert isinstance(refused, Refused)
    assert refused.parameter == parameter
    assert refused.reason.endswith(".")


def test_a_prompt_that_is_too_long_is_refused_with_both_numbers(engine):
    (refused,) = events(engine, Request(id=1, prompt_ids=[5] * 60, max_tokens=5))
    assert refused.reason == (
        "The prompt has 60 tokens and the answer may have 5, which makes 65;"
        " the longest text here has 64 tokens."
    )


def test_a_prompt_alone_may_be_asked_about(engine):
    prompt, done = events(engine, Request(id=1, prompt_ids=PROMPT, max_tokens=0, prompt_logprobs=1))
    assert [one.token for one in prompt.scored] == PROMPT[1:]
    assert (done.end, done.tokens) == ("length", 0)


def test_an_asyncio_loop_hears_each_event(engine):
    async def main():
        heard, over = [], asyncio.Event()

        def hear(event):
            heard.append(event)
            if not engine.open_requests:
                over.set()

        engine.attach(asyncio.get_running_loop(), hear, pytest.fail)
        for i in range(5):  # more than a socket takes at once
            engine.submit(Request(id=i, prompt_ids=[5] * 50_000, max_tokens=1))
        engine.submit(Request(id=9, prompt_ids=PROMPT, max_tokens=3, ignore_eos=True))
        await asyncio.wait_for(over.wait(), PATIENCE_S)
        engine.detach()
        return heard

    heard = asyncio.run(main())
    assert sum(isinstance(one, Refused) for one in heard) == 5
    assert len(ids_of(heard, 9)) == 3


def killed(engine):
    os.kill(engine.pid, signal.SIGKILL)


def broken(engine):
    engine._unsent += b"\x01\x00\x00\x00\xc1"  # no message
    engine.flush()


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (killed, r"was killed by SIGKILL \(out of memory\?\)"),
        (broken, "ended with exit code 4, last words: DecodeError: .* See engine.log"),
    ],
)
def test_a_process_that_dies_says_so_to_whoever_reads(tiny_llama, tmp_path, ended, words):
    engine = Engine(Options(path=str(tiny_llama)), tmp_path / "engine.log", ENV)
    engine.submit(Request(id=1, prompt_ids=PROMPT, max_tokens=59, ignore_eos=True))
    ended(engine)
    with pytest.raises(RunBroke, match=words):
        events(engine, *(Request(id=i, prompt_ids=PROMPT, max_tokens=60) for i in range(2, 99)))
    engine.submit(Request(id=2, prompt_ids=PROMPT, max_tokens=1))  # nobody minds
    with pytest.raises(RunBroke, match=words):
        engine.read()
    engine.close()
    assert not psutil.pid_exists(engine.pid)


def test_settings_that_do_not_go_together_are_bad_input(tiny_llama, tmp_path):
    options = Options(path=str(tiny_llama), adapter=str(tmp_path))
    with pytest.raises(BadInput, match="variant fp32 takes none"):
        Engine(options, tmp_path / "engine.log", ENV)
