"""Which kind a token is, whatever the tokenizer does with spaces and whatever the text is."""

import re
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accuracy.likelihood.kinds import KINDS, kinds, sentence_numbers
from accuracy.metrics.sentences import sentences
from harness.kernel.errors import BadInput

PIECES = re.compile(r"\w+|\s+|[^\w\s]")
odd = st.text(
    st.sampled_from("aB1 \n.!?'’\"“-_é\u0301日本ñß\u200dİ\u0000\ud800😀٣Ⅷ:«") | st.characters(),
    max_size=40,
)


def told(text, pattern=PIECES):
    """[(token, kind)] of the pieces that the pattern finds."""
    spans = [match.span() for match in re.finditer(pattern, text)]
    found = kinds(text, *np.array(spans, np.int64).reshape(-1, 2).T)
    return [(text[a:b], KINDS[k]) for (a, b), k in zip(spans, found, strict=True)]


def of_kind(kind, text):
    return [token for token, k in told(text) if k == kind]


def test_each_kind():
    assert told("It is 42 km.\n") == [
        ("It", "word_start"), (" ", "space"), ("is", "word_start"), (" ", "space"),
        ("42", "number"), (" ", "space"), ("km", "word_start"), (".", "punctuation"),
        ("\n", "space"),
    ]  # fmt: skip


def test_pieces_of_a_word_are_inside_it():
    assert told("unbelievable", r".{1,5}") == [
        ("unbel", "word_start"),
        ("ievab", "word_inside"),
        ("le", "word_inside"),
    ]
    assert of_kind("word_inside", "don't they’re l'été") == ["t", "re", "été"]
    assert of_kind("word_inside", "well-known 'twas foo_bar") == []


def test_numbers_and_what_hangs_on_them():
    assert told("4th 3.14 x1 0xFF", r"\d+|[a-zA-Z]+|\S") == [
        ("4", "number"), ("th", "word_inside"), ("3", "number"), (".", "punctuation"),
        ("14", "number"), ("x", "word_start"), ("1", "number"), ("0", "number"),
        ("xFF", "word_inside"),
    ]  # fmt: skip
    assert of_kind("number", "٣ Ⅷ ½ 十") == ["٣", "Ⅷ", "½"]


def test_a_mixed_token_is_what_its_first_letter_or_digit_is():
    assert told('("We 1st', r'\("We| 1st') == [('("We', "word_start"), (" 1st", "number")]
    assert told("he'll", r"he|'ll") == [("he", "word_start"), ("'ll", "word_inside")]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("The cat saw Tom and Anna.", ["Tom", "Anna"]),
        ("Tom saw it. Anna did not! Bo?", []),
        ("So I asked if I'm late, and I’d say I am.", []),
        ("He met Mr. Smith at 5 p.m. He left alone.", ["Mr", "Smith"]),
        ('She said, "The dog is Rex," and "Who" cried Tim.', ["Rex", "Tim"]),
        ('"Stay," said Bo. "Never!" cried Mia.', ["Bo", "Mia"]),
        ("Title\nFirst line of Rome\n- Item of Paris\n* Another", ["Rome", "Paris"]),
        ("Note: Only this. Then: Rome", []),
        ("the O'Brien house, the MacDonald farm", ["O", "MacDonald"]),
        ("Она сказала Ивану. Потом", ["Ивану"]),
        ("Der Hund und die Katze", ["Hund", "Katze"]),  # a stated limit
        (
            "import numpy as Np\nclass Foo(Bar):\n    Baz = None",
            ["Np", "Foo", "Bar", "None"],
        ),  # another
        ("日本語です。Привет", []),
        ("東京 東京", []),
        ("", []),
    ],
)
def test_names_are_capitals_without_another_reason(text, names):
    assert of_kind("name", text) == names


def test_only_the_first_piece_of_a_name_is_one():
    kinds_of = [kind for _, kind in told("a Halloran", r" ?\w{1,4}")]
    assert kinds_of == ["word_start", "name", "word_inside"]


def test_how_spaces_are_marked_does_not_matter():
    text = "The cat, Tom's 2nd,  sat.\n\nIt was Bo."
    leading = [m.span() for m in re.finditer(r"\s*\w+|\s*[^\w\s]", text)]
    bare = [m.span() for m in re.finditer(r"\w+|[^\w\s]", text)]
    assert [*kinds(text, *np.array(leading).T)] == [*kinds(text, *np.array(bare).T)]
    assert [*sentence_numbers(text, *np.array(leading).T)] == [
        *sentence_numbers(text, *np.array(bare).T)
    ]


def test_bytes_of_one_character_and_tokens_of_none():
    text = "日 😀 é7"
    spans = [(0, 1), (0, 1), (0, 1), (1, 3), (2, 3), (3, 5), (4, 5), (5, 6), (0, 0), (6, 6)]
    assert [KINDS[k] for k in kinds(text, *np.array(spans).T)] == [
        *("word_start", "word_inside", "word_inside", "punctuation", "punctuation"),
        *("word_start", "word_inside", "number", "none", "none"),
    ]


@given(odd)
def test_any_text_has_a_kind_for_every_character(text):
    at = np.arange(len(text))
    found = [KINDS[k] for k in kinds(text, at, at + 1)]
    for character, kind in zip(text, found, strict=True):
        assert (kind == "space") == character.isspace()
        if kind == "name":
            assert character.isupper() or character.istitle()
        if character.isdecimal():
            assert kind == "number"


@given(odd, st.lists(st.integers(0, 40), max_size=9))
def test_any_cut_has_a_kind_and_a_sentence(text, cuts):
    cuts = sorted(min(cut, len(text)) for cut in cuts)
    starts, ends = np.array([0, *cuts]), np.array([*cuts, len(text)])
    assert set(kinds(text, starts, ends)) <= set(range(len(KINDS)))
    numbers = sentence_numbers(text, starts, ends)
    assert (np.diff(numbers) >= 0).all()
    assert numbers[-1] <= max(len(sentences(text)) - 1, 0)


@given(odd)
def test_the_characters_of_a_sentence_have_its_number(text):
    at = np.arange(len(text))
    numbers = sentence_numbers(text, at, at + 1)
    for number, sentence in enumerate(sentences(text)):
        assert (
            "".join(c for c, k in zip(text, numbers, strict=True) if k == number).strip()
            == sentence
        )


def test_the_space_before_a_sentence_belongs_to_it():
    text = "One.  Two. \n"
    at = np.array([(0, 4), (4, 5), (5, 9), (9, 10), (10, 12)])
    assert [*sentence_numbers(text, *at.T)] == [0, 1, 1, 1, 1]


def test_no_tokens_no_kinds():
    none = np.empty(0, np.int32)
    assert len(kinds("", none, none)) == len(sentence_numbers("text", none, none)) == 0


@pytest.mark.parametrize(("starts", "ends"), [([0], [9]), ([-1], [1]), ([0, 1], [1])])
def test_offsets_outside_the_text_are_refused(starts, ends):
    with pytest.raises(BadInput, match="kinds of tokens"):
        kinds("four", np.array(starts), np.array(ends))


def test_a_hundred_thousand_tokens_take_well_under_a_second():
    text = "The dog and Tom's 2 cats (all of them) sat. " * 7_000
    at = np.array([m.span() for m in re.finditer(r" ?\w+|[^\w\s]", text)])
    assert len(at) > 100_000
    start = time.thread_time()
    kinds(text, *at.T)
    sentence_numbers(text, *at.T)
    assert time.thread_time() - start < 1
