"""How does `harness serve` begin and end? The address is taken first, so that a port in use costs
no loading; then the model is loaded in a process of its own; then answers are given until a stop.
"""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from harness.engine.environment import versions
from harness.kernel.process.streams import put, tell
from harness.kernel.protocols import Say
from harness.serve.asking.prompts import Prompts
from harness.serve.desk import Desk
from harness.serve.golden import golden, serve_golden
from harness.serve.house import ANY, House
from harness.serve.metrics import Metrics
from harness.serve.server import listener, run, url_of
from harness.serve.settings import Settings
from sut.border.threads import environment
from sut.prompts import tokenizer
from sut.prompts.words import Words
from sut.serving.engine import Engine

Show = Callable[[str], None]


def serve(settings: Settings, say: Say, show: Show, as_json: bool) -> int:
    """Serve until told to stop; return the exit code. Raises HarnessError."""
    with listener(settings.host, settings.port) as bound:
        if settings.flags["sut"] == "simulated":
            return _serve_golden(settings, bound, show, as_json)
        return _serve_model(settings, bound, say, show, as_json)


def _serve_golden(settings: Settings, bound: socket.socket, show: Show, as_json: bool) -> int:
    chosen = golden(settings.flags["sut_options"], settings.key)
    facts = {"url": url_of(bound), "models": [chosen.model], "context": chosen.context}

    def ready() -> None:
        sentence = f"Serving known tokens at {facts['url']}, without a model. Ctrl-C stops it."
        _say_ready(facts, sentence, show, as_json)

    return serve_golden(chosen, bound, ready)


def _say_ready(facts: dict[str, Any], sentence: str, show: Show, as_json: bool) -> None:
    if as_json:
        put(json.dumps(facts, separators=(",", ":")) + "\n")
    else:
        show(sentence)


def _serve_model(
    settings: Settings, bound: socket.socket, say: Say, show: Show, as_json: bool
) -> int:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="touchstone_serve_")))
        options = settings.options(say)
        say(f"loading {settings.names[0]} in {options.variant}")
        engine = stack.enter_context(closing(Engine(options, folder / "engine.log", environment())))
        house = _house(settings, engine, options.trust_remote_code)
        stack.enter_context(closing(house.prompts))
        say("")

        def ready() -> None:
            facts = _facts(settings, engine, url_of(bound))
            _say_ready(facts, _sentence(facts), show, as_json)

        for note in _notes(settings, engine):
            tell(f"note: {note}")
        return run(house, engine, bound, ready)


def _house(settings: Settings, engine: Engine, trust_remote_code: bool) -> House:
    info = engine.info
    own = tokenizer.load(info.model, trust_remote_code=trust_remote_code)
    metrics = Metrics(settings.names[0], info)
    return House(
        desk=Desk(engine, metrics, settings.most_waiting),
        prompts=Prompts(own, info.vocabulary),
        words=Words(own),
        tokenizer=own,
        names=settings.names,
        version=versions()["touchstone"],
        key=settings.key,
        short_name=settings.short_name,
    )


def _facts(settings: Settings, engine: Engine, url: str) -> dict[str, Any]:
    info = engine.info
    return {
        "url": url,
        "models": [name for name in settings.names if name != ANY],
        "variant": info.variant,
        "dtype": info.dtype,
        "device": info.device,
        "context": info.max_len,
        "max_concurrency": info.max_rows,
        "max_queue": settings.most_waiting,
        "pid": engine.pid,
    }


def _sentence(facts: dict[str, Any]) -> str:
    model = f"{facts['models'][0]} in {facts['variant']} on {facts['device']}"
    room = f"{facts['context']:,} tokens of context, {facts['max_concurrency']} answers at a time"
    return f"Serving {model} at {facts['url']} ({room}). Ctrl-C stops it."


def _notes(settings: Settings, engine: Engine) -> list[str]:
    """Say what whoever started it must know."""
    notes = list(engine.info.notes)
    if settings.is_for_all:
        found = "anybody who reaches this machine may use the model"
        notes.append(f"{found}; --api-key-env NAME asks them for a key")
    return notes
