"""How does LoadGen read a line of a configuration file, and where does it read otherwise than a
person would?

Its parser splits a line at white space into `model.scenario.key`, `=` and a number. What it cannot
read costs the whole file (-EINVAL, one line in a log); what is no key or has no value is skipped
without a word. Integers are read by `strtoull` with base 0 and cut off where that stops: 010 is 8,
1e3 is 1, 12.5 is 12, -1 is 2^64 - 1. A file that holds any of it is refused here, with what LoadGen
would make of the line and what to write instead; all else is read exactly as LoadGen does
(test_settings_internal.cc, 6.0.17).
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from harness.kernel.errors import BadInput
from harness.kernel.foreign.own_files import read_given
from harness.kernel.places import wrong_path
from harness.kernel.texts import other_kind

_LARGEST = 2**64 - 1
_MOST_BYTES = 1 << 20  # MLPerf's own file has 6 KiB
_BOM = b"\xef\xbb\xbf"
_INTEGER = re.compile(r"[+-]?(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")  # what strtoul consumes
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_HEX = re.compile(r"[+-]?0[xX]([0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)([pP][+-]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[+-]?(inf|infinity|nan(\(\w*\))?)", re.IGNORECASE)
_LISTED = 10  # problems of a file that are told one by one
_WHOLE_FILE = "LoadGen refuses the whole file"
_SKIPPED = "LoadGen skips the line without a word"
_FOR_EXAMPLE = "*.Server.target_qps = 10"


class Line(NamedTuple):
    """One setting as it stands in the file."""

    number: int
    model: str
    scenario: str
    key: str
    value: str

    @property
    def text(self) -> str:
        return f"{self.model}.{self.scenario}.{self.key} = {self.value}"


@dataclass(frozen=True, slots=True)
class Problem:
    """A line that cannot be taken: what is there, what LoadGen makes of it, what to write."""

    number: int
    found: str
    loadgen: str
    write: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.found}; {self.loadgen}. {self.write}"


def read_lines(path: Path) -> tuple[list[Line], list[Problem]]:
    """The settings of a file, and the lines that LoadGen would read otherwise than they look.

    Raises BadInput if the file cannot be read at all.
    """
    try:
        data = read_given(path, _MOST_BYTES)
    except OSError:
        fine = "expected a LoadGen configuration file, such as user.conf"
        raise wrong_path(f"--user-conf {path}", path, fine) from None
    if kind := other_kind(data):
        raise BadInput(path.name, f"it is {kind}", "LoadGen reads UTF-8 alone", "Save it as UTF-8.")
    lines: list[Line] = []
    problems: list[Problem] = []
    for number, raw in enumerate(data.split(b"\n"), 1):
        read = _read_line(number, raw)
        read = read and _told_apart(read)
        if isinstance(read, Line):
            lines.append(read)
        elif read is not None:
            problems.append(read)
    return lines, problems


def refuse(path: Path, problems: Sequence[Problem]) -> None:
    """Raise BadInput with every problem of a file, if it has any."""
    if len(problems) == 1:
        (only,) = problems
        where = f"{path.name}, line {only.number}"
        raise BadInput(where, only.found, only.loadgen, only.write)
    if problems:
        listed = [str(problem) for problem in problems[:_LISTED]]
        listed += [f"and {len(problems) - _LISTED} more"] * (len(problems) > _LISTED)
        found = f"{len(problems)} problems:\n  " + "\n  ".join(listed)
        raise BadInput(f"reading {path.name}", found)


def _read_line(number: int, raw: bytes) -> Line | Problem | None:
    """None: blank, or a comment."""
    if raw.rstrip(b"\r").count(b"\r"):
        found = "a carriage return in the middle"
        loadgen = "LoadGen takes what follows for the same line"
        return Problem(number, found, loadgen, r"End lines with \n or \r\n.")
    words = [word.decode("utf-8", "backslashreplace") for word in raw.split()]
    if not words or words[0] == "#":
        return None
    if number == 1 and raw.startswith(_BOM):
        return _after_bom(raw)
    if words[0].startswith("#"):
        return _comment(number, words)
    key, rest = words[0], words[1:]
    if "=" in key or (rest and rest[0] != "=" and rest[0].startswith("=")):
        return _no_space(number, words)
    if not rest or rest == ["="] or rest[0] == "#":
        write = f"Write it as {_FOR_EXAMPLE}, or delete it."
        return Problem(number, f"'{' '.join(words)}' has no value", _SKIPPED, write)
    if rest[0] != "=":
        write = f"Write it as {_FOR_EXAMPLE}."
        return Problem(number, f"'{' '.join(words)}'", _WHOLE_FILE, write)
    return _setting(number, key, rest[1:])


def _told_apart(line: Line | Problem) -> Line | Problem:
    """Name a character that cannot be seen, or that looks like another one. No name of LoadGen's
    has any, so it skips a line whose key does.
    """
    text = line.found if isinstance(line, Problem) else line.text
    odd = next(filter(_is_deceptive, text), "")
    if not odd:
        return line
    name = f"U+{ord(odd):04X} ({unicodedata.name(odd, 'control character').lower()})"
    if isinstance(line, Problem):
        found = f"{''.join(map(_visible, line.found))}, with {name}"
        return Problem(line.number, found, line.loadgen, _typed(line.write))
    found = f"{''.join(map(_visible, text))} has {name}"
    return Problem(line.number, found, _SKIPPED, f"Write {_typed(text)}.")


def _is_deceptive(character: str) -> bool:
    if character.isascii():
        return not character.isprintable()
    looks_like = unicodedata.normalize("NFKC", character)
    return not character.isprintable() or looks_like.isascii() or character in _DASHES_AND_QUOTES


_DASHES_AND_QUOTES = "−–—“”‘’"


def _visible(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def _typed(text: str) -> str:
    """Return what was probably meant: letters as a keyboard has them, and nothing invisible."""
    plain = "".join(c for c in unicodedata.normalize("NFKC", text) if c.isprintable())
    return " ".join(plain.split())


def _after_bom(raw: bytes) -> Problem | None:
    """A byte order mark belongs to LoadGen's first word, which it then does not know."""
    words = raw.removeprefix(_BOM).split()
    if not words:
        return None
    found = "the file begins with a byte order mark"
    loadgen = _WHOLE_FILE if words[0].startswith(b"#") else "LoadGen does not know its first line"
    return Problem(1, found, loadgen, "Save it as UTF-8 without a byte order mark.")


