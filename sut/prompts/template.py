"""What does the chat template make of a prompt? One user's turn and the opening of the assistant's,
as text, the same in every run.

A template is a program. What it may see of the world is held still, so that two runs of one model
get the same prompts: its clock (`strftime_now`, as Llama 3 and Granite call it) stands at DATE,
the date that Llama 3.1's own template falls back on without a clock, and its random draws begin
anew for every prompt. It runs in a copy of this process (`apart`), where it may take `_PATIENCE_S`
and `_MORE_BYTES`, and it may write `_MOST_CHARACTERS`.

A template may also lose the prompt: those of some multimodal models read a list of parts instead of
a string and drop what is none. Such a template is given the parts; one that loses the prompt both
ways is refused.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

from harness.kernel.errors import SetupFailed, first_line
from sut.prompts.apart import Apart, Ended

DATE = datetime.datetime(2024, 7, 26)
_DRAWING = ("random", "lipsum")  # Jinja's filter and function that draw
_PATIENCE_S = 30.0
_MORE_BYTES = 1 << 30  # than this process has
_MOST_CHARACTERS = 10_000_000  # beside the prompt's own
_OTHER = "another prompt"  # around a prompt: a text that must become another one
_TODO = "Choose a model whose template takes one user's turn, or correct its chat template."


class ChatTemplate:
    """The tokenizer's chat template, if it has one, and what was noticed while using it."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.is_there = tokenizer.chat_template is not None
        self.asks_for_date = False
        self._draws = any(word in str(tokenizer.chat_template) for word in _DRAWING)
        self.changed: list[str] = []  # names of the prompts that do not stand in it as they are
        self._in_parts = False
        self._apart = Apart(partial(_rendered, tokenizer, self._draws), _MORE_BYTES)
        if isinstance(tokenizer.chat_template, dict):
            _check_default(tokenizer.chat_template)

    def prompt(self, content: str, name: str) -> str:
        """Return the text of a user's turn and the beginning of the assistant's. Raises SetupFailed
        naming the prompt that the template refuses or loses.
        """
        text = self._prompt(content, name, self._in_parts)
        if content.strip() in text:
            return text
        other = f"{_OTHER}{content}{_OTHER}"
        if text != self._prompt(other, name, self._in_parts):
            self.changed.append(name)
            return text
        in_parts = self._prompt(content, name, in_parts=True)
        if content.strip() in in_parts:
            self._in_parts = True
            return in_parts
        found = "the chat template leaves its text out"
        raise SetupFailed(name, found, "a prompt must stand in what the model reads", _TODO)

    def _prompt(self, content: str, name: str, in_parts: bool) -> str:
        return self.render([_turn("user", content, in_parts)], name, add_generation_prompt=True)

    def conversation(self, history: Sequence[tuple[str, str]], content: str, name: str) -> str:
        """Return the text of the turns before, of a user's turn and the beginning of the
        assistant's. Raises SetupFailed naming the prompt that the template refuses.
        """
        told = [*history, ("user", content)]
        for in_parts in (self._in_parts, True):
            turns = [_turn(role, text, in_parts) for role, text in told]
            text = self.render(turns, name, add_generation_prompt=True)
            if content.strip() in text:
                return text
        self.changed.append(name)
        return text

    def exchange(self, question: str, answer: str) -> str:
        """Return the text of a user's turn and a whole turn of the assistant; nothing if the answer
        does not stand in it.
        """
        turns = [("user", question), ("assistant", answer)]
        for in_parts in (False, True):
            told = [_turn(role, content, in_parts) for role, content in turns]
            text = self.render(told, "the turn of an assistant")
            if answer in text:
                return text
        return ""

    def render(self, turns: list[dict[str, Any]], name: str, **options: Any) -> str:
        """Return the text of these turns. Raises SetupFailed with the template's words."""
        try:
            answer = self._apart.ask([turns, options], _PATIENCE_S)
        except TimeoutError:
            found = f"the chat template is not done with it after {_PATIENCE_S:g} s"
            raise SetupFailed(name, found, "a template takes milliseconds", _TODO) from None
        except Ended as how:
            found = f"the chat template ends the process that renders it: {how}"
            raise SetupFailed(name, found, "", _TODO) from None
        self.asks_for_date = self.asks_for_date or answer["asks_for_date"]
        if (broken := answer["broken"]) is not None:
            raise _refusal(name, **broken)
        if answer["characters"] - len(str(turns)) > _MOST_CHARACTERS:
            found = f"the chat template makes {answer['characters']:,} characters of it"
            raise SetupFailed(name, found, "a prompt is shorter", _TODO)
        return str(answer["text"])

    def close(self) -> None:
        """End the copy of this process that renders."""
        self._apart.close()

    def notes(self) -> Iterator[str]:
        """Say what a reader of the answers must know of the template."""
        if self.asks_for_date:
            yield (
                f"its chat template asks for the date: it is told {DATE:%Y-%m-%d} in every run, so"
                " that prompts do not change from day to day"
            )
        if self._draws:
            yield "its chat template draws at random: every prompt gets the same draws (seed 0)"
        if self._in_parts:
            yield "its chat template reads prompts as lists of parts, and gets them so"
        if self.changed:
            yield f"its chat template changes the text of {counted(self.changed)}"


