"""The request function of `vllm bench serve`, called as it calls it."""

from __future__ import annotations

import aiohttp
from said import every, failed, good
from vllm.benchmarks.lib.endpoint_request_func import (
    RequestFuncInput,
    async_request_openai_chat_completions,
)


async def ask(url: str, prompt: str) -> str:
    asked = RequestFuncInput(
        prompt=prompt, api_url=f"{url}/chat/completions", prompt_len=4, output_len=8,
        model="golden",
    )  # fmt: skip
    async with aiohttp.ClientSession(trust_env=True) as session:
        found = await async_request_openai_chat_completions(asked, session)
    if not found.success:
        return failed(found.error)
    return good(found.output_tokens, found.ttft, f"{len(found.itl)} gaps")


every(ask)
