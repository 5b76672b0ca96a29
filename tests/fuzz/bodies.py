"""Bodies that no client should send to `harness serve`: whatever it is, the answer is below 500."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

from harness.kernel.errors import HarnessError
from tests.fuzz.inputs import bent, raw, rotten, torn
from tests.fuzz.lane import BUG, Wrong
from tests.harness.serve.fake import serving

_TURNS = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
_BOTH: dict[str, Any] = {
    "model": "known", "max_tokens": 3, "min_tokens": 1, "temperature": 0.5, "top_p": 0.9, "n": 2,
    "top_k": 3, "stop": ["x", "yz"], "stop_token_ids": [4], "seed": 7, "logit_bias": {"5": 1.5},
    "repetition_penalty": 1.1, "presence_penalty": 0.1, "frequency_penalty": 0.1, "stream": False,
    "prompt_logprobs": 1, "stream_options": {"include_usage": True}, "ignore_eos": True,
    "response_format": {"type": "text"}, "return_token_ids": True, "user": "me",
}  # fmt: skip
_GOOD: dict[str, dict[str, Any]] = {
    "/v1/completions": {**_BOTH, "prompt": ["ab", "c"], "logprobs": 2, "echo": True},
    "/v1/chat/completions": {
        **_BOTH, "messages": _TURNS, "logprobs": True, "top_logprobs": 2,
        "chat_template_kwargs": {"a": 1}, "tools": [], "add_generation_prompt": True,
        "max_completion_tokens": 3,
    },
    "/tokenize": {"prompt": "Hi", "add_special_tokens": False, "return_token_strs": True},
    "/detokenize": {"tokens": [72, 105]},
}  # fmt: skip


def bodies(place: Path) -> Callable[[Random], None]:
    """Return what sends one body to a server of this process."""
    up = serving(is_daemon=True)
    client = up.__enter__()
    connection = client.connect()

    def send(rng: Random) -> None:
        path = rng.choice(list(_GOOD))
        connection.request("POST", path, _body(rng, _GOOD[path]))
        try:
            answer = connection.getresponse()
            said = answer.read()
        except http.client.HTTPException as fault:
            connection.close()
            raise Wrong(BUG, f"{path}: no answer ({fault!r})") from fault
        if answer.status >= 500:
            raise Wrong(BUG, f"{path}: {answer.status}, {said[:300]!a}")
        if answer.status >= 400:
            raise HarnessError("a request", json.loads(said)["error"]["message"])

    send.up = up  # type: ignore[attr-defined]  # goes on as long as what sends does
    return send


def _body(rng: Random, good: dict[str, Any]) -> bytes:
    names = rng.sample(list(good), rng.randint(1, len(good)))
    some = {name: deepcopy(value) for name, value in good.items() if name in names}
    made = bent(some if rng.random() < 0.3 else {**good, **some}, rng, rng.randint(1, 3))
    text = json.dumps(made)
    if rng.random() < 0.2:
        text = torn(text, rng)
    data = raw(text)
    return rotten(data, rng) if rng.random() < 0.2 else data
