"""Where does a calculation begin and end in running text? Words become signs (`5 times 3`), units
of a number (`5 apples * 3`), unknown quantities (`price * 3`) or the end of a calculation.
"""

from __future__ import annotations

from collections.abc import Sequence

from accuracy.tasks.errors.tokens import MULTIPLIERS, SIGN_OF, Token, words

LONGEST = 80  # tokens of one side of an equation
_MOST_UNIT_WORDS = 4
_ENDS = frozenset(("number", "unknown", "close"))  # an operand ends with one of them
_STARTS = frozenset(("number", "unknown", "open", "frac"))
_STOPS = words(
    "and or but then so because since if when which that who is are was were be has have had"
    " therefore thus hence plus minus equals answer total"
)
_ARTICLES = words("the his her its their our my your a an all")
# Words that change what stands behind them, so that it cannot be checked alone.
_LEADING = words(
    "than twice double triple thrice half quarter third of by square root sum product difference"
    " average mean every"
)
_LABELS = words("step day week month year part question problem stage example no number")


def resolved(found: Sequence[Token]) -> list[Token]:
    """Return the tokens with each word and line end made a sign, a unit, an unknown or a break."""
    out = list[Token]()
    i = 0
    while i < len(found):
        i = _take(found, i, out)
    return out


def before(found: Sequence[Token], equals: int) -> tuple[int, bool]:
    """Return where the longest operand or expression begins that ends at `equals`, and whether it
    is sure to be all of it.
    """
    depth, i = 0, equals
    while i > 0 and equals - i < LONGEST:
        one = found[i - 1]
        if one.kind in ("break", "equals") or (one.kind == "open" and not depth):
            break
        if i < equals and not depth and _parts(one, found[i]):
            break
        depth += (one.kind == "close") - (one.kind == "open")
        i -= 1
    is_whole = equals - i < LONGEST
    return i, is_whole and not _is_changed(found, i, equals)


def after(found: Sequence[Token], equals: int) -> int:
    """Return where the longest operand or expression ends that begins behind `equals`."""
    depth, i = 0, equals + 1
    while i < len(found) and i - equals <= LONGEST:
        one = found[i]
        if one.kind in ("break", "equals") or (one.kind == "close" and not depth):
            break
        if i > equals + 1 and not depth and _parts(found[i - 1], one):
            break
        depth += (one.kind == "open") - (one.kind == "close")
        i += 1
    return i


def _parts(left: Token, right: Token) -> bool:
    """Does an operand end between these two, and another one begin?"""
    if left.kind not in _ENDS or right.kind not in _STARTS:
        return False
    return right.kind != "open" and not (left.kind in ("number", "close") and right.kind == "frac")


def _is_changed(found: Sequence[Token], first: int, end: int) -> bool:
    """Does a word before an expression say that it is only a part: `5 more than`, `Step 1 -`?"""
    if not first or found[first - 1].kind != "break":
        return False
    word = found[first - 1].text
    is_label = word in _LABELS and first + 1 < end and found[first + 1].text == "-"
    return word in _LEADING or is_label


# ---- one token, and the words that follow it


def _take(found: Sequence[Token], i: int, out: list[Token]) -> int:
    """Resolve the token at `i`; return the place of the next one."""
    one = found[i]
    following = found[i + 1] if i + 1 < len(found) else None
    if one.kind == "line":
        is_open = bool(out) and out[-1].kind == "equals"
        if not is_open and (following is None or following.kind != "equals"):
            out.append(one._replace(kind="break", text=""))
        return i + 1
    if one.kind == "sign":
        out.append(_sign(one, following, out))
        return i + 1
    if one.kind == "word":
        return _words(found, i, out)
    out.append(one)
    return i + 1


def _sign(one: Token, following: Token | None, out: Sequence[Token]) -> Token:
    """Return a sign, or a break where it is a bullet, a dash or a mark of emphasis."""
    is_first = not out or out[-1].kind == "break"
    is_last = following is None or following.kind not in (*_STARTS, "sign", "word")
    is_bullet = is_first and (one.text == "^" or (following is not None and not following.is_glued))
    is_dash = one.text == "-" and following is not None and len(following.text) > 1
    if is_bullet or is_last or (is_dash and following is not None and following.kind == "word"):
        return one._replace(kind="break", text="")
    return one


def _words(found: Sequence[Token], i: int, out: list[Token]) -> int:
    """Resolve a word and those that belong to it; return the place behind them."""
    one = found[i]
    last = out[-1] if out else None
    is_behind = last is not None and last.kind in _ENDS
    if is_behind and one.text in SIGN_OF:
        return _named_sign(found, i, out)
    if is_behind:
        return _unit(found, i, out)
    following = found[i + 1] if i + 1 < len(found) else None
    is_operand = last is not None and last.kind == "sign"
    is_operand |= following is not None and following.kind == "sign"
    is_operand |= len(one.text) == 1 and one.text != "a"
    out.append(one._replace(kind="unknown" if is_operand else "break"))
    return i + 1


def _named_sign(found: Sequence[Token], i: int, out: list[Token]) -> int:
    """Resolve `times`, `of` and the like behind an operand."""
    one, k = found[i], i + 1
    while one.text == "of" and k < len(found) and found[k].text in _ARTICLES:
        k += 1
    has_operand = k < len(found) and found[k].kind in _STARTS
    is_share = out[-1].is_percent or out[-1].value.denominator > 1 or out[-1].kind == "close"
    is_share |= len(out) > 1 and out[-2].text == "/"
    if has_operand and (one.text != "of" or is_share):
        out.append(one._replace(kind="sign", text=SIGN_OF[one.text]))
        return k
    out[-1] = out[-1]._replace(kind="unknown")
    out.append(one._replace(kind="break"))
    return i + 1


def _unit(found: Sequence[Token], i: int, out: list[Token]) -> int:
    """Resolve the words behind an operand: its unit where the calculation goes on, else a break."""
    k = i
    while k < len(found) and k - i < _MOST_UNIT_WORDS and _is_unit_word(found[k]):
        k += 1
    if k == i:
        out.append(found[i]._replace(kind="break"))
        return i + 1
    if found[i].text in MULTIPLIERS:
        out[-1] = out[-1]._replace(kind="unknown")
    else:
        out[-1] = out[-1]._replace(unit=found[i].text)
    goes_on = k < len(found) and (
        found[k].kind in ("sign", "equals", "close", "line") or found[k].text in SIGN_OF
    )
    if not goes_on:
        out.append(found[k - 1]._replace(kind="break"))
    return k


def _is_unit_word(one: Token) -> bool:
    return one.kind == "word" and one.text not in _STOPS and one.text not in SIGN_OF
