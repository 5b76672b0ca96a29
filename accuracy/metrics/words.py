"""What is a word, in any script, and which texts have words that MLPerf's ROUGE does not know?

ROUGE's words are runs of a-z and 0-9 in small letters. In any script, after NFKC and case folding
and without invisible characters (joiners, variation selectors), a word is

    a run of letters, digits and combining marks, in scripts that put spaces between words
    one character with its marks, in scripts that do not (`_WITHOUT_SPACES`)
    one symbol such as an emoji

A text of which ROUGE sees only half of the words, or less, is *unread*: two such texts may have
nothing in common and score 1 for the name that stands in both, or be equal and score 0.
"""

from __future__ import annotations

import re
import unicodedata

import regex

_A_TO_Z = re.compile("[a-z0-9]+")
_WITHOUT_SPACES = (
    r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Bopomofo}\p{Yi}"
    r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tai_Le}\p{New_Tai_Lue}\p{Tai_Tham}\p{Tai_Viet}"
)
_ANY = regex.compile(
    rf"[[{_WITHOUT_SPACES}]--[\p{{M}}\p{{P}}]]\p{{M}}*"
    rf"|(?:[[\p{{L}}\p{{N}}]--[{_WITHOUT_SPACES}]]\p{{M}}*)+"
    r"|(?=[\p{So}\p{Extended_Pictographic}])\X",
    regex.V1,
)
_INVISIBLE = regex.compile(r"\p{Default_Ignorable_Code_Point}+")
_BEYOND = regex.compile(r"[[\p{L}\p{N}]--[a-z0-9]]", regex.V1)


def a_to_z(text: str) -> list[str]:
    """Return the words that ROUGE finds, before it takes their stems."""
    return _A_TO_Z.findall(text.lower())


def any_script(text: str) -> list[str]:
    """Return the words of a text in any script: "GPT-4 说：你好" has gpt, 4, 说, 你, 好."""
    if text.isascii():
        return a_to_z(text)
    folded = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
    found: list[str] = _ANY.findall(unicodedata.normalize("NFKC", folded))
    return found


def is_unread(text: str) -> bool:
    """Say whether ROUGE sees no letter of half of the words, or more; so of a text of no words."""
    known = a_to_z(text)
    if text.isascii() or not known:
        return not known
    found = any_script(text)
    return 2 * sum(bool(_A_TO_Z.search(word)) for word in found) <= len(found)


def has_letters_beyond(text: str) -> bool:
    """Say whether a text has letters or digits other than a-z and 0-9."""
    return not text.isascii() and bool(_BEYOND.search(text.lower()))


def unread(count: int, n: int, what: str = "reference answers") -> str:
    """Say that ROUGE cannot read so many texts, and why."""
    knows = "it knows only the letters a-z and the digits 0-9"
    return f"ROUGE cannot read {count} of {n} {what}: {knows}"
