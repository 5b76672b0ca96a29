"""Are these bytes text in UTF-8, and if not, what are they? And how is a text of strangers shown?

Editors of Windows save "Unicode" as UTF-16, and spreadsheets or archives end up under names of text
files. Most of these bytes decode somehow, so it is asked before anything is decoded.

Names of models, folders and columns, reasons, logs and answers were written by others. On a
terminal an escape sequence clears the screen, a bidi mark turns "exe.txt" round, and what has no
width hides. So every text of others passes through `shown` before a person sees it, in errors, on
screens, pages and plots, in Markdown and CSV: what cannot be seen becomes a mark such as ⟨U+001B⟩.
"""

from __future__ import annotations

import re

_MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32 text"),
    (b"\x00\x00\xfe\xff", "UTF-32 text"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet"),
    (b"PAR1", "a Parquet file"),
)
_HEAD_BYTES = 512


def other_kind(data: bytes) -> str:
    """Return what the bytes are if it is plain that they are no UTF-8 text: "UTF-16 text"; else "".
    Without a byte order mark UTF-16 and UTF-32 are told by their zeros.
    """
    for mark, kind in _MARKS:
        if data.startswith(mark):
            return kind
    head = data[:_HEAD_BYTES]
    zeros = head.count(0) / max(len(head), 1)
    if len(head) < 4 or zeros < 0.25:
        return ""
    return "UTF-32 text" if zeros > 0.6 else "UTF-16 text"


# Controls (but tab and line feed), format characters of no width, bidi marks, blanks that are
# letters, lone surrogates, noncharacters and tags: Unicode's Default_Ignorable_Code_Point and what
# UTS #39 and UTR #36 add to it.
_UNSEEN = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e"
    "\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ufdd0-\ufdef"
    "\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
_MARKS_ABOVE = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_MOST_MARKS = 4  # on one letter: Vietnamese and the IPA have two or three
_SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_NO_LETTER = f"\x00-\u00a8\u2000-\u206f⟨⟩{_UNSEEN}"
# Texts, which `re` compiles at their first use: a start that shows a page of help needs none.
_HIDDEN = (
    f"[{_UNSEEN}]"
    # joiners belong between letters of Arabic or Indic scripts and between emoji
    f"|(?<![^{_NO_LETTER}\x00-\u02ff])[\u200c\u200d]"
    f"|[\u200c\u200d](?![^{_NO_LETTER}\x00-\u02ff])"
    # a selector chooses the form of the one letter before it: 3 and U+FE0F are a keycap
    f"|(?<![^{_NO_LETTER}])(?<![#*0-9])[{_SELECTORS}]|(?<=[{_SELECTORS}])[{_SELECTORS}]"
)
_PILED = f"(?<=[{_MARKS_ABOVE}]{{{_MOST_MARKS}}})[{_MARKS_ABOVE}]+"


def shown(text: str, longest: int | None = None) -> str:
    """Return a text of strangers as a person may see it: what has no look of its own becomes
    ⟨U+001B⟩, line ends and tabs stay. Of one longer than `longest` characters the middle goes.
    """
    if longest is not None and len(text) > longest:
        text = _without_middle(text, longest)
    if text.isascii() and text.isprintable():
        return text
    seen = re.sub(_PILED, _count, re.sub(_HIDDEN, _mark, text))
    return seen if seen == text else shown(seen)  # what joined a mark to a letter has lost both


def on_one_line(text: str, longest: int | None = None) -> str:
    """Return it as `shown` does, its line ends and tabs too as marks: a name is one line."""
    return shown(text, longest).replace("\n", "⟨U+000A⟩").replace("\t", "⟨U+0009⟩")


def _mark(found: re.Match[str]) -> str:
    return f"⟨U+{ord(found[0]):04X}⟩"


def _count(found: re.Match[str]) -> str:
    return f"⟨{len(found[0])} more marks⟩"


def _without_middle(text: str, longest: int) -> str:
    kept = longest // 2
    return f"{text[:kept]} ⟨{len(text) - 2 * kept:,} more characters⟩ {text[-kept:]}"
