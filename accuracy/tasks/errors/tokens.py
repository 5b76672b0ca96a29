"""Which numbers, signs and words does a text hold? The first step of reading its calculations.

Plain text, Unicode and LaTeX are read alike: `12 * 3`, `12 × 3`, `12 \\times 3`; `\\frac{1}{2}`,
`1/2`, `½`; `1,250`, `1{,}250`, `1250.0`. What cannot be told is `unknown` (a variable, a time of
day, `12,5`, a number of more than 40 digits): whatever is calculated with it is not checked.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from fractions import Fraction
from typing import Literal, NamedTuple

Kind = Literal[
    "number", "unknown", "sign", "open", "close", "frac", "equals", "word", "line", "break"
]
_MOST_DIGITS = 40


def words(text: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(text.split())


class Token(NamedTuple):
    """A piece of a text: what it is, where it stands, and the value of a number."""

    kind: Kind
    text: str
    start: int
    end: int
    value: Fraction = Fraction(0)
    is_percent: bool = False
    is_glued: bool = False  # it stands directly after the token before
    unit: str = ""  # of an operand: the last word that stands behind it


def tokens(text: str) -> list[Token]:
    """Return the tokens of a text in order; takes time in proportion to its length."""
    found = list[Token]()
    for match in _TOKEN.finditer(text):
        name = str(match.lastgroup)
        if name != "space":
            is_glued = bool(found) and found[-1].end == match.start()
            found += _READERS[name](match, is_glued)
    return found


# ---- the pieces

_NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3}(?![0-9]))+|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
_HALVES = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
_POWERS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_TIMES_NEXT = r"(?![xX][ \t]?[0-9(])"
_TOKEN = re.compile(
    rf"""
    (?P<space>[ \t~&$€£¥]+|\\[,!;: $€£]|\\q?quad\b|\\(?:left|right|displaystyle|bigl?|bigr)\b
        |\^\{{?\\circ\}}?|\\(?:boxed|fbox|mathbf|mathrm)(?=\{{))
    |(?P<line>\n|\r|\\\\)
    |(?P<label>\\(?:text|textbf|textit|mbox|operatorname)[ ]?\{{[^{{}}\n]{{0,100}}\}})
    |(?P<frac>\\[dtc]?frac\b|\\[dtc]?frac(?=[0-9]))
    |(?P<break><<|>>|[=\-]{{1,3}}>|<=|>=|[!:<>≠≤≥→⇒∴]=?)
    |(?P<equals>\\approx\b|\\simeq\b|≈|~=|=+)
    |(?P<odd>[0-9]+:[0-9]+(?::[0-9]+)*|[0-9]+(?:\.[0-9]+){{2,}}|[0-9]+,[0-9]{{1,2}}(?![0-9])
        |[0-9]+[ ]?[!°](?![=]))
    |(?P<mixed>(?P<whole>[0-9]{{1,6}})[ ](?P<over>[0-9]{{1,4}})/(?P<under>[0-9]{{1,4}})(?![0-9.]))
    |(?P<half>[0-9]{{0,6}}[{_HALVES}])
    |(?P<number>(?P<digits>{_NUMBER})(?P<odd_end>,[0-9]+)?(?P<percent>[ ]?\\?%)?
        (?P<glued>{_TIMES_NEXT}[A-Za-z]+)?)
    |(?P<power>[⁰¹²³⁴⁵⁶⁷⁸⁹]+)
    |(?P<named>(?i:divided[ ]by|multiplied[ ]by|times|plus|minus|equals|of|x)(?!\w))
    |(?P<word>[^\W\d_]+(?:['’\-][^\W\d_]+)*(?:/[^\W\d_]+)?)
    |(?P<sign>\*\*|\\times\b|\\cdot\b|\\div\b|[+\-*/^×·⋅∙∗÷⁄∕−–])
    |(?P<open>[(\[{{]|\\\{{)
    |(?P<close>[)\]}}]|\\\}})
    |(?P<letter>\\[A-Za-z]+)
    |(?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_SIGNS = {
    **dict.fromkeys(("×", "·", "⋅", "∙", "∗", "\\times", "\\cdot"), "*"),
    **dict.fromkeys(("÷", "⁄", "∕", "\\div"), "/"),
    **dict.fromkeys(("−", "–"), "-"),
    "**": "^",
}
SIGN_OF = {  # words between two operands
    **dict.fromkeys(("times", "multiplied by", "of", "x"), "*"),
    "divided by": "/",
    "plus": "+",
    "minus": "-",
}
# Numbers before these words are of another size.
MULTIPLIERS = words(
    "dozen dozens hundred hundreds thousand thousands million millions billion billions trillion"
    " remainder r k"
)
_Match = re.Match[str]


def _token(kind: Kind, match: _Match, is_glued: bool, text: str | None = None) -> list[Token]:
    return [Token(kind, match[0] if text is None else text, *match.span(), is_glued=is_glued)]


def _number(match: _Match, is_glued: bool) -> list[Token]:
    digits, glued = match["digits"].replace(",", ""), match["glued"] or ""
    is_unit = len(glued) > 1 and glued.lower() not in ("st", "nd", "rd", "th", "am", "pm")
    is_odd = match["odd_end"] or (glued and not is_unit) or len(digits) > _MOST_DIGITS
    if is_odd or glued.lower() in MULTIPLIERS:
        return _token("unknown", match, is_glued)
    whole = Token(
        "number", match["digits"], *match.span(), Fraction(digits), bool(match["percent"]), is_glued
    )
    return [whole._replace(unit=glued.lower())]


def _mixed(match: _Match, is_glued: bool) -> list[Token]:
    whole, over, under = (int(match[name]) for name in ("whole", "over", "under"))
    if not 0 < over < under:
        return _token("unknown", match, is_glued)
    value = whole + Fraction(over, under)
    return [Token("number", match[0], *match.span(), value, is_glued=is_glued)]


def _half(match: _Match, is_glued: bool) -> list[Token]:
    part = Fraction(unicodedata.numeric(match[0][-1])).limit_denominator(10)
    value = int(match[0][:-1] or 0) + part
    return [Token("number", match[0], *match.span(), value, is_glued=is_glued)]


def _power(match: _Match, is_glued: bool) -> list[Token]:
    digits = match[0].translate(_POWERS)
    if len(digits) > _MOST_DIGITS:
        return _token("unknown", match, is_glued)
    start, end = match.span()
    return [
        Token("sign", "^", start, start, is_glued=is_glued),
        Token("number", digits, start, end, Fraction(digits), is_glued=True),
    ]


def _named(match: _Match, is_glued: bool) -> list[Token]:
    name = match[0].lower()
    if name == "equals":
        return _token("equals", match, is_glued, "=")
    return _token("word", match, is_glued, name)


_READERS: dict[str, Callable[[_Match, bool], list[Token]]] = {
    "line": lambda match, is_glued: _token("line", match, is_glued),
    "label": lambda match, is_glued: _token("word", match, is_glued, "label"),
    "frac": lambda match, is_glued: _token("frac", match, is_glued),
    "break": lambda match, is_glued: _token("break", match, is_glued),
    "equals": lambda match, is_glued: _token(
        "equals", match, is_glued, "=" if match[0].strip("=") == "" else "≈"
    ),
    "odd": lambda match, is_glued: _token("unknown", match, is_glued),
    "mixed": _mixed,
    "half": _half,
    "number": _number,
    "power": _power,
    "named": _named,
    "word": lambda match, is_glued: _token("word", match, is_glued, match[0].lower()),
    "sign": lambda match, is_glued: _token("sign", match, is_glued, _SIGNS.get(match[0], match[0])),
    "open": lambda match, is_glued: _token("open", match, is_glued),
    "close": lambda match, is_glued: _token("close", match, is_glued),
    "letter": lambda match, is_glued: _token("unknown", match, is_glued),
    "other": lambda match, is_glued: _token("break", match, is_glued),
}
