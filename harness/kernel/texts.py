"""Are these bytes text in UTF-8, and if not, what are they?

Editors of Windows save "Unicode" as UTF-16, and spreadsheets or archives end up under names of text
files. Most of these bytes decode somehow, so it is asked before anything is decoded.
"""

from __future__ import annotations

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
