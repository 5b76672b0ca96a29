"""What stands between a model and text: its tokenizer, which ids end an answer, which ids mean
which pieces.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.kernel.errors import SetupFailed, first_line
from harness.kernel.foreign.own_files import read_given
from harness.kernel.foreign.parsed import loads

_OF_PROCESSOR = "chat_template.json"


def load(path: str, **options: Any) -> Any:
    """Return the tokenizer of the model at `path`. Raises SetupFailed."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path, **options)
    except BaseException as error:  # the library in Rust raises nothing narrower
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        fine = "tokenizer.json, or what the model's own tokenizer class reads"
        raise SetupFailed(f"loading the tokenizer of {path!r}", first_line(error), fine) from error


def fingerprint(tokenizer: Any) -> str:
    """Return which ids mean which pieces: the same for every model that shares a vocabulary."""
    pieces = json.dumps(sorted(tokenizer.get_vocab().items()))
    return hashlib.sha256(pieces.encode()).hexdigest()[:16]


def eos_ids(*owners: Any) -> frozenset[int]:
    """Return the ids that end an answer: those of the tokenizer and of each configuration.

    A generation config may name several; a composite configuration has them in its text part.
    """
    ids = set[int]()
    for owner in owners:
        parts = [owner]
        if hasattr(owner, "get_text_config"):
            parts.append(owner.get_text_config())
        for part in parts:
            ids.update(_ids_of(getattr(part, "eos_token_id", None)))
    return frozenset(ids)


def _ids_of(value: Any) -> Iterator[int]:
    """Yield the ids of one, several, or none; -1 stands for none, and text is no id."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    for one in value if isinstance(value, list | tuple | set) else [value]:
        if isinstance(one, int) and one >= 0:
            yield one


def check_end(tokenizer: Any, path: str, config: Any) -> None:
    """Refuse a model of which no file says what ends an answer. Raises SetupFailed."""
    from transformers import GenerationConfig

    if eos_ids(tokenizer, config):
        return
    with suppress(OSError):
        if eos_ids(GenerationConfig.from_pretrained(path)):
            return
    found = "it has no EOS token, and the model's configurations name none"
    todo = "Name its eos_token in tokenizer_config.json."
    raise SetupFailed(f"the tokenizer of {path!r}", found, "an answer would never end", todo)


def unused_templates(tokenizer: Any, path: str, adapter: str | None = None) -> Iterator[str]:
    """Say that a chat template stands where only the processor of images looks, or that an adapter
    was trained with one of its own.
    """
    used = tokenizer.chat_template
    if used is None and (Path(path) / _OF_PROCESSOR).is_file():
        yield (
            f"its chat template stands in {_OF_PROCESSOR}, for its processor alone: prompts go"
            " without it, as the tokenizer takes them"
        )
    own = None if adapter is None else _template_in(Path(adapter))
    if own is not None and own != used:
        yield (
            "its adapter has a chat template of its own, which is not used: prompts go as the base"
            " model's template says"
        )


def _template_in(folder: Path) -> Any:
    """Return the chat template that a folder's files name; None if they name none."""
    file, settings = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    with suppress(OSError, ValueError, AttributeError):
        if file.is_file():
            return file.read_text(encoding="utf-8")
        return loads(read_given(settings).decode()).get("chat_template")
    return None
