"""What is an answer made of? The objects of the stream, or the one object without a stream, in the
manner of the server that is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from sut.golden.answers.asks import Ask, answer_ids, text_of
from sut.golden.answers.faults import Fault
from sut.golden.answers.manners import Manner
from sut.golden.answers.settings import Settings

_BLOCK = 16  # tokens of the prefix cache
_LOGPROB = -0.5
_SEEN = -1.25  # of the tokens of a prompt
_encode = msgspec.json.encode


class Event(NamedTuple):
    tokens: int  # that it brings
    data: bytes


class Answer:
    """One answer, before it is framed and timed."""

    def __init__(
        self, ask: Ask, settings: Settings, manner: Manner, fault: Fault, cached: int, created: int
    ) -> None:
        self._ask, self._manner, self._fault = ask, manner, fault
        self._settings, self._cached = settings, cached
        tokens = fault.tokens or ask.tokens
        finish = ask.finish if fault.finish is None else fault.finish
        self.ids = answer_ids(ask.key, tokens, finish == "stop") if fault.turn != "bare" else []
        is_cut = fault.stops and fault.finish is None
        self._finish = None if is_cut else finish or None
        if fault.turn == "usage_with_choices":
            self._manner = manner._replace(usage="with_choices")
        kind = "chat.completion" if ask.is_chat else "text_completion"
        is_chunk = ask.is_stream and ask.is_chat
        self._head: dict[str, Any] = {
            "id": f"{'chatcmpl' if ask.is_chat else 'cmpl'}-{ask.key:08x}",
            "object": f"{kind}.chunk" if is_chunk else kind,
            "created": created,
            "model": ask.model,
        }

    # ---- a stream

    def stream(self) -> list[Event]:
        """Return its events, [DONE] left out."""
        events = [self._role()] if self._ask.is_chat and self._manner.role == "apart" else []
        step = 4 if self._fault.turn == "lumps" else self._settings.tokens_per_chunk
        stop = self._settings.fault_after if self._fault.stops else len(self.ids)
        shown = self.ids[:stop]
        for at in range(0, len(shown), step):
            events.append(self._chunk(at, shown[at : at + step]))
        if self._fault.stops and self._fault.finish:
            events.append(self._ended())
        if self._fault.stops or self._fault.turn == "bare":
            return events
        if self._ask.usage and self._manner.usage == "apart":
            last = {**self._head, "choices": [], "usage": self._usage(len(self.ids))}
            events.append(Event(0, _encode(last)))
        return events

    def _role(self) -> Event:
        choice = self._choice({"role": "assistant", "content": ""}, None)
        chunk = {**self._head, "choices": [choice], **self._prompt_ids()}
        return Event(0, _encode(chunk))

    def _ended(self) -> Event:
        """Return a chunk that brings an end alone."""
        choice = self._choice(self._delta(0, []), self._fault.finish)
        return Event(0, _encode({**self._head, "choices": [choice]}))

    def _chunk(self, at: int, ids: Sequence[int]) -> Event:
        is_last = at + len(ids) >= len(self.ids)
        choice = self._choice(self._delta(at, ids), self._finish if is_last else None)
        choice["logprobs"] = self._logprobs(ids) if self._ask.logprobs else None
        if self._ask.ids:
            choice["token_ids"] = list(ids)
        chunk = {**self._head, "choices": [choice]}
        if at == 0 and not self._ask.is_chat and self._ask.ids:
            choice["prompt_token_ids"] = self._ask.prompt_ids
        if self._ask.running_usage or (is_last and self._has_usage_here()):
            chunk["usage"] = self._usage(at + len(ids))
        if is_last and self._manner.timings:
            chunk["timings"] = self._timings()
        if is_last and self._settings.queue_ms:
            chunk["metrics"] = self._metrics()
        return Event(len(ids), _encode(chunk))

    def _has_usage_here(self) -> bool:
        return self._manner.usage == "with_choices" and self._ask.usage

    def _prompt_ids(self) -> dict[str, Any]:
        return {"prompt_token_ids": self._ask.prompt_ids} if self._ask.ids else {}

    def _choice(self, part: dict[str, Any], finish: str | None) -> dict[str, Any]:
        what = {"delta": part} if self._ask.is_chat else {"text": part["content"] or ""}
        return {"index": 0, **what, "logprobs": None, "finish_reason": finish}

    def _delta(self, at: int, ids: Sequence[int]) -> dict[str, Any]:
        text, manner = "".join(map(text_of, ids)), self._manner
        is_first = at == 0 and manner.role == "first"
        part: dict[str, Any] = {}
        if is_first or manner.role == "every":
            part["role"] = "assistant"
        if manner.null_reasoning:
            part[manner.reasoning] = None
        turn = self._fault.turn if self._ask.is_chat else ""
        if turn == "reasoning" and at < 4:
            return {**part, "content": None, manner.reasoning: text}
        if turn == "tool_calls":
            return {**part, "content": None, "tool_calls": [_call(text, at == 0)]}
        has_none = self._fault.turn == "null_content" and not text
        return {**part, "content": None if has_none else text}

    # ---- one object

    def whole(self) -> bytes:
        """Return the answer without a stream."""
        ask, text = self._ask, "".join(map(text_of, self.ids))
        if ask.is_chat:
            part: dict[str, Any] = {"message": {"role": "assistant", "content": text}}
        else:
            part = {"text": (ask.prompt + text) if ask.echo else text}
        ids = (*ask.prompt_ids, *self.ids) if ask.echo else self.ids
        choice = {"index": 0, **part, "finish_reason": self._finish, "logprobs": None}
        if ask.logprobs:
            choice["logprobs"] = self._logprobs(ids, len(ask.prompt_ids) if ask.echo else 0)
        if ask.ids:
            choice |= {"token_ids": self.ids, "prompt_token_ids": ask.prompt_ids}
        if ask.prompt_logprobs:
            choice["prompt_logprobs"] = self._prompt_logprobs()
        choices = [choice] if self.ids else []
        whole = {**self._head, "choices": choices, "usage": self._usage(len(self.ids))}
        if self._manner.timings:
            whole["timings"] = self._timings()
        return _encode(whole)

    # ---- parts of both

    def _logprobs(self, ids: Sequence[int], prompt: int = 0) -> dict[str, Any]:
        """Return them in the shape of the endpoint; `prompt` of the ids are the prompt's."""
        words = [text_of(token) for token in ids]
        if self._ask.is_chat:
            one = {"logprob": _LOGPROB, "top_logprobs": []}
            rows = [{"token": word, "bytes": list(word.encode()), **one} for word in words]
            return {"content": rows}
        values = [_SEEN] * prompt + [_LOGPROB] * (len(ids) - prompt)
        first = [None] if prompt else []
        return {
            "tokens": words,
            "token_logprobs": [*first, *values[len(first) :]],
            "top_logprobs": [
                *first,
                *({w: v} for w, v in list(zip(words, values, strict=True))[len(first) :]),
            ],
            "text_offset": [sum(map(len, words[:at])) for at in range(len(words))],
        }

    def _prompt_logprobs(self) -> list[Any]:
        rows = [
            {str(token): {"logprob": _SEEN, "rank": 1, "decoded_token": text_of(token)}}
            for token in self._ask.prompt_ids
        ]
        return [None, *rows[1:]]

    def _usage(self, tokens: int) -> dict[str, Any]:
        prompt = len(self._ask.prompt_ids)
        tokens += self._fault.turn == "count"
        usage = {"prompt_tokens": prompt, "completion_tokens": tokens}
        cached = {"prompt_tokens_details": {"cached_tokens": self.cached}} if self.cached else {}
        return {**usage, "total_tokens": prompt + tokens, **cached}

    @property
    def cached(self) -> int:
        """Tokens of the prompt that were computed before."""
        prompt = len(self._ask.prompt_ids)
        return max(prompt - 1, 0) if self._fault.turn == "cached" else min(self._cached, prompt)

    def _metrics(self) -> dict[str, Any]:
        """Return what vLLM says of a request, where it is asked to."""
        waited_ms = self._settings.queue_ms
        return {"queue_time_ms": waited_ms, "time_to_first_token_ms": self._settings.ttft_ms}

    def _timings(self) -> dict[str, Any]:
        per_token, prompt = self._settings.per_token_ms, len(self._ask.prompt_ids)
        return {
            "cache_n": self.cached,
            "prompt_n": prompt - self.cached,
            "prompt_ms": self._settings.ttft_ms,
            "predicted_n": len(self.ids),
            "predicted_ms": per_token * len(self.ids),
        }


def _call(arguments: str, is_first: bool) -> dict[str, Any]:
    """Return a piece of a call of a tool; the first one names it."""
    if not is_first:
        return {"index": 0, "function": {"arguments": arguments}}
    function = {"name": "look", "arguments": arguments}
    return {"index": 0, "id": "call-1", "type": "function", "function": function}


class PrefixCache:
    """Which prompts, or beginnings of them, came before? By blocks, as vLLM's."""

    def __init__(self) -> None:
        self._blocks: set[int] = set()

    def cached(self, ids: Sequence[int]) -> int:
        """Return how many ids were there, and keep all of them."""
        ends = range(_BLOCK, len(ids) + 1, _BLOCK)
        keys = [hash(tuple(ids[:end])) for end in ends]
        known = next((n for n, key in enumerate(keys) if key not in self._blocks), len(keys))
        self._blocks.update(keys)
        return known * _BLOCK
