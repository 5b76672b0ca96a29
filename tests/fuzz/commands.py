"""Flags of every command, with values that nobody means.

What could fetch a model, start a process or run for minutes is kept out by the words at the end:
the last of two equal flags counts.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random
from typing import Any

import typer

from harness.cli import app
from harness.options.kinds import is_number
from harness.options.run_options import OPTIONS
from tests.fuzz.inputs import ODD_NUMBERS, ODD_TEXTS, torn
from tests.fuzz.lane import command

_GROUP: Any = typer.main.get_command(app)
_SLOW = {"doctor", "serve"}  # it measures; it goes on until it is stopped
_TINY = ["--sut", "simulated", "--clock", "virtual", "--driver", "touchstone"]
_ENDS = {
    "plan": ["--sut", "simulated"],
    "run": [*_TINY, "--mode", "performance", "--max-queries", "2", "--min-queries", "1",
            "--output-dir", "runs"],
    "compare": [*_TINY, "--dataset", "absent.jsonl", "--output-dir", "runs"],
    "gate": ["--dataset", "absent.jsonl", "--model", "./absent", "--output-dir", "runs"],
    "perplexity": ["--dataset", "absent.jsonl", "--model", "./absent", "--output-dir", "runs"],
    "package": ["--output", "tree"],
}  # fmt: skip
_LIKELY = {"--scenario": ("server", "offline", "single-stream", "multi-stream")}
_COMMANDS = ("plan",) * 20 + tuple(name for name in _GROUP.commands if name not in _SLOW)


def flags(place: Path) -> Any:
    os.chdir(place)
    for name in ("empty.jsonl", "empty.toml", "user.conf"):
        (place / name).touch()
    (place / "folder").mkdir(exist_ok=True)
    (place / "good.jsonl").write_text('{"question": "a", "answer": "b"}\n' * 9)
    (place / "runs").mkdir(exist_ok=True)
    names = ("runs", "folder", "good.jsonl", "empty.jsonl", "empty.toml", "user.conf", str(place))
    texts = (*ODD_TEXTS, *names)

    def send(rng: Random) -> None:
        command(_words(rng, texts))

    return send


def _words(rng: Random, texts: tuple[str, ...]) -> list[str]:
    name = rng.choice(_COMMANDS)
    if name == "run" and rng.random() < 0.8:
        name = "plan"  # a run takes a second
    params = _GROUP.commands[name].params
    options = [param for param in params if param.param_type_name == "option"]
    words = [name]
    if rng.random() < 0.8 and any("--scenario" in param.opts for param in options):
        words += ["--scenario", rng.choice(_LIKELY["--scenario"])]
    for param in rng.sample(options, min(len(options), rng.choice((1, 1, 2, 3, 6)))):
        words += _flag(param, rng, texts)
    for param in params:
        is_argument = param.param_type_name == "argument"
        if is_argument or (param.required and rng.random() < 0.95):
            words += [rng.choice(param.opts)] * (not is_argument) + [rng.choice(texts)]
    if rng.random() < 0.05:
        words.insert(rng.randrange(len(words)), rng.choice(texts))
    return [*words, *_ENDS.get(name, [])]


def _flag(param: Any, rng: Random, texts: tuple[str, ...]) -> list[str]:
    flag = rng.choice([*param.opts, *param.secondary_opts])
    if param.is_flag:
        return [flag]
    if rng.random() < 0.5:
        return [flag, _likely(param, rng)]
    value = rng.choice(texts)
    if rng.random() < 0.4:
        value = str(rng.choice(ODD_NUMBERS))
    if rng.random() < 0.1:
        value = torn(value, rng)
    return [flag, value]


def _likely(param: Any, rng: Random) -> str:
    """Return a value that the flag may well take."""
    option = OPTIONS.get(param.name)
    if option is not None and option.unit != "s" and is_number(option.hint):
        return str(rng.randrange(1, 99))
    if param.name == "form":
        return rng.choice(("csv", "markdown", "table"))
    if param.metavar == "TIME":
        return rng.choice(("1s", "200ms", "0.5", "2m"))
    words = ("fp32", "qa", "1", "10", "50,90", "good.jsonl", "cpu", "question", "v6.1", "auto")
    return rng.choice((*words, "quick", "unique", "accuracy", "performance", "mlperf", "x=1"))
