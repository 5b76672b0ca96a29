"""The files of a submission as MLCommons' checker finds them: places, logs, JSON files.

A tree is data: path inside the submission (with slashes) -> content. Only `read_tree` touches the
disk. What the official checker stumbles over when it reads (a first line that is no event, bytes
that are not UTF-8, a JSON file that is no object) is a complaint here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from harness.kernel.errors import BadInput
from harness.kernel.foreign.own_files import MOST_LOG_BYTES, read_bytes
from harness.kernel.foreign.parsed import loads
from harness.kernel.places import wrong_path
from reports.submission.rules import DIVISIONS, MODEL_NAMES

Tree = Mapping[str, str]  # an empty folder has a path that ends with a slash

UNSEEN = " (the official checker does not see this)"
_FOLDERS = {
    name.lower(): name
    for name in ("Offline", "Server", "Interactive", "SingleStream", "MultiStream")
}
_MARK = re.compile(r":::(MLLOG|ENDPTS)")
_ONCE = ("effective_", "requested_", "result_", "early_stopping_", "sut_name", "loadgen_version")


class Problem(NamedTuple):
    """One thing that is wrong, and whether the official checker refuses it too."""

    path: str
    what: str
    seen: bool = True

    def __str__(self) -> str:
        return f"{self.path}: {self.what}{'' if self.seen else UNSEEN}"


class Place(NamedTuple):
    """Where a result stands: the names of the folders above its files."""

    division: str
    submitter: str
    system: str
    benchmark: str
    scenario: str

    @property
    def root(self) -> str:
        return f"{self.division}/{self.submitter}"

    @property
    def results(self) -> str:
        return f"{self.root}/results/{self.system}/{self.benchmark}/{self.scenario}"

    @property
    def src(self) -> str:
        return f"{self.root}/src/{self.system}/{self.benchmark}/{self.scenario}"

    @property
    def system_file(self) -> str:
        return f"{self.root}/systems/{self.system}.json"

    @property
    def kind(self) -> str:
        """Return the scenario as MLPerf spells it; the checker takes small letters too."""
        small = self.scenario.lower()
        return _FOLDERS.get(small, self.scenario) if self.scenario == small else self.scenario


def read_tree(folder: Path) -> dict[str, str]:
    """Read the files of a submission; of a folder that has no division, none: it may be anything,
    a whole disk too. Raises BadInput.

    Bytes that are not UTF-8 become lone surrogates, which `is_text` finds again.
    """
    try:
        if not folder.is_dir():
            raise wrong_path(f"reading {folder}", folder, "expected the root of a submission")
        if not any((folder / division).is_dir() for division in DIVISIONS):
            return {}
        return _files(folder)
    except OSError as error:
        found = f"{error.filename} cannot be read ({error.strerror})"
        raise BadInput(f"reading {folder}", found, "a whole submission") from None


def _files(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = os.readlink(path)  # its text, as git keeps it: no link is followed
        elif path.is_dir():
            found |= {} if any(path.iterdir()) else {f"{name}/": ""}
        elif path.is_file():
            found[name] = read_bytes(path, MOST_LOG_BYTES).decode(errors="surrogateescape")
    return found


def places(tree: Tree) -> list[Place]:
    """Yield every folder <division>/<submitter>/results/<system>/<benchmark>/<scenario>."""
    parts = (path.split("/") for path in tree)
    return sorted(
        {
            Place(p[0], p[1], *p[3:6])
            for p in parts
            if len(p) > 6 and p[0] in DIVISIONS and p[2] == "results"
        }
    )


def submitters(tree: Tree) -> list[str]:
    """Return <division>/<submitter> of all who stand in the tree."""
    parts = (path.split("/") for path in tree)
    return sorted({f"{p[0]}/{p[1]}" for p in parts if len(p) > 2 and p[0] in DIVISIONS})


def systems(tree: Tree) -> list[tuple[str, str]]:
    """Return (<division>/<submitter>, system) for every folder of results."""
    parts = (path.split("/") for path in tree)
    return sorted(
        {
            (f"{p[0]}/{p[1]}", p[3])
            for p in parts
            if len(p) > 4 and p[0] in DIVISIONS and p[2] == "results"
        }
    )


def benchmark_of(tree: Tree, place: Place) -> str:
    """Return MLPerf's name of a benchmark that goes by another one.

    The open division may map its names in <submitter>/model_mapping.json.
    """
    name = MODEL_NAMES.get(place.benchmark, place.benchmark)
    if place.division != "open" or name != place.benchmark:
        return name
    own, _ = json_object(tree, f"{place.root}/model_mapping.json")
    return str(own.get(name, name))


# ---- files


def is_text(content: str) -> bool:
    return not any("\udc80" <= character <= "\udcff" for character in content)


def json_object(tree: Tree, path: str) -> tuple[dict[str, Any], str]:
    """Return (object, complaint); one of them is empty."""
    if path not in tree:
        return {}, "missing"
    if not is_text(tree[path]):
        return {}, "not UTF-8"
    try:
        found = loads(tree[path])
    except ValueError as error:
        return {}, f"no JSON ({error})"
    return (found, "") if isinstance(found, dict) else ({}, "not an object")


@dataclass(slots=True)
class Log:
    """Read a detail log: the first value of each key, as the official checker takes it."""

    values: dict[str, Any] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)  # keys that a log of LoadGen's has once

    def number(self, key: str) -> float | None:
        value = self.values.get(key)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return value if is_number else None


def read_log(tree: Tree, path: str) -> tuple[Log, str]:
    """Return (log, complaint). The first line says by its mark which lines are events."""
    if path not in tree:
        return Log(), "missing"
    if not is_text(tree[path]):
        return Log(), "not UTF-8"
    lines = tree[path].replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not (mark := _MARK.match(lines[0])):
        return Log(), "line 1 is no log event"
    log = Log()
    for number, line in enumerate(lines, 1):
        if not line.startswith(mark[0]):
            continue
        try:
            event = loads(line[mark.end() :])
            key, value, is_error = event["key"], event["value"], event["metadata"]["is_error"]
        except (ValueError, KeyError, TypeError):
            return Log(), f"line {number} is no log event"
        if key in log.values and str(key).startswith(_ONCE) and key not in log.doubled:
            log.doubled.append(key)
        log.values.setdefault(key, value)
        if is_error:
            log.errors.append(str(value))
    return log, ""


def lines_of(content: str) -> Iterator[str]:
    """Split lines as Python reads a text file, whatever ends them."""
    yield from content.replace("\r\n", "\n").replace("\r", "\n").split("\n")
