"""Where does a sentence end? ROUGE-Lsum wants one per line, and MLPerf splits them with nltk's
Punkt.

These are Punkt's rules, without its English model, which nltk downloads and a machine offline has
not got:

    ? and !   end a sentence, with the quotes and brackets that follow, whatever comes next
    a point   does too, but not
              after an abbreviation or an ellipsis, unless a capitalised common word comes next ("at
              5 p.m. He left") after an initial, if another capitalised word comes next ("B. Smith",
              but "plan B. The") after an initial or a number, if a small letter comes next ("rule
              3. of")

What the model learned from newspapers, abbreviations and common words, are two lists here.
Abbreviations that it never saw are missing on purpose: "e.g.", "i.e." and "etc." end a sentence in
MLPerf's scores too. Elsewhere the two part company after rarer abbreviations, pairs of initials
("J.K."), and where an abbreviation ends a sentence before an uncommon word. A line break inside a
sentence stays, and ROUGE-Lsum takes it for an end, as it does in MLPerf's script.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_QUOTES = "'\u2018\u2019\u201c\u201d\u00ab\u00bb"
_BREAKS = rf"""[!?:;*@(){{}}\[\]"{_QUOTES}]"""
_MARK = re.compile(rf"[.?!](?={_BREAKS}|\s+\S)")
_BREAK = re.compile(_BREAKS)
_CLOSING = re.compile(rf"""\s*[)\]}}"{_QUOTES}]+(?=\s|--|$)""")
_NEXT_WORD = re.compile(rf"\s+(?!{_BREAKS}|[,`&#-])([^\s{_BREAKS[1:-1]},]+)")
_NEXT_RUN = re.compile(rf"\s+(\S*[.?!])(?={_BREAKS})")
_NUMBER = re.compile(r"-?[.,]?\d[\d,.-]*$")

_ABBREVIATIONS = """
    c d e f g h k l m n p r s t v w
    a.d a.m d.c l.a n.c n.d n.h n.j n.m n.y p.m ph.d r.i s.c u.k u.n u.s u.s.a w.va
    adm ala ariz aug ave bros calif co col colo conn corp ct dec dr feb fla fri ft ga gen ill inc
    jan jr kan ky lt ltd maj messrs mich minn mr mrs ms nev nov oct okla ore pa prof rep reps sen
    sep sept sr st tenn tues va vs vt wash wed wis yr
"""
_COMMON = """
    a about according additionally after again all already also although always among an and another
    any anyone are as at based because before being besides both but by can clearly consequently
    consider could despite did do does during each either even eventually every everyone everything
    except few finally first firstly following for from furthermore given had has have having he
    hence her here herself him his how however i if in indeed initially instead is it its itself
    just last lastly later least less let like likewise many may maybe meanwhile might more moreover
    most much my nearly neither nevertheless next nobody none nonetheless nor not nothing now of
    often on once one only or other others otherwise our out over overall perhaps please rather
    recently second secondly separately several she should similarly since so some somebody someone
    something sometimes soon still such that the their them then there thereby therefore these they
    third this those though three through throughout thus to together today too two under
    unfortunately unless unlike until upon us use using usually very was we well were what whatever
    when whenever where whereas whether which while who whoever whom whose why will with within
    without would yes yet you your
"""
ABBREVIATIONS, COMMON = frozenset(_ABBREVIATIONS.split()), frozenset(_COMMON.split())


def sentences(text: str) -> list[str]:
    """The sentences of `text`, without the space around them."""
    text = text.strip()
    found, start = [], 0
    for run, end in _runs(text):
        if not _ends_sentence(run, text, end):
            continue
        if closing := _CLOSING.match(text, end):
            end = closing.end()
        found.append(text[start:end].strip())
        start = end
    found.append(text[start:].strip())
    return [sentence for sentence in found if sentence]


def _runs(text: str) -> Iterator[tuple[str, int]]:
    """What may end a sentence: characters without space up to the last mark among them, and where
    that is.
    """
    start = end = 0
    for mark in _MARK.finditer(text):
        since = text[end : mark.end()]
        run = since.rsplit(None, 1)[-1]
        if end and run != since:
            yield text[start:end], end
        end = mark.end()
        start = end - len(run) if run != since else start
    if end:
        yield text[start:end], end


def _ends_sentence(run: str, text: str, end: int) -> bool:
    """Does the last character of `run`, a point or a mark, end a sentence? What follows it is
    `text[end:]`.
    """
    if "?" in run or "!" in run or _ends_here(_last_word(run), _following(text, end)):
        return True
    ahead = _NEXT_RUN.match(text, end)  # Punkt looks at both runs at once: "Mr. Smith.)" ends twice
    return ahead is not None and _ends_sentence(ahead[1], text, ahead.end())


def _ends_here(word: str, following: str) -> bool:
    """Does the point after `word`? `following` is the next word, "" if a quote, a bracket or the
    like comes first.
    """
    small, capital = following[:1].islower(), following[:1].isupper()
    common = capital and following.rstrip(".").lower() in COMMON
    if word in ABBREVIATIONS or word.rpartition("-")[2] in ABBREVIATIONS:
        return common and len(word) > 1
    if word.endswith("."):  # an ellipsis
        return common
    if len(word) == 1 and word.isalpha():
        return common or not (small or capital)
    return not (small and _NUMBER.match(word))


def _following(text: str, end: int) -> str:
    match = _NEXT_WORD.match(text, end)
    return match[1] if match else ""


def _last_word(run: str) -> str:
    """In small letters, without the point."""
    word = _BREAK.split(run)[-1]
    before = run[: len(run) - len(word)][-1:]
    if before and before in _QUOTES:
        word = before + word  # the end of "Bo's." is no initial
    return word.rpartition("--")[2].lstrip("`&#,-")[:-1].lower()
