"""Is the text that is told piece by piece the text of all ids, and does it end where it must?"""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.serve.telling.text import Stops, Text
from sut.prompts.words import Words
from tests.harness.serve.fake import byte_tokenizer

FEW = settings(max_examples=50, deadline=None)


@pytest.fixture(scope="module")
def words():
    return Words(byte_tokenizer())


@pytest.fixture(scope="module")
def fallback():
    """A tokenizer of the kind of Llama 2: words with the space in front, and bytes for the rest."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces = ["<unk>", "</s>", "▁a", "▁bc", "d", *(f"<0x{byte:02X}>" for byte in range(256))]
    scores = [(piece, -float(place)) for place, piece in enumerate(pieces)]
    made = Tokenizer(models.Unigram(scores, unk_id=0, byte_fallback=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    made.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)])
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", eos_token="</s>")


def told(decode, ids, sizes, prompt=()):
    text, parts, start = Text(decode, prompt), [], 0
    while start < len(ids):
        size = next(sizes, 1)
        parts.append(text.push(ids[start : start + size]))
        start += size
    return [*parts, text.end()]


@FEW
@example(text="0" + 4 * "\U00010000", sizes=[2, 4, 4, 4], prompt="")
@given(text=st.text(max_size=40), sizes=st.lists(st.integers(1, 5)), prompt=st.text(max_size=10))
def test_however_ids_come_their_text_is_told_whole(words, text, sizes, prompt):
    parts = told(words.text, [*text.encode()], iter(sizes), [*prompt.encode()])
    assert "".join(parts) == text


@FEW
@given(text=st.text("é日🙂x", max_size=40))
def test_no_half_letter_is_ever_told(words, text):
    assert not any("\ufffd" in part for part in told(words.text, [*text.encode()], iter(())))


@FEW
@given(ids=st.lists(st.integers(2, 4), max_size=30), text=st.text("é日🙂", max_size=8))
def test_spaces_and_bytes_of_a_llama_are_those_of_the_whole(fallback, ids, text):
    letters = fallback.convert_tokens_to_ids([f"<0x{byte:02X}>" for byte in text.encode()])
    answer, words = [*ids, *letters, *ids], Words(fallback)
    whole = words.text([2, *answer])
    assert "".join(told(words.text, answer, iter(()), [2])) == whole.removeprefix("a")


@FEW
@given(ids=st.lists(st.sampled_from([1, 2, 3]), max_size=40))
def test_special_tokens_take_no_space_with_them(fallback, ids):
    words = Words(fallback)
    whole = words.text([2, *ids])
    assert "".join(told(words.text, ids, iter(()), [2])) == whole.removeprefix("a")


def test_bytes_that_are_no_text_do_not_wait_for_ever(words):
    parts = told(words.text, [0xFF] * 100, iter(()))
    assert any(parts[:20])
    assert "".join(parts) == "\ufffd" * 100


@FEW
@given(
    text=st.text("ab", max_size=30),
    strings=st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3),
    sizes=st.lists(st.integers(1, 6)),
)
def test_the_first_stop_string_ends_the_text_however_it_comes(text, strings, sizes):
    stops, out, start, each = Stops(strings), "", 0, iter(sizes)
    while start < len(text) and stops.found is None:
        size = next(each, 1)
        out += stops.push(text[start : start + size])
        start += size
    if stops.found is None:
        out += stops.end()
    ends = [(text.find(one) + len(one), -len(one)) for one in strings if one in text]
    end, length = min(ends, default=(len(text), 0))
    assert out == text[: end + length]
    assert (stops.found is None) == (not ends)


def test_a_token_has_bytes_even_where_it_has_no_text(words, fallback):
    assert words.bytes(0xC3) == b"\xc3"
    assert words.name(0xC3) == "bytes:\\xc3"
    llama = Words(fallback)
    assert llama.token(fallback.convert_tokens_to_ids("▁a")) == " a"
    assert llama.bytes(fallback.convert_tokens_to_ids("<0xC3>")) == b"\xc3"
