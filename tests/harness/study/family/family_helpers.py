"""Members of a family by hand: runs whose answers are as a pattern says, and measurements of
perplexity with the figures that a test asks for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from harness.cli import app
from harness.engine import runlog
from harness.result.publish import publish
from tests.harness.study.gating.test_gate import edit, make
from tests.harness.study.gating.test_gate_tasks import solved

MIB = 2**20


def member(place: Path, model: str, variant: str, pattern: str, file: Path, **facts: Any) -> Path:
    """The folder of a run of a model in a precision on a task; R is right, w wrong, - no answer."""
    asked = {name: facts.pop(name) for name in ("shots",) if name in facts}
    made = solved(_place(place), pattern, variant, file, **asked)
    return _of(made, model, facts)


def answered(place: Path, model: str, variant: str, texts: list[str], file: Path) -> Path:
    """The folder of a run that gave these answers to a dataset."""
    return _of(make(_place(place), texts, variant, file), model, {})


def _place(place: Path) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    return place


def _of(made: Path, model: str, facts: dict[str, Any]) -> Path:
    log, known = runlog.read_log(made)
    known.sut |= facts
    runlog.write_log(made, log, known)
    edit(made / "settings.json", "config", model=model)
    report(made)
    return made


def report(run: Path) -> None:
    """Judge a run again from its raw files, as `harness report` does, but for the page."""
    publish(run, page=False)


def subject(model: str, variant: str, bits: float, **more: Any) -> dict[str, Any]:
    """A subject of a measurement of perplexity: bits per byte with an interval of 1 %."""
    figures: dict[str, Any] = {
        "tokens": 1000,
        "texts": 20,
        "weights_bytes": more.pop("weights", None),
    }
    for name, value in (
        ("bits_per_byte", bits),
        ("eval_loss", 2 * bits),
        ("perplexity", 10 * bits),
    ):
        figures |= {name: value, f"{name}_low": 0.99 * value, f"{name}_high": 1.01 * value}
    return {
        "model": model, "variant": variant, "label": f"{model} {variant}", "status": "DONE",
        "folder": f"{model}_{variant}", "tokenizer": "0123456789abcdef", "figures": figures,
        "by_category": {}, **more,
    }  # fmt: skip


def perplexity(place: Path, *subjects: dict[str, Any], pairs: Any = ()) -> Path:
    """The folder of a measurement of perplexity."""
    place.mkdir(parents=True)
    found = {
        "schema": "touchstone.perplexity/2", "status": "DONE",
        "dataset": {"name": "stories", "sha256": "ab" * 32, "texts": 20, "tokens": 1000},
        "settings": {"bos": "auto", "window": None, "stride": None}, "pairs": list(pairs),
        "subjects": list(subjects),
    }  # fmt: skip
    (place / "perplexity.json").write_text(json.dumps(found))
    return place


def family(*folders: Any, flags: tuple[str, ...] = ()) -> tuple[int, Any, str]:
    """(exit code, family.json or None, what was said), through the command line."""
    out = Path(str(folders[0]).partition("=")[2] or str(folders[0])).parent / "families"
    words = ["family", *map(str, folders), "--output-dir", str(out), "--json", *flags]
    done = CliRunner().invoke(app, words)
    lines = done.stdout.splitlines()
    return done.exit_code, json.loads(lines[-1]) if lines else None, done.stderr


def shown(*folders: Any, width: int = 80) -> str:
    """What the screen shows."""
    out = Path(str(folders[0]).partition("=")[2] or str(folders[0])).parent / "families"
    words = ["family", *map(str, folders), "--output-dir", str(out), "--quiet"]
    done = CliRunner().invoke(app, words, env={"COLUMNS": str(width)})
    assert done.exit_code == 0, done.stderr
    return done.stdout


def flat(screen: str) -> str:
    """The words of a screen on one line, without its frames."""
    return " ".join(screen.replace("│", " ").split())
