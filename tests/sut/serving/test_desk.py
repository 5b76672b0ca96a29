"""What becomes of requests, without a process: log-probabilities of prompts beside the losses that
`harness perplexity` reports, and logits that are no numbers.
"""

from __future__ import annotations

from itertools import count

import pytest

from harness.kernel.clock import RealClock
from harness.kernel.errors import BadInput, SetupFailed
from sut.likelihood.scoring import Text, token_scores
from sut.serving.desk import Desk
from sut.serving.messages import Done, Options, Prompt, Request, Tokens
from sut.serving.model import ServedModel, _length

PROMPTS = [[5, 7], [9], [11, 12, 30, 5, 7, 9, 21], [i % 60 for i in range(3, 60)]]


@pytest.fixture(params=["tiny_llama", "tiny_gpt2", "tiny_mamba"])
def served(request):
    folder = request.getfixturevalue(request.param)
    return ServedModel(RealClock(), Options(path=str(folder), device="cpu", max_batch=3))


def answered(desk, *requests):
    """Return what was heard of each request."""
    for request in requests:
        desk.ask(request)
    while desk.busy:
        desk.step()
    heard = {request.id: [] for request in requests}
    for event in desk.take():
        heard[event.id].append(event)
    return heard


def asked(**wanted):
    return [Request(id=i, prompt_ids=ids, **wanted) for i, ids in enumerate(PROMPTS)]


def test_prompts_are_scored_as_perplexity_scores_texts(served):
    texts = [Text(ids) for ids in PROMPTS]
    losses = {i: scores for i, scores in token_scores(served._model, texts)}
    desk = Desk(served, count().__next__)
    for i, (prompt, done) in answered(desk, *asked(max_tokens=0, prompt_logprobs=1)).items():
        assert isinstance(prompt, Prompt)
        assert done.end == "length"
        assert [one.token for one in prompt.scored] == PROMPTS[i][1:]
        if i not in losses:  # a single token: nothing is predicted
            assert prompt.scored == []
            continue
        assert [-one.logprob for one in prompt.scored] == pytest.approx(
            losses[i].nll_nats.tolist(), rel=1e-6
        )
        assert [one.rank == 1 for one in prompt.scored] == losses[i].correct.tolist()


def test_the_token_after_a_scored_prompt_is_the_engines_own(served):
    desk = Desk(served, count().__next__)
    plain = answered(desk, *asked(max_tokens=1, logprobs=2))
    scored = answered(desk, *asked(max_tokens=1, logprobs=2, prompt_logprobs=0))
    longer = answered(desk, *asked(max_tokens=2, logprobs=2, prompt_logprobs=0))
    for i in range(len(PROMPTS)):
        (first, done), (_, alone, end), (_, among, *_) = plain[i], scored[i], longer[i]
        assert alone.ids == first.ids == among.ids
        assert (done.end, done.tokens) == (end.end, end.tokens)
        assert alone.scored[0].top_ids == first.scored[0].top_ids
        assert alone.scored[0].logprob == pytest.approx(first.scored[0].logprob, rel=1e-5)


def test_a_prompt_whose_logits_are_no_numbers_leaves_the_others_alone(tiny_llama):
    served = ServedModel(RealClock(), Options(path=str(tiny_llama), device="cpu"))
    served._model.get_input_embeddings().weight.data[30] = float("nan")
    desk = Desk(served, count().__next__)
    heard = answered(desk, *asked(max_tokens=1, prompt_logprobs=0))
    ends = {i: events[-1].end for i, events in heard.items()}
    assert {i for i, end in ends.items() if end == "error"} == {2, 3}
    assert not any(isinstance(event, Tokens) for event in heard[2])


def test_the_order_of_events_is_prompt_tokens_done(served):
    desk = Desk(served, count().__next__)
    for events in answered(desk, *asked(max_tokens=4, prompt_logprobs=0, ignore_eos=True)).values():
        assert [type(event) for event in events] == [Prompt, Tokens, Tokens, Tokens, Tokens, Done]


def test_the_time_in_the_queue_is_told(tiny_llama):
    served = ServedModel(RealClock(), Options(path=str(tiny_llama), device="cpu", max_batch=1))
    desk = Desk(served, count(1000).__next__)
    first, second = [Request(id=i, prompt_ids=[5], max_tokens=3) for i in range(2)]
    heard = answered(desk, first, second)
    assert all(heard[i][-1].queue_ns > 0 for i in (0, 1))
    desk.ask(Request(id=3, prompt_ids=[5], max_tokens=3))
    desk.cancel(3)
    (done,) = desk.take()
    assert (done.end, done.tokens, done.queue_ns) == ("cancelled", 0, -1)


def test_how_full_it_is_is_told(tiny_llama):
    served = ServedModel(RealClock(), Options(path=str(tiny_llama), device="cpu", max_batch=2))
    desk = Desk(served, count().__next__)
    for i in range(3):
        desk.ask(Request(id=i, prompt_ids=[5] * 8, max_tokens=9, ignore_eos=True))
    assert desk.state().waiting == 3
    desk.step()
    state = desk.state()
    assert (state.running, state.waiting) == (2, 1)
    assert state.cache_use == 16 / 128


def test_a_model_that_cannot_be_loaded_is_a_setup_failure(tmp_path):
    with pytest.raises(SetupFailed):
        ServedModel(RealClock(), Options(path=str(tmp_path)))


@pytest.mark.parametrize(
    ("asked_for", "context", "served_length"),
    [(None, 64, 64), (None, None, 2048), (None, 131_072, 2048), (100, 64, 64), (100, 8192, 100)],
)
def test_the_longest_text_is_the_contexts_or_what_is_asked_for(asked_for, context, served_length):
    assert _length(asked_for, context) == served_length


def test_a_text_of_one_token_has_no_room_for_an_answer():
    with pytest.raises(BadInput, match="2 at least"):
        _length(1, 64)
