"""What kind of token is it: the start of a word, the inside of one, a name, a number, a mark,
space?

Only the text and the place of the token in it count, so that it does not matter how a tokenizer
marks spaces, and whether its offsets hold them. The first letter or digit in a token decides:

    word_start   a letter that no letter or digit precedes, an apostrophe between them passed over
                 ("don't" is one word)
    name         such a start, a capital, that has no other reason to be one
    word_inside  any other letter
    number       a digit, wherever it stands; "4th" starts as one, and its "th" is inside a word
    punctuation  a token without letters and digits but with some visible sign; symbols and emoji
                 too
    space        blanks and line breaks only
    none         a token that stands for no character: a special token

Of a character that takes several tokens (bytes), the first is its start, the others are inside.

Other reasons for a capital: the word opens a sentence (`rouge_sentences`), a line or a quotation,
follows a colon, or is "I". So a name there is taken for a plain word, and these are taken for
names: German nouns, words in capitals or in title case, types in code, days and months. Only the
first token of a name is one. Scripts without capitals have no names, those that do not set words
apart (Chinese, Thai) hardly any word starts.
"""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accuracy.metrics.sentences import sentences
from harness.kernel.errors import BadInput

KINDS = ("word_start", "name", "word_inside", "number", "punctuation", "space", "none")
_START, _NAME, _INSIDE, _NUMBER, _PUNCTUATION, _SPACE, _NONE = range(len(KINDS))

_LETTER, _CAPITAL, _DIGIT, _BLANK, _LINE_END, _JOINER, _QUOTE, _LEAD = (
    1 << bit for bit in range(8)
)
_WORD = _LETTER | _DIGIT
_JOINERS = "'\u2019\u00ad\u200c\u200d"  # apostrophes, soft hyphen, zero-width joiners
_QUOTES = "\"'`\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a\u300c\u300e"
# colons, and the full-width marks that `rouge_sentences` does not know
_LEADS = ":\uff1a\u3002\uff01\uff1f"
_LINE_ENDS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
_SETS = ((_LINE_END, _LINE_ENDS), (_JOINER, _JOINERS), (_QUOTE, _QUOTES), (_LEAD, _LEADS))


def kinds(text: str, starts: NDArray[Any], ends: NDArray[Any]) -> NDArray[np.int8]:
    """Return places (T,) in KINDS, of tokens at these characters of the text."""
    starts, ends = _checked(text, starts, ends)
    signs = _signs(text)
    word = _has(signs, _WORD)
    first = _next(word)[starts]  # of its letters and digits
    of_word = first < ends
    found = np.full(len(starts), _NONE, np.int8)
    found[starts < ends] = _SPACE
    found[_next(~_has(signs, _BLANK))[starts] < ends] = _PUNCTUATION
    decisive = np.append(_kinds_of_starts(text, signs, word), _NONE)[first]
    found[of_word] = decisive[of_word]
    again = np.zeros(len(starts), np.bool_)
    # the next bytes of a character
    again[1:] = of_word[1:] & of_word[:-1] & (first[1:] == first[:-1])
    found[again & (found != _NUMBER)] = _INSIDE
    return found


def sentence_numbers(text: str, starts: NDArray[Any], ends: NDArray[Any]) -> NDArray[np.int64]:
    """Return (T,) which sentence a token begins in, from 0; the space before a sentence belongs to
    it.
    """
    starts, _ = _checked(text, starts, ends)
    last_ends = [end for _, end in _spans(text)]
    return np.minimum(np.searchsorted(last_ends, starts, side="right"), max(len(last_ends) - 1, 0))


def _kinds_of_starts(
    text: str, signs: NDArray[np.uint8], word: NDArray[np.bool_]
) -> NDArray[np.int8]:
    """Return (n,) what a token is of which this is the first letter or digit."""
    n = len(signs)
    before, before_that = _shifted(word, 1), _shifted(word, 2)
    inside = word & (before | (_shifted(_has(signs, _JOINER), 1) & before_that))
    pronoun = (_codes(text) == ord("I")) & ~_shifted(word, -1)

    opens = np.zeros(n + 1, np.bool_)
    opens[_next(word)[np.array([start for start, _ in _spans(text)], np.int64)]] = True
    hides = _has(signs, _LINE_END | _LEAD) | (_has(signs, _QUOTE) & _shifted(word, -1))
    seen = np.concatenate([[0], np.cumsum(hides)])
    after_word = np.maximum.accumulate(np.where(word, np.arange(n), -1)) + 1
    since = np.append(0, after_word)[:n]  # the first character after the word before
    name = _has(signs, _CAPITAL) & ~inside & ~pronoun & ~opens[:n] & (seen[:n] == seen[since])

    kind = np.full(n, _START, np.int8)
    kind[name] = _NAME
    kind[inside] = _INSIDE
    kind[_has(signs, _DIGIT)] = _NUMBER
    return kind


def _checked(
    text: str, starts: NDArray[Any], ends: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    starts, ends = np.asarray(starts, np.int64), np.asarray(ends, np.int64)
    doing = "kinds of tokens"
    if len(starts) != len(ends):
        found = f"{len(starts)} starts and {len(ends)} ends"
        raise BadInput(doing, found, "as many of each")
    both = np.concatenate([starts, ends])
    if len(both) and (both.min() < 0 or both.max() > len(text)):
        found = f"offsets from {both.min()} to {both.max()}"
        fine = f"within the text's {len(text)} characters"
        raise BadInput(doing, found, fine, "Is it the text that was scored?")
    return starts, ends


def _spans(text: str) -> list[tuple[int, int]]:
    """Return where the sentences stand."""
    found, end = [], 0
    for sentence in sentences(text):
        start = text.index(sentence, end)
        end = start + len(sentence)
        found.append((start, end))
    return found


def _signs(text: str) -> NDArray[np.uint8]:
    """Return (n,) what each character is, as bits."""
    codes = _codes(text)
    table = np.zeros(int(codes.max(initial=0)) + 1, np.uint8)
    for character in set(text):
        table[ord(character)] = _sign(character)
    return table[codes]


def _codes(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _sign(character: str) -> int:
    kind = unicodedata.category(character)
    bits = {"L": _LETTER, "M": _LETTER, "N": _DIGIT}.get(kind[0], 0)
    if not bits and character.isspace():
        bits = _BLANK
    if kind in ("Lu", "Lt"):
        bits |= _CAPITAL
    for bit, characters in _SETS:
        if character in characters:
            bits |= bit
    return bits


def _has(signs: NDArray[np.uint8], bits: int) -> NDArray[np.bool_]:
    return (signs & bits) != 0


def _next(true: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return (n + 1,) the first place from here on where it is true; n if there is none."""
    n = len(true)
    places = np.append(np.where(true, np.arange(n), n), n)
    return np.minimum.accumulate(places[::-1])[::-1]


def _shifted(true: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """Return what stood `by` places before; nothing from outside."""
    moved = np.zeros_like(true)
    if by > 0:
        moved[by:] = true[:-by]
    else:
        moved[:by] = true[-by:]
    return moved
