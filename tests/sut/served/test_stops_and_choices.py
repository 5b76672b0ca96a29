"""What a task asks of a server beyond answers: to stop at given texts, and how likely given
continuations are.
"""

from __future__ import annotations

import json
import math

import pytest

from harness.engine.recorder import Recorder
from harness.kernel.clock import RealClock
from harness.kernel.errors import RunBroke
from harness.kernel.types import Sample
from sut.prompts.continuing import Pair
from sut.served.address import address
from sut.served.choices import Choices
from sut.served.served import Served
from tests.harness.serve.fake import EOS, FakeEngine, byte_tokenizer, serving
from tests.likelihood_server import answering
from tests.prompt_helpers import harness

PAIRS = [
    Pair([1, 5, 6, 7], [8]),
    Pair([1, 5, 6, 7], [9, 10, 11]),
    Pair([1, 12], [13, 14]),
    Pair([1, 12], []),
    Pair([1, 12] * 20, [13] * 30),
]


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """The folder of the tokenizer that the served model has."""
    folder = tmp_path_factory.mktemp("words")
    byte_tokenizer().save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return folder


def directly(folder):
    """The losses of PAIRS in nats, by the model itself."""
    from transformers import AutoModelForCausalLM

    from sut.likelihood.answers import score_pairs

    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    return [score.nll_nats for score in score_pairs(model, PAIRS[:3])]


@pytest.mark.parametrize("way", ["prompt_logprobs", "ids", "texts"])
def test_likelihoods_are_the_models_own_however_a_server_tells_them(tiny_llama, way):
    with answering(tiny_llama, way=way, busy=1) as server:
        asked = Choices(address(server.url, "", "", True), "tiny", 64)
        losses = asked.losses(PAIRS)
        again = asked.losses(PAIRS[:1])
    assert losses[:3] == pytest.approx(directly(tiny_llama), rel=1e-5)
    assert losses[3:] == [math.inf, math.inf]
    assert again == pytest.approx(losses[:1])


def test_a_server_that_tells_only_what_it_writes_is_asked_once(tiny_llama):
    with answering(tiny_llama, way="none") as server:
        asked = Choices(address(server.url, "", "", True), "tiny", 64)
        assert asked.losses(PAIRS) is None
        count = len(server.bodies)
        assert asked.losses(PAIRS) is None
        assert len(server.bodies) == count


def test_a_server_that_breaks_between_is_told_in_its_words(tiny_llama):
    with answering(tiny_llama, answers_before_it_breaks=1) as server:
        asked = Choices(address(server.url, "", "", True), "tiny", 64)
        with pytest.raises(RunBroke, match="out of memory"):
            asked.losses(PAIRS)


def loaded(url, samples, **options):
    clock = RealClock()
    sut = Served(clock, base_url=url, connections=1, **options)
    sut.load(samples, Recorder(clock))
    return sut


@pytest.mark.parametrize("has_words", [True, False])
def test_choices_go_as_ids_where_the_tokenizer_is_known(words, has_words):
    samples = [Sample(3, "Is it so? ", is_plain=True, max_new_tokens=4)]
    with serving(FakeEngine()) as client:
        url = f"http://{client.host}:{client.port}/v1"
        sut = loaded(url, samples, tokenizer=str(words) if has_words else None)
        try:
            found = sut.choose([(3, ["yes", "né", "x" * 2000])])
        finally:
            sut.close()
    if has_words:  # each byte a token, the space of the prompt among them; 1.5 nats each
        assert found == [(3, [6.0, 6.0, math.inf], [4, 4, 2001])]
    else:
        assert found is None


QUESTION = {"question": "What is two and two?", "answer": "2 + 2 = 4\n#### 4"}
ANSWER = " 2 + 2 = 4, né.\n#### 4\n\nQuestion: What is"


def run(client, place, *more):
    file = place / "questions.jsonl"
    file.write_text("".join(json.dumps(QUESTION | {"question": f"{i}?"}) + "\n" for i in range(3)))
    url = f"http://{client.host}:{client.port}/v1"
    done = harness(
        "run", "--scenario", "offline", "--mode", "accuracy", "--base-url", url, "--task",
        f"gsm8k:{file}", "--shots", 0, "--max-new-tokens", 64, "--output-dir", place / "runs",
        "--warmup", 0, "--json", *more,
    )  # fmt: skip
    assert done.exit_code in (0, 1), done.output
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("has_words", [True, False])
def test_answers_of_a_server_end_at_the_stops_of_the_task(words, tmp_path, has_words):
    """Its ids hold the stop text, its own text does not: both are the answer, and no rule minds."""
    more = ("--tokenizer", words) if has_words else ()
    with serving(FakeEngine(answer=[*ANSWER.encode(), EOS], step_s=0.002)) as client:
        found = run(client, tmp_path, *more)
        asked = client.engine.asked[-3:]
        cancelled = set(client.engine.cancelled)
    rules = {row["rule"]: row["status"] for row in found["verdicts"]}
    of_answers = ("samples_complete", "token_count", "length_limit", "not_empty", "first_token")
    assert {rules[name] for name in of_answers} == {"PASS"}
    assert (rules["text"], rules["eos"]) == (("PASS", "PASS") if has_words else ("SKIPPED",) * 2)
    assert found["served"]["endpoint"] == "completions", "a task is no chat"
    assert {one.id for one in asked} <= cancelled
    assert {row["what"]: row["found"] for row in found["served"]["does"]}["stop texts"] == "yes"
    tokens = len(ANSWER[: ANSWER.find("Question:") + len("Question:")].encode())
    assert found["counts"]["tokens"] == 3 * tokens
    scores = found["task"]["scores"]["number"]
    assert (scores["right"], scores["n"]) == (3, 3)
