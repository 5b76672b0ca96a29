"""The same questions for every engine: the embedded qa, in one fixed random order, answers of
exactly the asked length.

Answers must not end early, or the engines would do different work. Ours has no switch for that, and
needs none: `endless` is the same model with an EOS that it never says (weights and tokenizer are
links).
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.bench.answering import Work

MODEL = "smollm2-135m"
NEVER_SAID = {"eos_token_id": 13, "eos_token": "<jupyter_code>"}
SHORTEST, LONGEST = 8, 128  # of the mixed lengths


class Questions:
    """`path` is the model whose chat template and tokenizer make the prompts."""

    def __init__(self, path: Path) -> None:
        from accuracy.datasets.files import load_dataset

        self._path = path
        self._texts = [sample.prompt for sample in load_dataset("qa", LONGEST).samples]
        random.Random(1).shuffle(self._texts)

    def equal(self, requests: int, new_tokens: int) -> Work:
        return self._work([new_tokens] * requests)

    def mixed(self, requests: int, shortest: int = SHORTEST, longest: int = LONGEST) -> Work:
        draw = random.Random(2)
        return self._work([draw.randint(shortest, longest) for _ in range(requests)])

    def _work(self, new_tokens: Sequence[int]) -> Work:
        texts = self._texts[: len(new_tokens)]
        assert len(texts) == len(new_tokens), (
            "no question twice: an engine may keep what it has seen"
        )
        return Work(texts, [self._ids(text) for text in texts], new_tokens)

    def _ids(self, text: str) -> list[int]:
        turns = [{"role": "user", "content": text}]
        prompt = self._tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, tokenize=False
        )
        ids: list[int] = self._tokenizer(prompt, add_special_tokens=False)["input_ids"]
        return ids

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self._path)


@contextmanager
def endless(name: str = MODEL) -> Iterator[Path]:
    """A folder with the model `name` that never says EOS."""
    from sut.model.find import resolve

    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / name
        folder.mkdir()
        for file in Path(resolve(name, print).path).iterdir():
            if file.name.endswith("config.json"):
                (folder / file.name).write_text(
                    json.dumps(_never_ending(json.loads(file.read_text())))
                )
            else:
                (folder / file.name).symlink_to(file)
        yield folder


def _never_ending(config: dict[str, Any]) -> dict[str, Any]:
    return {key: NEVER_SAID.get(key, value) for key, value in config.items()}
