"""Does an answer end with the token that completes a stop text, in every engine, wherever tokens
and letters are cut?
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from accuracy.outputs.stops import cut
from harness.kernel.types import Sample
from sut.engine.ahead.engine import AheadEngine
from sut.engine.batching import Engine, Request, StaticEngine
from sut.engine.sampling.stops import START, Stops
from sut.stopping import stops_of
from tests.harness.serve.fake import byte_tokenizer
from tests.harness.serve.telling.test_text import fallback  # noqa: F401
from tests.prompt_helpers import model, tokenizer
from tests.sut.test_local_model import answer

EOS = 256  # of the tokenizer of bytes
LETTERS = "ab \né日🙂"
TEXTS = st.text(LETTERS, max_size=16)
STOPS = st.lists(st.text(LETTERS, min_size=1, max_size=4), min_size=1, max_size=3)
FEW = settings(max_examples=60, deadline=None)


class Script:
    """A runner, and a launcher, that says to each prompt (its number alone) what is written."""

    max_rows, max_len, packs = 3, 10**6, False

    def __init__(self, answers):
        self.answers, self.rows = answers, [(0, 0)] * 4  # (answer, tokens said)

    def prefill(self, first_row, pieces, start):
        for row, (number,) in enumerate(pieces, first_row):
            self.rows[row] = number, 0
        return [self._next(row) for row in range(first_row, first_row + len(pieces))]

    def decode(self, tokens, positions):
        return [self._next(row) for row in range(len(positions))]

    def move(self, source, target):
        self.rows[target] = self.rows[source]

    def _next(self, row):
        number, said = self.rows[row]
        self.rows[row] = number, said + 1
        return [*self.answers[number], *[EOS] * 99][said]

    def launch_prefill(self, first_row, pieces, start):
        return Known(self.prefill(first_row, pieces, start))

    def launch(self, positions):
        return Known(self.decode((), positions))


class Known(NamedTuple):
    chosen: list[int]

    def is_known(self):
        return False

    def tokens(self):
        return self.chosen


class Heard(dict):
    """(finish, ids) of each answer; what was streamed must be what came out."""

    def __init__(self):
        super().__init__()
        self.streamed = {}

    def first_token(self, sample_id, token):
        self.streamed[sample_id] = [token]

    def tokens(self, sample_id, ids):
        self.streamed[sample_id] += ids

    def complete(self, output):
        assert output.token_ids == self.streamed[output.sample_id]
        assert output.reported_tokens == len(output.token_ids)
        self[output.sample_id] = output.finish, list(output.token_ids)


def served(engine, words, answers, stops, limit=40):
    """What an engine makes of answers that go on; sample i stops at `stops[i]`."""
    samples = [Sample(i, "", stop=tuple(own)) for i, own in enumerate(stops)]
    known, heard = stops_of(samples, words), Heard()
    made = engine(Script(answers), heard, {EOS}, 512)
    for i in range(len(answers)):
        made.add(Request(i, [i], limit, stops=known.get(i)))
    while made.busy:
        made.step()
    return heard


def plainly(words, ids, stop, limit=40):
    """The same by decoding the whole answer after each token."""
    for count in range(1, len(ids) + 1):
        text = words.decode(ids[:count], skip_special_tokens=True)
        if ids[count - 1] == EOS:
            return "eos", ids[:count]
        if any(one in text for one in stop):
            return "stop", ids[:count]
        if count == limit:
            return "length", ids[:count]
    raise AssertionError("answers are longer than the limit")


BYTES = byte_tokenizer()
PAIRS = tokenizer()


@pytest.mark.parametrize("engine", [Engine, StaticEngine, AheadEngine])
@pytest.mark.parametrize("words", [BYTES, PAIRS], ids=["bytes", "pairs"])
@FEW
@example(texts=["a日\n\nb"], stops=[["\n\n"]])
@example(texts=["abab\n🙂"], stops=[["abb", "bab", "🙂"]])
@given(texts=st.lists(TEXTS, min_size=1, max_size=5), stops=st.lists(STOPS, min_size=5, max_size=5))
def test_answers_end_where_a_whole_decoding_would_end_them(engine, words, texts, stops):
    answers = [[*words(text, add_special_tokens=False)["input_ids"], EOS] for text in texts]
    heard = served(engine, words, answers, stops[: len(texts)])
    for i, ids in enumerate(answers):
        assert heard[i] == plainly(words, [*ids, *[EOS] * 40], stops[i])


@FEW
@given(ids=st.lists(st.integers(2, 4), min_size=1, max_size=12), text=st.text("é日", max_size=3))
def test_spaces_and_bytes_of_a_llama_are_followed(fallback, ids, text):  # noqa: F811
    letters = fallback.convert_tokens_to_ids([f"<0x{byte:02X}>" for byte in text.encode()])
    made = [*ids, *letters, *ids, *[EOS] * 40]
    for stop in (["a bc"], [" a"], ["日d", "é"], ["dd", "bcd"]):
        heard = served(Engine, fallback, [made], [stop])
        assert heard[0] == plainly(fallback, made, stop)


@FEW
@given(text=TEXTS, stop=STOPS)
def test_what_stands_before_the_stop_is_what_a_longer_answer_has_there(text, stop):
    ids = BYTES(text, add_special_tokens=False)["input_ids"]
    ((finish, came),) = served(Engine, BYTES, [[*ids, EOS]], [stop]).values()
    said = BYTES.decode(came, skip_special_tokens=True)
    assert cut(said, stop) == cut(text, stop)
    assert (finish == "stop") == any(one in text for one in stop)
    if finish == "stop":
        assert len(came) <= len(ids)


def test_a_special_token_stops_an_answer_that_names_it():
    words = tokenizer(added=("<turn>",))
    words.add_special_tokens({"additional_special_tokens": ["<turn>"]})
    ids = words("why<turn>is it", add_special_tokens=False)["input_ids"]
    ((finish, came),) = served(Engine, words, [[*ids, EOS]], [["<turn>"]]).values()
    assert finish == "stop"
    assert words.decode(came, skip_special_tokens=True) == "why"


def test_answers_that_must_be_filled_and_empty_texts_stop_nothing():
    sample = Sample(0, "", stop=("a",))
    assert list(stops_of([sample, replace(sample, index=1, stop=("",))], BYTES)) == [0]
    assert not stops_of([replace(sample, must_fill=True)], BYTES)


def test_a_token_costs_a_look_up_however_long_the_answer_is():
    """Nothing is decoded before an answer seems to stop, and no step is made twice."""
    steps, looks = [], []

    def bytes_of(token):
        steps.append(token)
        return bytes([token])

    stops = Stops(("ab\n", "b!"), bytes_of, lambda ids, texts: bool(looks.append(len(ids))))
    state, ids = START, []
    for token in b"abacab" * 500:
        ids.append(token)
        state, is_over = stops.after(state, ids)
        assert not is_over
    assert len(steps) <= 12  # pairs of a state and a token
    assert not looks
    stops.after(state, [*ids, *b"!"])
    assert looks == [3001]


# ---- a model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return model(tmp_path_factory.mktemp("stops") / "model", tokenizer())


PROMPTS = ["why is the sky blue?", "what is", "日本語 because of light", "a"]


def _within(text):
    """The longest run of plain letters, of four at most, behind the first part of a text."""
    runs = re.findall("[ -~]{1,4}", text[4:-4])
    return max(runs, key=len)


def test_a_model_stops_as_transformers_stops_it(folder):
    """Against `generate(stop_strings=...)`; a stop is drawn from the middle of each answer."""
    free, sut = answer(folder, PROMPTS, 40)
    net, words = sut._model, sut._tokenizer
    texts = [words.decode(free.record(i).token_ids, skip_special_tokens=True) for i in range(4)]
    stops = [_within(text) for text in texts]
    assert max(map(len, stops)) > 1
    samples = [
        Sample(i, p, max_new_tokens=40, stop=(stops[i], "never at all"))
        for i, p in enumerate(PROMPTS)
    ]
    log, _ = answer(folder, samples=samples)
    for i, prompt in enumerate(PROMPTS):
        ids = words(prompt, return_tensors="pt")["input_ids"]
        made = net.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=40, do_sample=False,
            pad_token_id=1, stop_strings=[stops[i], "never at all"], tokenizer=words,
        )  # fmt: skip
        theirs = made[0, ids.shape[1] :].tolist()
        ours = log.record(i)
        assert ours.token_ids.tolist() == theirs
        assert ours.finish == "stop"
        assert ours.reported_tokens == len(theirs) < 40
        text = words.decode(theirs, skip_special_tokens=True)
        assert cut(text, [stops[i]]) == texts[i][: texts[i].find(stops[i])]
