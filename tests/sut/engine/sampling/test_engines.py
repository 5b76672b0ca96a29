"""Requests with settings of their own in one batch with greedy ones: nobody's answer depends on the
others.
"""

from __future__ import annotations

import pytest
import torch

from sut.engine.batching import Engine, Request, StaticEngine
from sut.engine.sampling.engines import asking
from sut.engine.sampling.wanted import Asking, Wanted
from sut.engine.slots import SlotRunner
from sut.engine.static import StaticRunner
from tests.sut.engine.test_slots import PROMPTS, Answers, served, tiny

ROWS, LENGTH = 3, 64


class Heard(Answers):
    def __init__(self):
        super().__init__()
        self.thoughts, self.finishes, self.begun = {}, {}, []

    def begins(self, sample_id):
        self.begun.append(sample_id)

    def thought(self, sample_id, thought):
        self.thoughts.setdefault(sample_id, []).append(thought)

    def complete(self, output):
        super().complete(output)
        self.finishes[output.sample_id] = output.finish


def in_flight(model):
    return Engine, SlotRunner(model, ROWS, LENGTH)


def in_static_batches(model):
    return StaticEngine, StaticRunner(model, ROWS, LENGTH, pad_id=0)


KINDS = pytest.mark.parametrize("kind", [in_flight, in_static_batches])


def answered(kind, model, wanted, limit=20, eos_ids=(), **options):
    """Serve PROMPTS, each as `wanted` says of its number; return what was heard."""
    engine_of, runner = kind(model)
    heard = Heard()
    engine = asking(engine_of)(runner, heard, eos_ids, **options)
    for i, prompt in enumerate(PROMPTS):
        engine.add(Asking(i, prompt, limit - 3 * i, wanted.get(i, Wanted())))
    while engine.busy:
        engine.step()
    return heard


@KINDS
def test_greedy_answers_are_those_of_the_plain_engine_whoever_shares_the_batch(kind):
    model = tiny("llama")
    plain = served(*kind(model))
    mixed = answered(kind, model, {1: Wanted(temperature=1.0, seed=3), 2: Wanted(logprobs=2)})
    assert [mixed[i] for i in (0, 2, 3)] == [plain[i] for i in (0, 2, 3)]
    assert mixed[1] != plain[1]


@KINDS
def test_a_drawn_answer_is_its_seeds_whoever_shares_the_batch(kind):
    model = tiny("llama")
    wanted = Wanted(temperature=1.0, seed=3, top_p=0.9)
    among_greedy = answered(kind, model, {1: wanted})
    among_drawn = answered(kind, model, dict.fromkeys(range(4), wanted))
    assert among_greedy[1] == among_drawn[1]


@KINDS
@torch.inference_mode()
def test_log_probabilities_are_those_of_the_models_own_pass(kind):
    model = tiny("llama")
    heard = answered(kind, model, {1: Wanted(logprobs=3), 3: Wanted(temperature=1.0, logprobs=0)})
    assert set(heard.thoughts) == {1, 3}
    for i, count in ((1, 3), (3, 0)):
        text = torch.tensor([[*PROMPTS[i], *heard[i]]])
        own = model(input_ids=text, use_cache=False).logits[0, len(PROMPTS[i]) - 1 : -1]
        own = own.float().log_softmax(-1)
        assert len(heard.thoughts[i]) == len(own)
        for thought, token, row in zip(heard.thoughts[i], heard[i], own, strict=True):
            assert thought.token == token
            assert thought.logprob == pytest.approx(float(row[token]), rel=1e-4, abs=1e-5)
            assert thought.top_ids == row.topk(count).indices.tolist()


def test_a_prompt_in_pieces_draws_once():
    model = tiny("llama")
    wanted = {i: Wanted(temperature=1.0, seed=i, logprobs=1) for i in range(4)}
    whole = answered(in_flight, model, wanted)
    pieces = answered(in_flight, model, wanted, prefill_tokens=7)
    assert whole == pieces
    assert pieces.begun == [0, 1, 2, 3]
    assert {i: len(told) for i, told in pieces.thoughts.items()} == {0: 20, 1: 17, 2: 14, 3: 11}


@KINDS
def test_an_answer_ends_where_its_own_request_says(kind):
    model = tiny("llama")
    answer = served(*kind(model))[0]
    end = answer[4]
    first = answer.index(end) + 1
    wanted = {0: Wanted(ends={end}), 1: Wanted(ends={63})}
    heard = answered(kind, model, wanted, eos_ids={end})
    assert heard[0] == answer[:first]
    assert heard.finishes[0] == "eos"
    assert heard.finishes[1] == "length"
    assert answered(kind, model, wanted).finishes[0] == "stop"


def test_an_end_that_is_too_early_is_passed_over_by_a_greedy_request():
    model = tiny("llama")
    answer = served(*in_flight(model))[0]
    heard = answered(in_flight, model, {0: Wanted(ends={answer[0]}, min_tokens=5)})
    assert answer[0] not in heard[0][:5]


class Broken(SlotRunner):
    """Of whose second row no logit is a number, from the third step on."""

    steps = 0

    def decode_logits(self, tokens, positions):
        logits = super().decode_logits(tokens, positions).clone()
        self.steps += 1
        if self.steps == 3:
            logits[1] = torch.nan
        return logits


@pytest.mark.parametrize("wanted", [Wanted(), Wanted(temperature=1.0), Wanted(logprobs=1)])
def test_logits_that_are_no_numbers_end_their_own_request_alone(wanted):
    model = tiny("llama")
    plain = served(*in_flight(model))
    heard = Heard()
    heard.complete = lambda output: heard.finishes.update({output.sample_id: output.finish})
    engine = asking(Engine)(Broken(model, ROWS, LENGTH), heard, ())
    for i, prompt in enumerate(PROMPTS):
        engine.add(Asking(i, prompt, 20 - 3 * i, wanted if i == 1 else Wanted()))
    while engine.busy:
        engine.step()
    assert heard.finishes == {0: "length", 1: "error", 2: "length", 3: "length"}
    assert [heard[i] for i in (0, 2, 3)] == [plain[i] for i in (0, 2, 3)]


@KINDS
@pytest.mark.parametrize("given_up", [0, 1, 2, 3])
@pytest.mark.parametrize("after", [0, 2, 6])
def test_a_request_that_is_given_up_changes_nobody_elses_answer(kind, given_up, after):
    model = tiny("llama")
    plain = served(*kind(model))
    engine_of, runner = kind(model)
    options = {"prefill_tokens": 7} if engine_of is Engine else {}
    heard = Heard()
    engine = engine_of(runner, heard, (), **options)
    requests = [Request(i, prompt, 20 - 3 * i) for i, prompt in enumerate(PROMPTS)]
    for request in requests:
        engine.add(request)
    for _ in range(after):
        engine.step()
    engine.drop(requests[given_up])
    while engine.busy:
        engine.step()
    assert given_up not in heard.finishes
    others = [i for i in range(4) if i != given_up]
    assert [heard[i] for i in others] == [plain[i] for i in others]


def test_a_row_that_is_given_up_is_free_at_the_next_step():
    heard = Heard()
    engine = Engine(SlotRunner(tiny("llama"), 1, LENGTH), heard, ())
    first, second = Request(0, PROMPTS[0], 50), Request(1, PROMPTS[1], 5)
    engine.add(first)
    engine.add(second)
    engine.step()
    assert (engine.num_running, engine.num_waiting, engine.num_held) == (1, 1, len(PROMPTS[0]))
    engine.drop(first)
    assert (engine.num_running, engine.num_held) == (0, 0)
    engine.step()
    assert heard[1]
