"""Where is the script of a metric? At the path that was named, in a clone of `evaluate`'s
repository, or in the cache where `evaluate` keeps what it has loaded before. Never on the network.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.kernel.errors import BadInput
from harness.kernel.foreign.own_files import sha256

REPOSITORY = "https://github.com/huggingface/evaluate"
_KINDS = ("metrics", "measurements")  # folders of the repository
_CACHED = ("evaluate-metric--", "evaluate-measurement--")  # before a name without a user
_HASH = 64  # characters of the folder that holds a cached script


class Metric(NamedTuple):
    """`load` is what `evaluate.load` is given: a path, or the name of a cached metric."""

    name: str
    load: str
    script: Path
    is_cached: bool


def find(named: str, clone: str) -> Metric:
    """Return the metric of this path or name. Raises BadInput if it is not on this machine."""
    path = Path(named).expanduser()
    if (found := _at(path)) is not None:
        return _checked(found)
    looks_like_path = path.suffix == ".py" or named.startswith((".", "/", "~")) or path.is_dir()
    if looks_like_path and not (path.is_dir() and path.name == named):
        raise _missing_at(path)
    places = [Path(clone) / kind / named for kind in _KINDS] if clone else []
    for place in places:
        if (found := _at(place)) is not None:
            return _checked(found)
    cache = modules_cache()
    if (script := _cached(named, cache)) is not None:
        return Metric(script.stem, named, script, True)
    where = [f"in {clone}/{{{','.join(_KINDS)}}}"] if clone else []
    where.append(f"in the cache {cache}")
    raise BadInput(
        f"--task {named}",
        f"there is no such metric {' or '.join(where)}",
        "metrics are never fetched from the network",
        f"Run: git clone {REPOSITORY} and pass --tool-path evaluate, or name the script's path.",
    )


def find_all(named: Sequence[str], clone: str) -> list[Metric]:
    """Return the metrics, each of which has a name of its own. Raises BadInput."""
    if clone and not any((Path(clone) / kind).is_dir() for kind in _KINDS):
        found = f"{clone!r} has no folder metrics"
        todo = f"Run: git clone {REPOSITORY} and pass the folder."
        raise BadInput("--tool-path", found, "expected a clone of evaluate's repository", todo)
    metrics = dict[str, Metric]()
    for one in named:
        metric = find(one, clone)
        if metric.name in metrics:
            fine = "figures are told apart by the metric's name"
            raise BadInput("--task", f"{metric.name} is named twice", fine, "Name it once.")
        metrics[metric.name] = metric
    return list(metrics.values())


def modules_cache() -> Path:
    """Return where Hugging Face's libraries keep the scripts that they have loaded."""
    if given := os.environ.get("HF_MODULES_CACHE"):
        return Path(given).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{cache}/huggingface"
    return Path(home).expanduser() / "modules"


def digest(metric: Metric) -> str:
    """Return the SHA-256 of the script."""
    return sha256(metric.script)


def _at(path: Path) -> Metric | None:
    """Return the metric of a script, or of a folder with a script of its name."""
    script = path if path.suffix == ".py" else path / f"{path.resolve().name}.py"
    if not script.is_file():
        return None
    return Metric(script.stem, str(script.absolute()), script, False)


def _cached(named: str, cache: Path) -> Path | None:
    """Return the newest script that `evaluate` has kept of a name, or of USER/NAME."""
    user, _, name = named.rpartition("/")
    prefixes = (f"{user}--",) if user else _CACHED
    for prefix in prefixes:
        folder = cache / "evaluate_modules" / "metrics" / f"{prefix}{name}"
        scripts = [path for path in folder.glob(f"*/{name}.py") if len(path.parent.name) == _HASH]
        if scripts:
            return max(scripts, key=lambda path: path.stat().st_mtime)
    return None


def _checked(metric: Metric) -> Metric:
    """Refuse a script that has no class made from another: it is no metric. Raises BadInput."""
    try:
        tree = ast.parse(metric.script.read_bytes())
    except (OSError, ValueError, SyntaxError):
        return metric  # the tool's own Python will say what it thinks of it
    if not any(isinstance(node, ast.ClassDef) and node.bases for node in ast.walk(tree)):
        found, fine = "it defines no metric", "expected a class that is an evaluate.Metric"
        todo = "Name the script of a metric."
        raise BadInput(f"--task {metric.script}", found, fine, todo)
    return metric


def _missing_at(path: Path) -> BadInput:
    found = f"it has no {path.resolve().name}.py" if path.is_dir() else "there is no such file"
    fine = "a metric is a script, or a folder with a script of its name"
    return BadInput(f"--task {path}", found, fine, "Check the path.")
