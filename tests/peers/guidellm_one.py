"""GuideLLM's backend for HTTP servers, called as its workers call it."""

from __future__ import annotations

from guidellm.backends.openai.http import OpenAIHTTPBackend
from guidellm.schemas import GenerationRequest, RequestInfo
from guidellm.schemas.backends import OpenAIHTTPBackendArgs
from said import every, good


async def ask(url: str, prompt: str) -> str:
    arguments = OpenAIHTTPBackendArgs(
        target=url.removesuffix("/v1"), model="golden", extras={"body": {"max_tokens": 8}}
    )
    backend = OpenAIHTTPBackend(arguments)
    await backend.process_startup()
    info, response = RequestInfo(), None
    try:
        request = GenerationRequest(columns={"text_column": [prompt]})
        async for found, _ in backend.resolve(request, info):
            response = found or response
    finally:
        await backend.process_shutdown()
    first, start = info.timings.first_token_iteration, info.timings.request_start
    tokens = response.output_metrics.total_tokens if response else None
    return good(tokens, first and first - start, f"{info.timings.token_iterations} iterations")


every(ask)
