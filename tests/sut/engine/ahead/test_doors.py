"""Stepping ahead through the doors that users take, a run and a server; a CPU plays the device."""

from __future__ import annotations

from itertools import count

import pytest

from harness.kernel.clock import RealClock
from sut.engine.ahead import stepping
from sut.serving.desk import Desk
from sut.serving.messages import Options, Request
from sut.serving.model import ServedModel
from tests.sut.engine.test_slots import PROMPTS
from tests.sut.serving.test_desk import answered
from tests.sut.test_local_model import answer, one_at_a_time


@pytest.fixture
def ahead(monkeypatch):
    def tried(engine, runner, model):
        return stepping.ahead_if_same(runner, model.device, [[5, 7], [9]])

    monkeypatch.setattr(stepping, "tried", tried)


@pytest.mark.parametrize("max_batch", [1, 8])
def test_a_run_that_steps_ahead_answers_as_generate_does_and_says_so(tiny_llama, ahead, max_batch):
    log, sut = answer(tiny_llama, max_batch=max_batch)
    assert log.end == "completed"
    assert [log.record(i).token_ids.tolist() for i in range(len(log))] == list(one_at_a_time(sut))
    assert sut.facts()["stepping"] == "ahead"
    for i in range(len(log)):
        record = log.record(i)
        assert record.reported_tokens == len(record.token_ids) == len(record.chunk_ns)
        assert (record.chunk_ns[1:] > record.chunk_ns[:-1]).all()


def test_on_a_cpu_steps_go_in_turn(tiny_llama):
    _, sut = answer(tiny_llama)
    assert sut.facts()["stepping"] == "in turn"


def requests():
    return [
        Request(id=0, prompt_ids=PROMPTS[0], max_tokens=9, logprobs=2, ignore_eos=True),
        Request(id=1, prompt_ids=PROMPTS[1], max_tokens=12, temperature=1.0, seed=5, top_p=0.9),
        Request(id=2, prompt_ids=PROMPTS[2], max_tokens=7, frequency_penalty=1.0),
        Request(id=3, prompt_ids=PROMPTS[3], max_tokens=5, prompt_logprobs=1),
        Request(id=4, prompt_ids=PROMPTS[2], max_tokens=20, min_tokens=6, logit_bias={7: 2.0}),
    ]


def said(events):
    """Return what a client reads, without times in the queue."""
    heard = {"ids": [], "end": None}
    for event in events:
        heard["ids"] += getattr(event, "ids", [])
        heard["end"] = getattr(event, "end", heard["end"])
        heard.setdefault("ranks", []).extend(one.rank for one in getattr(event, "scored", []))
    return heard


def test_a_server_that_steps_ahead_says_what_it_said(tiny_llama, monkeypatch, request):
    options = Options(path=str(tiny_llama), device="cpu", max_batch=3)
    plain = answered(Desk(ServedModel(RealClock(), options), count().__next__), *requests())
    request.getfixturevalue("ahead")
    served = ServedModel(RealClock(), options)
    assert served.info().facts["stepping"] == "ahead"
    heard = answered(Desk(served, count().__next__), *requests())
    assert {i: said(events) for i, events in heard.items()} == {
        i: said(events) for i, events in plain.items()
    }


def test_a_request_that_is_cancelled_is_done_at_once_and_its_row_is_free(tiny_llama, ahead):
    served = ServedModel(RealClock(), Options(path=str(tiny_llama), device="cpu", max_batch=1))
    desk = Desk(served, count().__next__)
    for i in range(2):
        one = Request(id=i, prompt_ids=PROMPTS[i], max_tokens=30, ignore_eos=True, logprobs=1)
        desk.ask(one)
    for _ in range(3):
        desk.step()
    desk.take()
    desk.cancel(0)
    assert [(event.id, event.end) for event in desk.take()] == [(0, "cancelled")]
    while desk.busy:
        desk.step()
    assert {event.id for event in desk.take()} == {1}
    assert desk.state().running == 0
