"""How does an evaluation that was interrupted go on? From the settings in its evaluate.json, with
the same version of the tool, over the variants that have not ended.

The folder may be somebody else's, and a tool runs code: what was named by hand (a Python, a folder,
a file of tasks, options for the tool) is used with the user's consent alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.evaluators import record
from harness.evaluators.job import Asked, Job, job
from harness.evaluators.record import FILE, INTERRUPTED, Evaluation
from harness.kernel.errors import BadInput
from harness.kernel.foreign.consent import Consent, Wish, require
from harness.kernel.places import expanded
from harness.kernel.privacy.secrets import hidden_options
from harness.options.run_options import OPTIONS
from harness.options.saved import given_again, model_wishes

_PATHS = ("tool_python", "tool_path")
_OWN = ("variants", "base_url", "tokenizer", "timeout", "max_len")  # as they are
_FINE = "expected it as it was written"


class Unfinished(NamedTuple):
    """An evaluation that goes on in its folder; its rows are those that have ended."""

    job: Job
    found: Evaluation
    place: Path


def saved(asked: Asked) -> dict[str, Any]:
    """Return what evaluate.json keeps of what was asked, beside tool, tasks and options. Paths
    are absolute, and secrets hidden.
    """
    flags = {name: value for name, value in asked.flags.items() if value is not None}
    for name in ("model", "adapter"):
        if name in flags:
            flags[name] = _absolute(str(flags[name]))
    if "sut_options" in flags:
        flags["sut_options"] = hidden_options(flags["sut_options"])
    own = {name: getattr(asked, name) for name in _OWN}
    paths = {name: getattr(asked, name) for name in _PATHS}
    return {
        "flags": flags,
        **own,
        **{name: path and str(path.absolute()) for name, path in paths.items()},
        "runs": [str(run.absolute()) for run in asked.runs],
    }


def _absolute(name: str) -> str:
    """Return a path as it means the same from any folder; a name as it is."""
    path = expanded(Path(name))
    return str(path.absolute()) if path.exists() else name


def unfinished(place: Path, consent: Consent, options: Mapping[str, Any]) -> Unfinished:
    """Return what is left of an evaluation. `options` of the SUT are those left out. Raises
    BadInput for one that cannot go on, or names what the user has not consented to; SetupFailed if
    the tool is not there.
    """
    found, doing = record.read(place), f"resuming {place}"
    asked = _asked(found, place)
    require(doing, place / FILE, _wishes(asked, found), consent)
    again = given_again(asked.flags.get("sut_options") or {}, options, "simulated", doing)
    asked = asked._replace(flags={**asked.flags, "sut_options": again or None})
    todo = job(asked)
    if todo.version != found.version:
        told = f"{found.tool} is {todo.version or 'another'} now, it was {found.version}"
        fine = "figures of two versions do not stand side by side"
        raise BadInput(doing, told, fine, "Install that version, or evaluate again.")
    found.rows = [row for row in found.rows if row.status != INTERRUPTED]
    ended = {row.folder for row in found.rows}
    found.not_run = [cell.name for cell in todo.cells if cell.folder.as_posix() not in ended]
    return Unfinished(todo, found, place)


def _asked(found: Evaluation, place: Path) -> Asked:
    """Return what was asked. Raises BadInput for settings that are none."""
    known = found.asked
    try:
        flags = {str(name): value for name, value in known["flags"].items()}
        if not set(flags) <= set(OPTIONS):
            raise ValueError
        own = {name: known[name] for name in _OWN}
        own |= {name: known[name] and Path(known[name]) for name in _PATHS}
        return Asked(
            found.tool,
            ",".join(found.tasks),
            dict.fromkeys(("model", "variant", "sut", "sut_options")) | flags,
            **own,
            output_dir=place.parent,
            options=tuple(found.options),
            runs=tuple(Path(run) for run in known["runs"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        todo = "Evaluate again."
        raise BadInput(f"resuming {place}", f"{FILE} lacks its settings", _FINE, todo) from None


def _wishes(asked: Asked, found: Evaluation) -> Iterator[Wish]:
    """Yield what somebody named by hand."""
    flags = asked.flags
    if asked.base_url is not None:
        yield Wish(f"the server {asked.base_url}", "place")
    else:
        model = str(flags["model"] or OPTIONS["model"].default)
        yield from model_wishes([model], flags.get("adapter"), bool(flags.get("trust_remote_code")))
    for path in (asked.tool_python, asked.tool_path):
        if path is not None:
            yield Wish(f"the program {path}", "code")
    if asked.options:
        yield Wish(f"the options {' '.join(asked.options)} of {asked.tool}", "code")
    for task in found.tasks:
        if Path(task.partition("@")[0].partition("::")[0]).exists():
            yield Wish(f"the tasks in {task}", "code")
    yield from (Wish(f"the answers of {run}", "place") for run in asked.runs)
    if asked.tokenizer:
        yield Wish(f"the tokenizer {asked.tokenizer}", "place")
