"""Which words of a command line are runs, and which are options of a metric? Options are NAME=VALUE
for all metrics and METRIC.NAME=VALUE for one; a value is JSON where it reads as JSON, else text.

    runs/A runs/B -- use_stemmer=true bertscore.lang=en
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.kernel.errors import BadInput
from harness.kernel.foreign import parsed

_OPTION = re.compile(r"(?:(?P<metric>[\w-]+)\.)?(?P<name>[A-Za-z_]\w*)=(?P<value>.*)", re.DOTALL)


def apart(words: Sequence[str]) -> tuple[list[Path], tuple[str, ...]]:
    """Return the folders of runs, and the options. Raises BadInput."""
    options = tuple(word for word in words if _OPTION.fullmatch(word))
    others = [word for word in words if word not in options]
    if flags := [word for word in others if word.startswith("-")]:
        fine = "options of a metric are NAME=VALUE, or METRIC.NAME=VALUE"
        raise BadInput("options of a metric", repr(flags[0]), fine, "Pass -- use_stemmer=true.")
    if not others:
        fine = "it scores answers that exist"
        todo = "Make runs with: python -m harness run --mode accuracy, and pass their folders."
        raise BadInput("evaluate", "the folders of finished runs are missing", fine, todo)
    folders = [Path(word).expanduser() for word in others]
    if twice := [str(one) for one in folders if folders.count(one) > 1]:
        raise BadInput("evaluate", f"{twice[0]} is named twice", "", "Name it once.")
    return folders, options


def options_of(metric: str, options: Sequence[str], known: Sequence[str] = ()) -> dict[str, Any]:
    """Return the options of one metric; its own count for more than those of all. Raises BadInput
    for an option of a metric that is not among the `known`, if these are given.
    """
    shared, own = dict[str, Any](), dict[str, Any]()
    for option in options:
        found = _OPTION.fullmatch(option)
        if found is None:
            raise BadInput("options of a metric", repr(option), "expected NAME=VALUE", "")
        if found["metric"] is None:
            shared[found["name"]] = _value(found["value"])
        elif known and found["metric"] not in known:
            fine = f"--task names {', '.join(known)}"
            raise BadInput(option, f"no metric is called {found['metric']}", fine, "Correct it.")
        elif found["metric"] == metric:
            own[found["name"]] = _value(found["value"])
    return shared | own


def _value(text: str) -> Any:
    try:
        return parsed.loads(text)
    except ValueError:
        return text
