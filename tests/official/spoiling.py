"""How a tree is spoiled: changes of its files, and a row of the table."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from reports.mlperf.files import ACCURACY, DETAIL, SUMMARY
from tests.official.trees import BASES
from tests.package_helpers import replaced

Tree = Mapping[str, str]
Change = Callable[[Tree], Tree]


class Spoiled(NamedTuple):
    """`refused_by`: both, ours or neither. `why`: what makes ours stricter."""

    name: str
    base: str
    change: Change
    refused_by: str = "both"
    why: str = ""


def path(base: str, scenario: str, name: str) -> str:
    """A file of a result; `name` is one of the short ones below, or a path inside the result."""
    place = BASES["llama3.1-8b"]._replace(division="network") if base == "network" else BASES[base]
    return f"{place.place}/{scenario}/{_SHORT.get(name, name)}"


_SHORT = {
    "timed": f"performance/run_1/{DETAIL}",
    "summary": f"performance/run_1/{SUMMARY}",
    "scored": f"accuracy/{DETAIL}",
    "answers": f"accuracy/{ACCURACY}",
    "scores": "accuracy/accuracy.txt",
    "test06": "TEST06/verify_accuracy.txt",
    "test07": "TEST07/verify_accuracy.txt",
    "test09": "TEST09/verify_output_len.txt",
}


def system(base: str) -> str:
    place = path(base, "Server", "")
    return re.sub(r"/results/.*", "/systems/box.json", place)


def fields(where: str, **changes: object) -> Change:
    """A JSON file with other fields; `...` takes one out."""

    def change(tree: Tree) -> Tree:
        found = json.loads(tree[where]) | changes
        return {**tree, where: json.dumps({k: v for k, v in found.items() if v is not ...})}

    return change


def event(where: str, key: str, new: object) -> Change:
    """A log with another value of `key`, given as JSON."""
    return replaced(where, rf'("key": "{key}", "value": )[^,]+', rf"\g<1>{new}")


def without(folder: str) -> Change:
    return lambda tree: {name: text for name, text in tree.items() if not name.startswith(folder)}


def both(*changes: Change) -> Change:
    def change(tree: Tree) -> Tree:
        for one in changes:
            tree = one(tree)
        return tree

    return change


def gone(where: str) -> Change:
    return replaced(where, "", None)
