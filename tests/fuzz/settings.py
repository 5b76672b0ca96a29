"""TOML files of settings, and LoadGen's configuration files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from harness.options.conf.keys import KEYS
from harness.options.run_options import OPTIONS
from harness.options.settings import load_config
from tests.fuzz.inputs import bent, odd, raw, rotten, torn
from tests.fuzz.lane import command

_GOOD = {
    "scenario": "server", "sut": "simulated", "clock": "virtual", "target_qps": 10,
    "min_duration": "1s", "min_queries": 5, "seeds": "v6.1", "sut_options": {"ttft_ms": 5},
    "output_dir": "runs", "percentile": 90, "ttft_limit": "200ms",
}  # fmt: skip
_CONF = """# a comment
*.Server.target_qps = 10
*.Server.target_latency = 2000
*.*.min_duration = 1000
llama2-70b.Server.ttft_latency = 2000
llama2-70b.*.tpot_latency = 200
*.Offline.target_qps = 3.5
*.Server.min_query_count = 5
*.SingleStream.target_latency_percentile = 90
"""
_CONF_NAMES = ("user.conf", "mlperf.conf", "audit.config")
_CLI = 0.01  # of the inputs go through the whole command


def toml(place: Path) -> Callable[[Random], None]:
    os.chdir(place)

    def send(rng: Random) -> None:
        file = place / rng.choice(("c.toml", "\x1b[2J.toml", "[x].toml"))
        file.write_bytes(_toml_file(rng))
        if rng.random() < _CLI:
            command(["plan", "--config", str(file), "--sut", "simulated"])
        else:
            load_config({}, file)

    return send


def _toml_file(rng: Random) -> bytes:
    values = dict(_GOOD)
    for name in rng.sample(list(OPTIONS), rng.randrange(4)):
        values[name] = odd(rng)
    if rng.random() < 0.5:
        at = rng.choice(list(values))
        values[at] = bent(values[at], rng)
    text = "".join(f"{_key(name, rng)} = {_toml(value)}\n" for name, value in values.items())
    if rng.random() < 0.3:
        text = torn(text, rng)
    if rng.random() < 0.05:
        text += f"deep = {'[' * 3000}{']' * 3000}\n"
    return rotten(raw(text), rng) if rng.random() < 0.1 else raw(text)


def _key(name: str, rng: Random) -> str:
    is_bare = name.isidentifier() and name.isascii()
    return name if is_bare and rng.random() < 0.99 else json.dumps(name)


def _toml(value: Any) -> str:
    """Return a value in TOML's syntax; None has none there, and stays as a mistake."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        parts, deepest = [], value
        while isinstance(deepest, list) and len(deepest) == 1:  # without recursion
            parts.append("[")
            deepest = deepest[0]
        if len(parts) > 100:
            return "[" * len(parts) + "]" * len(parts)
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, float) and not isinstance(value, bool):
        return repr(value)
    return json.dumps(value)


def conf(place: Path) -> Callable[[Random], None]:
    os.chdir(place)

    def send(rng: Random) -> None:
        files = []
        for name in rng.sample(_CONF_NAMES, rng.choice((1, 1, 1, 2, 3))):
            (place / name).write_bytes(_conf_file(rng))
            files.append(place / name)
        flags = {"scenario": rng.choice(("server", "offline")), "sut": "simulated"}
        if rng.random() < _CLI:
            words = [word for file in files for word in ("--user-conf", str(file))]
            command(["plan", "--scenario", "server", "--sut", "simulated", *words])
        else:
            load_config(flags | {"user_conf": files})

    return send


def _conf_file(rng: Random) -> bytes:
    lines = _CONF.splitlines()
    for _ in range(rng.randrange(4)):
        model = rng.choice(("*", "llama2-70b", "gptj", "nobody", ""))
        scenario = rng.choice(("*", "Server", "Offline", "server", ""))
        value = odd(rng) if rng.random() < 0.5 else rng.randrange(100)
        lines.append(f"{model}.{scenario}.{rng.choice(list(KEYS))} = {value}")
    text = "\n".join(rng.sample(lines, rng.randrange(len(lines) + 1))) + "\n"
    if rng.random() < 0.5:
        text = torn(text, rng)
    return rotten(raw(text), rng) if rng.random() < 0.1 else raw(text)
