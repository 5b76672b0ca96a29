"""Which ids does the model get? Those of a text, of messages through the chat template, or the
client's own.

A text becomes the ids that `harness run` gives the model for it: what the tokenizer would close it
with is left out, and the chat template's clock stands still (`sut.prompts.template`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from harness.kernel.errors import HarnessError
from harness.serve.asking.asked import MOST_CHOICES, Asked
from harness.serve.asking.fields import is_id
from harness.serve.refusals import Refusal
from sut.prompts.specials import around
from sut.prompts.template import ChatTemplate

_LONG = 20_000  # characters: a text that takes milliseconds is not tokenised between two tokens


class Prompt(NamedTuple):
    """`text` is None where the client sent ids."""

    ids: list[int]
    text: str | None


class Prompts:
    """Makes prompts of what clients send. Templates and long texts are worked on in a thread."""

    def __init__(self, tokenizer: Any, vocabulary: int) -> None:
        self._tokenizer, self._vocabulary = tokenizer, vocabulary
        self._after = around(tokenizer).after
        self._thread = ThreadPoolExecutor(1)
        self._template = ChatTemplate(tokenizer)
        if self._template.is_there:  # its process is made now, while there is one thread
            self._warm()

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._template.close()

    def _warm(self) -> None:
        try:
            self._template.prompt("hello", "a first prompt")
        except HarnessError:
            return  # it may well take other turns than this one

    async def of_completion(self, asked: Asked, prompt: Any) -> list[Prompt]:
        """Return the prompts of /v1/completions: one text or several, ids or lists of ids."""
        found = _several(prompt)
        if len(found) * asked.n > MOST_CHOICES:
            reason = (
                f"{len(found)} prompts with n {asked.n}; at most {MOST_CHOICES} answers at once."
            )
            raise Refusal(reason, "prompt")
        add = bool(asked.fields["add_special_tokens"])
        return [
            Prompt(await self.of_text(one, add), one)
            if isinstance(one, str)
            else Prompt(self.checked(one), None)
            for one in found
        ]

    async def of_chat(self, asked: Asked, messages: Any) -> list[Prompt]:
        """Return the prompt that the chat template makes of messages."""
        fields = asked.fields
        options = dict(fields["chat_template_kwargs"])
        for name in ("tokenize", "return_dict", "return_tensors", "conversation", "documents"):
            if name in options:
                raise Refusal(f"chat_template_kwargs.{name} is not for clients to set.")
        if fields["chat_template"] is not None:
            options["chat_template"] = fields["chat_template"]
        options["add_generation_prompt"] = fields["add_generation_prompt"]
        options["continue_final_message"] = fields["continue_final_message"]
        text = await self.rendered(_turns(messages), options)
        return [Prompt(await self.of_text(text, bool(fields["add_special_tokens"])), text)]

    async def rendered(self, turns: list[dict[str, Any]], options: Mapping[str, Any]) -> str:
        """Return the text of these turns. Raises Refusal with the template's own words."""
        if not self._template.is_there and "chat_template" not in options:
            reason = "this model has no chat template; use /v1/completions, or send chat_template."
            raise Refusal(reason, "messages")
        loop = asyncio.get_running_loop()

        def render() -> str:
            return self._template.render(turns, "messages", **options)

        try:
            return await loop.run_in_executor(self._thread, render)
        except HarnessError as error:
            raise Refusal(f"messages: {error.facts[1]}.", "messages") from None

    async def of_text(self, text: str, add_special_tokens: bool) -> list[int]:
        """Return the ids of a text."""
        if len(text) < _LONG:
            return self._encoded(text, add_special_tokens)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._encoded, text, add_special_tokens)

    def _encoded(self, text: str, add_special_tokens: bool) -> list[int]:
        made = self._tokenizer(text, add_special_tokens=add_special_tokens, verbose=False)
        ids: list[int] = made["input_ids"]
        after = self._after if add_special_tokens else []
        ids = ids[: -len(after)] if after and ids[-len(after) :] == after else ids
        if not ids and self._tokenizer.bos_token_id is not None:
            return [self._tokenizer.bos_token_id]
        if not ids:
            raise Refusal("the prompt has no tokens; expected at least one.", "prompt")
        return self.checked(ids)

    def checked(self, ids: Sequence[int]) -> list[int]:
        """Refuse ids that the model has no embedding for, and none at all."""
        if not ids:
            raise Refusal("the prompt has no tokens; expected at least one.", "prompt")
        if max(ids) >= self._vocabulary:
            reason = f"the prompt has token id {max(ids)}; ids are below {self._vocabulary:,}."
            raise Refusal(reason, "prompt")
        return list(ids)


def _several(prompt: Any) -> list[Any]:
    """Return each prompt, a text or a list of ids. Raises Refusal."""
    fine = "prompt is a text, a list of texts, a list of token ids, or a list of these lists."
    if isinstance(prompt, str):
        return [prompt]
    if not isinstance(prompt, list) or not prompt:
        raise Refusal(fine, "prompt")
    if is_id(prompt[0]):
        prompt = [prompt]
    found: list[Any] = prompt
    for one in found:
        is_ids = isinstance(one, list) and all(map(is_id, one))
        if not (is_ids or isinstance(one, str)):
            raise Refusal(fine, "prompt")
    return found


def _turns(messages: Any) -> list[dict[str, Any]]:
    """Return the messages with plain text as their content. Raises Refusal."""
    if not isinstance(messages, list) or not messages:
        raise Refusal("messages is a list of at least one message.", "messages")
    return [_turn(index, message) for index, message in enumerate(messages)]


def _turn(index: int, message: Any) -> dict[str, Any]:
    name = f"messages[{index}]"
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise Refusal(f"{name} is an object with a role and a content.", name)
    content = message.get("content")
    if content is None:
        content = ""
    if isinstance(content, list):
        content = "".join(_part(name, part) for part in content)
    if not isinstance(content, str):
        raise Refusal(f"{name}.content is a text or a list of parts.", name)
    return {**message, "content": content}


def _part(name: str, part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or not isinstance(part.get("text"), str):
        raise Refusal(f"{name}.content may have parts of text alone.", name)
    text: str = part["text"]
    return text
