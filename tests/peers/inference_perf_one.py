"""inference-perf's client for vLLM, called as its workers call it. The tokenizer that it counts
with is the folder that PEERS_TOKENIZER names.
"""

from __future__ import annotations

import os
import time

from inference_perf.apis.chat import ChatCompletionAPIData, ChatMessage
from inference_perf.client.modelserver.vllm_client import vLLMModelServerClient
from inference_perf.config import APIConfig, APIType, CustomTokenizerConfig
from inference_perf.metrics.request_collector import LocalRequestMetricCollector
from said import every, failed, good


async def ask(url: str, prompt: str) -> str:
    collector = LocalRequestMetricCollector()
    words = CustomTokenizerConfig(pretrained_model_name_or_path=os.environ["PEERS_TOKENIZER"])
    client = vLLMModelServerClient(
        metrics_collector=collector,
        api_config=APIConfig(type=APIType.Chat, streaming=True),
        uri=url.removesuffix("/v1"), model_name="golden", tokenizer_config=words,
        max_tcp_connections=8, additional_filters=[], ignore_eos=False,
    )  # fmt: skip
    asked = ChatCompletionAPIData(messages=[ChatMessage(role="user", content=prompt)], max_tokens=8)
    try:
        await client.process_request(asked, 0, time.perf_counter())
    finally:
        await client.close()
    (found,) = collector.get_metrics()
    if found.error:
        return failed(f"{found.error.error_type}: {found.error.error_msg}")
    metrics = found.info.response_metrics
    times = getattr(metrics, "chunk_times", None) or []
    usage = metrics.server_usage or {}
    first_s = times[0] - found.start_time if times else None
    return good(usage.get("completion_tokens"), first_s, f"{len(times)} chunks")


every(ask)
