"""Which JSON does a client get? The objects of the two APIs, whole and in a stream.

A stream has a chunk for every step of the engine, the role in the first, the finish_reason in the
last one of an answer; then, if asked for, the usage in a chunk without choices (vLLM's clients look
for it there).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.serve.asking.asked import Asked
from harness.serve.telling import logprobs
from harness.serve.telling.choice import Choice, Piece
from sut.prompts.words import Words

Json = dict[str, Any]


@dataclass(slots=True)
class Shape:
    """How the answers to one request are told."""

    asked: Asked
    words: Words
    id: str
    model: str
    created: int
    _name: Any = None
    _offsets: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        as_ids = bool(self.asked.fields["return_tokens_as_token_ids"])
        self._name = logprobs.named(self.words, as_ids)

    @property
    def _is_chat(self) -> bool:
        return self.asked.api == "chat"

    def _head(self, kind: str) -> Json:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    # ---- whole

    def whole(self, choices: Sequence[Choice]) -> Json:
        """Return the answer that comes in one piece."""
        told = self._head("chat.completion" if self._is_chat else "text_completion")
        told["choices"] = [
            self._chat_choice(one) if self._is_chat else self._completion_choice(one)
            for one in choices
        ]
        told["usage"] = usage(choices)
        if self._is_chat:
            told |= self._prompt_facts(choices[0])
        return told

    def _chat_choice(self, choice: Choice) -> Json:
        told: Json = {
            "index": choice.index,
            "message": {"role": "assistant", "content": choice.text, "refusal": None},
            "logprobs": None,
            "finish_reason": choice.finish,
            "stop_reason": choice.reason,
        }
        if self.asked.top is not None:
            told["logprobs"] = logprobs.of_chat(self._name, self.words, choice.scored)
        if self.asked.fields["return_token_ids"]:
            told["token_ids"] = choice.ids
        return told

    def _completion_choice(self, choice: Choice) -> Json:
        told: Json = {
            "index": choice.index,
            "text": self._echo(choice) + choice.text,
            "logprobs": None,
            "finish_reason": choice.finish,
            "stop_reason": choice.reason,
        }
        if self.asked.top is not None:
            told["logprobs"] = self._lists(choice, choice.scored, is_first=True)
        if self.asked.fields["return_token_ids"]:
            told["token_ids"] = choice.ids
        return told | self._prompt_facts(choice)

    def _prompt_facts(self, choice: Choice) -> Json:
        """Return what was asked for about the prompt itself."""
        told: Json = {}
        if self.asked.fields["prompt_logprobs"] is not None:
            told["prompt_logprobs"] = logprobs.of_prompt(self._name, choice.prompt_scored)
        if self.asked.fields["return_token_ids"]:
            told["prompt_token_ids"] = choice.prompt.ids
        return told

    def _echo(self, choice: Choice) -> str:
        if not self.asked.is_echo:
            return ""
        text = choice.prompt.text
        return self.words.whole_text(choice.prompt.ids) if text is None else text

    def _lists(self, choice: Choice, scored: Sequence[Any], is_first: bool) -> Json:
        """Return a completion's lists; those of the prompt are in the first ones, if it is told."""
        first: list[int] = []
        if is_first and self.asked.is_echo:
            first, scored = choice.prompt.ids[:1], [*choice.prompt_scored, *scored]
        offset = self._offsets.get(choice.index, 0)
        told = logprobs.of_completion(self._name, self.words, first, scored, offset)
        tokens = [*first, *(one.token for one in scored)]
        self._offsets[choice.index] = offset + sum(len(self.words.token(one)) for one in tokens)
        return told

    # ---- in a stream

    def chunk(self, choice: Choice, piece: Piece) -> Json:
        """Return the chunk that tells a piece."""
        told = self._head("chat.completion.chunk" if self._is_chat else "text_completion")
        is_first, choice.is_opened = not choice.is_opened, True
        one = self._delta(piece, is_first) if self._is_chat else self._part(choice, piece, is_first)
        if self.asked.fields["return_token_ids"]:
            one["token_ids"] = list(piece.ids)
        if is_first:
            (told if self._is_chat else one).update(self._prompt_facts(choice))
        ends = {"finish_reason": piece.finish, "stop_reason": piece.reason}
        told["choices"] = [{"index": choice.index, **one, **ends}]
        if self.asked.is_usage_always_told:
            told["usage"] = usage([choice])
        return told

    def _delta(self, piece: Piece, is_first: bool) -> Json:
        role = {"role": "assistant"} if is_first else {}
        told: Json = {"delta": {**role, "content": piece.text}, "logprobs": None}
        if self.asked.top is not None:
            told["logprobs"] = logprobs.of_chat(self._name, self.words, piece.scored)
        return told

    def _part(self, choice: Choice, piece: Piece, is_first: bool) -> Json:
        echo = self._echo(choice) if is_first else ""
        told: Json = {"text": echo + piece.text, "logprobs": None}
        if self.asked.top is not None:
            told["logprobs"] = self._lists(choice, piece.scored, is_first)
        return told

    def last(self, choices: Sequence[Choice]) -> Json:
        """Return the chunk that tells the usage alone."""
        told = self._head("chat.completion.chunk" if self._is_chat else "text_completion")
        return told | {"choices": [], "usage": usage(choices)}


def usage(choices: Sequence[Choice]) -> Json:
    """Count the tokens: of each prompt once, of all answers. Nothing is ever cached."""
    prompts = {id(one.prompt): len(one.prompt.ids) for one in choices}
    prompt, answer = sum(prompts.values()), sum(len(one.ids) for one in choices)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