def counted(names: Sequence[str]) -> str:
    """Say how many prompts these are, and which is the first."""
    if len(names) == 1:
        return f"the prompt of {names[0]}"
    return f"{len(names)} prompts ({names[0]} is the first)"


def _turn(role: str, content: str, in_parts: bool) -> dict[str, Any]:
    if in_parts:
        return {"role": role, "content": [{"type": "text", "text": content}]}
    return {"role": role, "content": content}


def _check_default(templates: dict[str, str]) -> None:
    if "default" not in templates:
        found = f"it has several ({', '.join(sorted(templates))}) and none is called 'default'"
        fine = "expected one, or a default among them"
        todo = "Name one of them 'default' in the model's folder."
        raise SetupFailed("the chat template", found, fine, todo)


def _refusal(name: str, kind: str, words: str, line: int | None) -> SetupFailed:
    """Tell a template's own refusal (the kind of exception and its words) from one that breaks."""
    words = words.rstrip(".")
    if kind == "MemoryError":
        found = f"the chat template takes more than {_MORE_BYTES / 2**30:g} GiB of memory for it"
        return SetupFailed(name, found, "a template takes some KiB", _TODO)
    if kind == "TemplateError":
        return SetupFailed(name, f"the chat template refuses it: {words}", "", _TODO)
    if kind in ("TemplateSyntaxError", "TemplateAssertionError"):
        found = f"line {'?' if line is None else line}: {words}"
        return SetupFailed("reading the chat template", found, "expected a Jinja template", _TODO)
    return SetupFailed(name, f"the chat template breaks on it ({kind}: {words})", "", _TODO)


# ---- in the copy of this process


def _rendered(tokenizer: Any, draws: bool, asked: Any) -> dict[str, Any]:
    """Render turns: the text, whether the template asked for the date, or how it broke."""
    turns, options = asked
    text, broken, dates = "", None, list[bool]()
    try:
        with _stopped_clock(dates), _seeded() if draws else nullcontext():
            text = str(tokenizer.apply_chat_template(turns, tokenize=False, **options))
    except Exception as error:
        line = getattr(error, "lineno", None)
        broken = {"kind": type(error).__name__, "words": first_line(error), "line": line}
    shown = text[: len(str(turns)) + _MOST_CHARACTERS]
    known = {"text": shown, "characters": len(text), "broken": broken}
    return known | {"asks_for_date": bool(dates)}


@contextmanager
def _stopped_clock(asked: list[bool]) -> Iterator[None]:
    """Stop the template's clock; note in `asked` whether it asked for the date."""
    from transformers.utils import chat_template_utils

    class Clock:
        @staticmethod
        def now(*_: Any) -> datetime.datetime:
            asked.append(True)
            return DATE

    names = vars(chat_template_utils)  # where the library looks `datetime` up
    real, names["datetime"] = names["datetime"], Clock
    try:
        yield
    finally:
        names["datetime"] = real


@contextmanager
def _seeded() -> Iterator[None]:
    """Let Python's own draws begin at seed 0 inside, and go on as they would have afterwards."""
    before = random.getstate()
    random.seed(0)
    try:
        yield
    finally:
        random.setstate(before)
