"""Where does a sentence end? ROUGE-Lsum and gen_len want one per line, and MLPerf splits them with
nltk's Punkt. These are its sentences, character for character, found several times as fast.

Punkt (Kiss and Strunk 2006) learned from newspapers which words are abbreviations, which begin
sentences and which are written with a capital; its English tables stand in `punkt/`.

    ? and !   end a sentence, with the quotes and brackets that follow, whatever comes next
    a point   does too, but not
              between two words that belong together ("##number##. international")
              after an abbreviation or an ellipsis, unless the next word looks like a beginning
              after an initial or a number, if the next word looks like no beginning

A capitalised word looks like a beginning if it was seen with a small letter and never with a
capital inside a sentence; a word with a small letter looks like none if it was ever seen with a
capital, or never so at the beginning of a sentence.

The oracle of the tests is nltk 3.10.4. Before 3.10.2 a curly quote was a letter to it: what
MLPerf's scripts pin (3.8.1) leaves the two sentences of "\u201cNo.\u201d He left." together.
A line break inside a sentence stays, and ROUGE-Lsum takes it for an end, as in MLPerf's script.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import NamedTuple

import regex

_QUOTES = "\u2018\u2019\u201c\u201d\u00ab\u00bb"
_BREAK = rf"""[!?:;*@(){{}}\[\]"'{_QUOTES}]"""
_SPACE, _SOLID = r"[^\S\x1c-\x1f]", r"[\S\x1c-\x1f]"  # to nltk's engine, \x1c to \x1f are no space
_DASH_OR_DOTS = rf"(?:-{{2,}}|\.{{2,}}|(?:\.{_SPACE}){{2,}}\.)"
_WORD_ENDS = rf"{_SPACE}|\Z|{_BREAK}|{_DASH_OR_DOTS}"

_MARK = re.compile(rf"[.?!](?=(?P<sign>{_BREAK})|(?P<space>{_SPACE}+)(?P<next>{_SOLID}+))")
_CLOSING = re.compile(rf"""["')\]}}{_QUOTES}]+(?:{_SPACE}+|(?=--)|\Z)""")
_TOKEN = re.compile(
    rf"""{_DASH_OR_DOTS}|(?=[^("`{{\[:;&#*@)}}\]\-,]){_SOLID}+?(?={_WORD_ENDS}|,(?={_WORD_ENDS}))"""
    rf"|{_SOLID}"
)
_NUMBER = re.compile(r"-?[.,]?\d[\d,.-]*")
_ELLIPSIS = re.compile(r"\.\.+")
_INITIAL = regex.compile(r"[^\W\d]\.")  # nltk's engine: to `re` a fraction is a letter
_NUMBER_WORD = "##number##"  # every number is this word in the tables
_ONE_SPACE = str.maketrans("\t\n\r\x0b\x0c", " " * 5)
_PUNCTUATION = frozenset(";:,.!?")

# in which positions a word was seen (`_Tables.seen`), as sums
_CAPITAL, _CAPITAL_INSIDE, _SMALL, _SMALL_FIRST = 2 + 4 + 8, 4, 16 + 32 + 64, 16


class _Tables(NamedTuple):
    """What Punkt learned; words in small letters, abbreviations without their last point."""

    abbreviations: frozenset[str]
    beginnings: frozenset[str]
    together: frozenset[tuple[str, str]]
    seen: Mapping[str, int]
    doubtful: frozenset[str]  # words after which a point may end no sentence


@cache
def _tables() -> _Tables:
    lines = {
        name: (files("accuracy") / "punkt" / name).read_text(encoding="utf-8").splitlines()
        for name in (
            "abbrev_types.txt",
            "sent_starters.txt",
            "collocations.tab",
            "ortho_context.tab",
        )
    }
    abbreviations, beginnings, together, seen = lines.values()
    pairs = [tuple(line.split("\t")) for line in together]
    counted = [line.split("\t") for line in seen]
    return _Tables(
        abbreviations=frozenset(abbreviations),
        beginnings=frozenset(beginnings),
        together=frozenset((first, second) for first, second in pairs),
        seen={word: int(positions) for word, positions in counted},
        doubtful=frozenset(abbreviations) | {first for first, _ in pairs},
    )


def sentences(text: str) -> list[str]:
    """Return the sentences of `text` in their order, without the space around them."""
    text = text.strip()
    found, start = [], 0
    for end, following in _ends(text):
        if closing := _CLOSING.match(text, following):
            end, following = following + len(closing[0].rstrip()), closing.end()
        found.append(text[start:end])
        start = following
    found.append(text[start:])
    return [sentence for sentence in found if sentence]


def _ends(text: str) -> Iterator[tuple[int, int]]:
    """Yield where a sentence ends, and where what follows it begins."""
    for start, mark in _runs(text):
        if _ends_sentence(text, start, mark):
            yield mark.end(), mark.end("space") if mark["space"] else mark.end()


def _runs(text: str) -> Iterator[tuple[int, re.Match[str]]]:
    """Yield each run of characters without space up to the last mark in it: its start, that mark.

    Of a run that is nothing but marks, the first stands alone.
    """
    spaced = text.translate(_ONE_SPACE)
    start, last = 0, None
    for mark in _MARK.finditer(text):
        space = spaced.rfind(" ", last.start() if last else 0, mark.start())
        run_start = start if space < 0 else space + 1
        if last and last.start() <= run_start:
            yield start, last
        start, last = run_start, mark
    if last:
        yield start, last


def _ends_sentence(text: str, start: int, mark: re.Match[str]) -> bool:
    """Say whether `mark`, the last of the run from `start`, ends a sentence.

    Punkt looks at this run and at the next at once: "Mr. Smith.)" ends at the first point because
    it ends at the second.
    """
    visible = mark["sign"] or not mark["next"].isspace()
    if visible and mark[0] != ".":
        return True
    word = text[start : mark.start()]
    if visible and len(word) > 1 and word.isalpha() and word.lower() not in _tables().doubtful:
        return True  # most points
    lines = text[start : mark.end(mark.lastindex or 0)].split("\n")
    tokens = [token for line in lines if line.strip() for token in _TOKEN.findall(line)]
    return any(_parts(token, following) for token, following in pairwise(tokens))


def _parts(token: str, following: str) -> bool:
    """Say whether a sentence ends between these two."""
    ends, abbreviation = _by_itself(token)
    if not token.endswith("."):
        return ends
    word, initial = _in_tables(token, True), bool(_INITIAL.fullmatch(token))
    next_word = _in_tables(following, _by_itself(following)[0])
    tables = _tables()
    if (word, next_word) in tables.together:
        return False
    capital, seen = following[0].isupper(), tables.seen.get(next_word, 0)
    begins = _begins(following, seen)
    if initial or word == _NUMBER_WORD:
        if begins is False:
            return False
        unknown_name = begins is None and capital and not seen & _SMALL
        return ends and not (initial and unknown_name)
    if abbreviation or _ELLIPSIS.fullmatch(token):
        return bool(begins) or (capital and next_word in tables.beginnings)
    return ends


def _by_itself(token: str) -> tuple[bool, bool]:
    """Judge a token alone: (it ends a sentence, it is an abbreviation)."""
    if token in (".", "?", "!"):
        return True, False
    if not token.endswith(".") or token.endswith(".."):
        return False, False
    word, known = token[:-1].lower(), _tables().abbreviations
    abbreviation = word in known or word.rpartition("-")[2] in known
    return not abbreviation, abbreviation


def _begins(token: str, seen: int) -> bool | None:
    """Say whether the token looks like the first of a sentence; None: nobody knows."""
    if token in _PUNCTUATION:
        return False
    if token[0].isupper() and seen & _SMALL and not seen & _CAPITAL_INSIDE:
        return True
    if token[0].islower() and (seen & _CAPITAL or not seen & _SMALL_FIRST):
        return False
    return None


def _in_tables(token: str, without_point: bool) -> str:
    """Return a token as the tables spell it."""
    word = token.lower()
    if _NUMBER.fullmatch(word):
        return _NUMBER_WORD
    return word[:-1] if without_point and len(word) > 1 and word.endswith(".") else word
