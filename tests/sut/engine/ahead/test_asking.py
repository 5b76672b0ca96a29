"""Requests with settings of their own on a device that nobody waits for: token for token, and
thought for thought, what the plain engine makes of them.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sut.engine.ahead.asking import asking
from sut.engine.ahead.engine import AheadEngine
from sut.engine.ahead.launcher import Launcher
from sut.engine.ahead.plan import Plan, drawn
from sut.engine.batching import Engine
from sut.engine.sampling import engines
from sut.engine.sampling.draw import draw
from sut.engine.sampling.wanted import Asking, Wanted
from sut.engine.slots import SlotRunner
from tests.sut.engine.ahead.test_launcher import CPU, NO_DEVICE
from tests.sut.engine.ahead.traffic import Traffic
from tests.sut.engine.sampling.test_engines import LENGTH, ROWS, Broken, Heard
from tests.sut.engine.test_slots import PROMPTS, tiny

MODEL = tiny("llama")
LIMITS = (14, 11, 9, 7)
SETTINGS = [
    {},
    {1: Wanted(temperature=1.0, seed=3)},
    {i: Wanted(temperature=0.7 + i, seed=i, top_k=5, top_p=0.8) for i in range(4)},
    {0: Wanted(temperature=1.0, seed=1, top_p=0.9), 3: Wanted(temperature=2.0, seed=2, top_k=3)},
    {1: Wanted(logprobs=3), 3: Wanted(temperature=1.0, seed=9, logprobs=0)},
    {0: Wanted(logit_bias={7: 100.0}), 2: Wanted(temperature=1.0, seed=4, logit_bias={9: -100.0})},
    {0: Wanted(ends={5, 9, 11, 60}, min_tokens=6), 1: Wanted(ends={3}, logprobs=1)},
    {1: Wanted(frequency_penalty=1.5), 2: Wanted(temperature=1.0, seed=5, logprobs=2)},
    {3: Wanted(repetition_penalty=1.3, temperature=1.0, seed=6), 0: Wanted(logprobs=1)},
    {i: Wanted(presence_penalty=1.0) for i in range(4)},
]


def heard_of(engine, wanted, eos_ids=(), limits=LIMITS, drops=()):
    heard = Heard()
    engine._sink = heard
    engine._eos_ids = frozenset(eos_ids)
    requests = [Asking(i, p, limits[i], wanted.get(i, Wanted())) for i, p in enumerate(PROMPTS)]
    for request in requests:
        engine.add(request)
    steps = 0
    while engine.busy:
        for i, after in drops:
            if after == steps:
                engine.drop(requests[i])
        engine.step()
        steps += 1
    return heard


def plain(prefill_tokens=512):
    return engines.asking(Engine)(SlotRunner(MODEL, ROWS, LENGTH), Heard(), (), prefill_tokens)


def ahead(prefill_tokens=512):
    runner = Launcher(SlotRunner(MODEL, ROWS, LENGTH), CPU)
    return asking(AheadEngine)(runner, Heard(), (), prefill_tokens)


@pytest.mark.parametrize("prefill_tokens", [7, 512])
@pytest.mark.parametrize("wanted", SETTINGS)
def test_answers_and_thoughts_are_those_of_the_plain_engine(wanted, prefill_tokens):
    expected = heard_of(plain(prefill_tokens), wanted)
    found = heard_of(ahead(prefill_tokens), wanted)
    assert found == expected
    assert found.finishes == expected.finishes
    assert found.begun == expected.begun
    assert found.thoughts.keys() == expected.thoughts.keys()
    for i, told in expected.thoughts.items():
        assert [(t.token, t.rank, t.top_ids) for t in found.thoughts[i]] == [
            (t.token, t.rank, t.top_ids) for t in told
        ]
        for one, other in zip(found.thoughts[i], told, strict=True):
            assert one.logprob == pytest.approx(other.logprob, rel=1e-4, abs=1e-5)
            assert one.top_logprobs == pytest.approx(other.top_logprobs, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("given_up", [0, 1, 2, 3])
@pytest.mark.parametrize("after", [0, 1, 2, 6])
def test_a_request_that_is_given_up_leaves_no_thought_and_changes_no_other_answer(given_up, after):
    wanted = {i: Wanted(temperature=1.0, seed=i, logprobs=1) for i in range(4)}
    expected = heard_of(plain(), wanted)
    found = heard_of(ahead(), wanted, drops=[(given_up, after)])
    assert given_up not in found.finishes
    assert [found[i] for i in range(4) if i != given_up] == [
        expected[i] for i in range(4) if i != given_up
    ]
    assert len(found.thoughts.get(given_up, [])) == len(found.get(given_up, []))


@pytest.mark.parametrize("wanted", [Wanted(), Wanted(temperature=1.0), Wanted(logprobs=1)])
def test_logits_that_are_no_numbers_end_their_own_request_alone(wanted):
    class BrokenOnTheDevice(Broken):
        def logits_at(self, ids, at, length):
            logits = SlotRunner.logits_at(self, ids, at, length).clone()
            self.steps += 1
            if self.steps == 3:
                logits[1] = torch.nan
            return logits

    expected = heard_of(plain(), {})
    engine = asking(AheadEngine)(Launcher(BrokenOnTheDevice(MODEL, ROWS, LENGTH), CPU), Heard(), ())
    heard = Heard()
    heard.complete = lambda output: heard.finishes.update({output.sample_id: output.finish})
    engine._sink = heard
    for i, prompt in enumerate(PROMPTS):
        engine.add(Asking(i, prompt, LIMITS[i], wanted if i == 1 else Wanted()))
    while engine.busy:
        engine.step()
    assert heard.finishes == {0: "length", 1: "error", 2: "length", 3: "length"}
    assert [heard[i] for i in (0, 2, 3)] == [expected[i] for i in (0, 2, 3)]


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.floats(0.1, 3.0),
            st.sampled_from([0, 1, 3, 50, 5000]),
            st.sampled_from([0.1, 0.5, 0.95, 1.0]),
        ),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, 10**6),
)
def test_a_draw_on_the_device_is_that_of_the_host(shapes, seed):
    logits = 3 * torch.randn((len(shapes), 1000), generator=torch.Generator().manual_seed(seed))

    def requests():
        return [
            Asking(i, [1], 5, Wanted(temperature=heat, top_k=top_k, top_p=top_p, seed=seed + i))
            for i, (heat, top_k, top_p) in enumerate(shapes)
        ]

    numbers = [float(request.random.random()) for request in requests()]
    assert drawn(logits, requests(), numbers).tolist() == draw(logits, requests())


@torch.inference_mode()
def test_a_plan_waits_for_nothing():
    wanted = [
        Wanted(temperature=1.0, top_p=0.9, logprobs=3),
        Wanted(temperature=1.0, top_k=4),
        Wanted(ends={3}, min_tokens=9, logit_bias={4: 1.0}),
    ]
    logits = torch.zeros((5, 100), device=NO_DEVICE)
    with Traffic() as traffic:
        plan = Plan([0, 2, 4], [Asking(i, [1], 9, one) for i, one in enumerate(wanted)])
        plan(logits)
    assert traffic.read == 0
    assert traffic.sent > 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@torch.inference_mode()
def test_on_a_gpu_draws_are_the_hosts_and_no_launch_waits():
    wanted = [
        Wanted(temperature=1.0, top_p=0.9, logprobs=3, seed=1),
        Wanted(temperature=1.0, top_k=4, seed=2),
        Wanted(temperature=0.8, seed=3, ends={3}, min_tokens=9, logit_bias={4: 1.0}),
    ]
    logits = torch.randn((3, 50_000), generator=torch.Generator().manual_seed(5)).cuda()

    def requests():
        return [Asking(i, [1], 9, one) for i, one in enumerate(wanted)]

    torch.cuda.set_sync_debug_mode("error")
    try:
        plan = Plan([0, 1, 2], requests())
        tokens = plan(logits).tokens
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert tokens.tolist() == engines.own_tokens(logits, requests())
