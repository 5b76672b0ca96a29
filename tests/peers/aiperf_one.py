"""AIPerf's HTTP client and its chat endpoint, called as its workers and record processors do."""

from __future__ import annotations

import json

from aiperf.common.models.model_endpoint_info import (
    EndpointInfo,
    ModelEndpointInfo,
    ModelInfo,
    ModelListInfo,
)
from aiperf.common.models.record_models import ParsedResponseRecord, TokenCounts
from aiperf.endpoints.openai_chat import ChatEndpoint
from aiperf.transports.aiohttp_client import AioHttpClient
from said import every, failed, good

BODY = {"model": "golden", "stream": True, "stream_options": {"include_usage": True},
        "max_completion_tokens": 8}  # fmt: skip
HEADERS = {"Content-Type": "application/json", "Accept": "text/event-stream"}


def endpoint(url: str) -> ChatEndpoint:
    models = ModelListInfo(
        models=[ModelInfo(name="golden")], model_selection_strategy="round_robin"
    )
    where = EndpointInfo(type="chat", streaming=True, base_urls=[url])
    return ChatEndpoint(model_endpoint=ModelEndpointInfo(models=models, endpoint=where))


async def ask(url: str, prompt: str) -> str:
    client = AioHttpClient()
    body = BODY | {"messages": [{"role": "user", "content": prompt}]}
    try:
        record = await client.post_request(
            f"{url}/chat/completions", json.dumps(body).encode(), HEADERS
        )
    finally:
        await client.close()
    record.create_error_from_invalid()
    if record.error:
        return failed(f"{record.error.type}: {record.error.message}")
    parsed = ParsedResponseRecord(
        request=record, responses=endpoint(url).extract_response_data(record),
        token_counts=TokenCounts(),
    )  # fmt: skip
    parsed.create_error_from_invalid()
    if not parsed.valid:
        return failed(parsed.request.error.message)
    contents = parsed.content_responses
    usage = parsed.final_usage or {}
    first_s = (contents[0].perf_ns - record.start_perf_ns) / 1e9
    return good(usage.get("completion_tokens"), first_s, f"{len(contents)} chunks")


every(ask)