def _comment(number: int, words: list[str]) -> Problem | None:
    """`#` must stand alone: LoadGen takes `#word` for a key, and wants = and a number after it."""
    harmless = len(words) == 1 or (words[1] == "=" and all(map(is_number, words[2:])))
    if harmless:
        return None
    found = f"{' '.join(words)[:40]!r} has no space after #"
    return Problem(number, found, _WHOLE_FILE, "Begin comments with '# '.")


def _no_space(number: int, words: list[str]) -> Problem:
    key, _, value = "".join(words).partition("=")
    write = f"Write {key} = {value}." if key else f"Write it as {_FOR_EXAMPLE}."
    loadgen = _SKIPPED if len(words) == 1 else _WHOLE_FILE
    found = f"'{' '.join(words)}' has no spaces around ="
    return Problem(number, found, loadgen, write)


def _setting(number: int, key: str, values: list[str]) -> Line | Problem:
    if len(values) > 1:
        return _too_much(number, key, values)
    (value,) = values
    if not is_number(value):
        found = f"{key} = {value} is no number"
        return Problem(number, found, _WHOLE_FILE, "Write a number.")
    if key.count(".") < 2:
        write = f"Write model.scenario.key, such as {_FOR_EXAMPLE}."
        return Problem(number, f"{key} = {value}", _SKIPPED, write)
    model, scenario, name = key.rsplit(".", 2)
    return Line(number, model, scenario, name, value)


def _too_much(number: int, key: str, values: list[str]) -> Problem:
    written = f"{key} = {' '.join(values)}"
    if values[1].startswith("#"):
        write = f"Write {key} = {values[0]}, and the comment on a line of its own."
        return Problem(number, f"{written!r} has a comment behind its value", _WHOLE_FILE, write)
    numbers = all(map(is_number, values))
    loadgen = f"LoadGen takes the last, {values[-1]}" if numbers else _WHOLE_FILE
    return Problem(number, f"'{written}' has several values", loadgen, "Write one.")


# ---- numbers


def is_number(text: str) -> bool:
    """Does LoadGen take it for a value?"""
    return any(form.fullmatch(text) for form in (_INTEGER, _DECIMAL, _HEX, _NO_NUMBER))


def loadgens_integer(text: str) -> int:
    """What `strtoull` makes of it: base 0, as far as it understands, 64 bits without a sign."""
    found = _INTEGER.match(text)
    digits = found[1] if found else "0"
    size = int(digits, 16 if digits[1:2] in ("x", "X") else 8 if digits[0] == "0" else 10)
    if size > _LARGEST:
        return _LARGEST
    return -size % (_LARGEST + 1) if text.startswith("-") else size


def plain_number(text: str) -> int | float:
    """What a person means by it: decimal, or hexadecimal after 0x."""
    if re.fullmatch(r"[+-]?[0-9]+", text):
        return int(text)
    if _HEX.fullmatch(text):
        return int(text, 16) if _INTEGER.fullmatch(text) else float.fromhex(text)
    return float(text) if _DECIMAL.fullmatch(text) else math.nan
