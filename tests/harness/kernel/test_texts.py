"""Is what strangers wrote harmless to whoever reads it, and is everybody's writing left alone?"""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.engine.pieces import reason
from harness.kernel.errors import BadInput, first_line
from harness.kernel.texts import on_one_line, shown

WRITING = (
    "Zoë said: 你好, שלום, naïve 👩‍💻\n\tok",
    "می‌خواهم",  # Persian, with a joiner that belongs there
    "क्‍ष ශ්‍රී",
    "3️⃣ ❤️‍🔥 👨‍👩‍👧 ☎︎",
    "葛󠄀城",  # a variant of a Han letter
    "Việt Nam ế",
    "ŋ̊̃ ɪ̃̈",  # the alphabet of phoneticians
)


@pytest.mark.parametrize("text", WRITING)
def test_writing_of_all_scripts_is_left_alone(text):
    assert shown(text) == text


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[2Jgone", "⟨U+001B⟩[2Jgone"),
        ("\x9b2J", "⟨U+009B⟩2J"),  # the same in one letter
        ("PASS\rFAIL", "PASS⟨U+000D⟩FAIL"),
        ("a\x08b\x07", "a⟨U+0008⟩b⟨U+0007⟩"),
        ("\u202etxt.exe", "⟨U+202E⟩txt.exe"),
        ("fp\u200b32", "fp⟨U+200B⟩32"),
        ("fp\u200d32", "fp⟨U+200D⟩32"),
        ("a\ufe0f", "a⟨U+FE0F⟩"),
        ("❤\ufe0f\ufe0f", "❤️⟨U+FE0F⟩"),
        ("x\U000e0041", "x⟨U+E0041⟩"),
        ("\u3164", "⟨U+3164⟩"),  # a letter that looks like a blank
        ("\ud800", "⟨U+D800⟩"),
        ("Z" + "\u0335" * 40, "Z" + "\u0335" * 4 + "⟨36 more marks⟩"),
    ],
)
def test_what_has_no_look_of_its_own_gets_one(text, seen):
    assert shown(text) == seen


def test_no_letter_without_a_look_is_forgotten():
    """Of every letter that Unicode calls a control, a format or a separator of lines."""
    kinds = ("Cc", "Cf", "Cs", "Zl", "Zp")
    letters = [chr(i) for i in range(sys.maxunicode + 1) if unicodedata.category(chr(i)) in kinds]
    drawn = [letter for letter in letters if shown(f"a{letter}b") == f"a{letter}b"]
    signs = "ARABIC|SYRIAC|KAITHI|EGYPTIAN|SHORTHAND"  # drawn, though they are called formats
    unknown = [c for c in drawn if not unicodedata.name(c, "").startswith(tuple(signs.split("|")))]
    assert unknown == ["\t", "\n"]


@given(st.text())
@settings(max_examples=300)
def test_what_was_shown_once_stays_as_it_is(text):
    assert shown(shown(text)) == shown(text)


def test_of_a_book_the_middle_is_left_out():
    seen = shown("a" * 5_000 + "b" * 5_000, 100)
    assert seen == "a" * 50 + " ⟨9,900 more characters⟩ " + "b" * 50
    assert on_one_line("a\nb\tc") == "a⟨U+000A⟩b⟨U+0009⟩c"


# ---- errors


def test_an_error_shows_its_names_and_keeps_its_facts():
    error = BadInput("dataset \x1b[2J", "\u202ex", "expected \x07", "See \x9b.")
    assert str(error) == "dataset ⟨U+001B⟩[2J: ⟨U+202E⟩x; expected ⟨U+0007⟩. See ⟨U+009B⟩."
    assert error.facts == ("dataset \x1b[2J", "\u202ex", "expected \x07", "See \x9b.")


def test_a_name_with_line_ends_cannot_pass_for_an_error_of_its_own():
    error = BadInput("dataset a\nerror: all is well", "x")
    assert str(error).splitlines() == ["dataset a", "  error: all is well: x."]


def test_an_error_about_a_book_has_a_page():
    assert len(str(BadInput("column " + "x" * 10**6, "it is not there"))) < 10_000


def test_what_a_library_says_is_shown_in_one_line():
    fault = ValueError("bad \x1b[31m\u202e name\n\n in  it")
    assert reason(fault) == "ValueError: bad ⟨U+001B⟩[31m⟨U+202E⟩ name in it"
    assert first_line(fault) == "bad ⟨U+001B⟩[31m⟨U+202E⟩ name"
