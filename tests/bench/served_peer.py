"""How many streamed answers a second does another client take? `PYTHON -m tests.bench.served_peer
NAME URL CONNECTIONS COUNT`, in an environment that has it; prints {"per_s": …}.

    aiohttp   a session with keep-alive, every line read, none parsed
    vllm      the request function of `vllm bench serve`, as it calls it
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

BODY = {"model": "echo", "prompt": "why is the sky blue?", "max_tokens": 16, "stream": True}


async def closed_loop(ask: Callable[[], Awaitable[Any]], connections: int, count: int) -> float:
    """Ask so often, as many at once as there are connections; return the answers per second."""
    left = iter(range(count))

    async def one() -> None:
        for _ in left:
            await ask()

    start = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    return count / (time.perf_counter() - start)


async def of_aiohttp(url: str, connections: int, count: int) -> float:
    import aiohttp

    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask() -> None:
            async with session.post(url, json=BODY) as response:
                async for _ in response.content:
                    pass

        return await closed_loop(ask, connections, count)


async def of_vllm(url: str, connections: int, count: int) -> float:
    import aiohttp
    from vllm.benchmarks.lib import endpoint_request_func as functions

    asked = functions.RequestFuncInput(
        prompt="why is the sky blue?", api_url=url, prompt_len=8, output_len=16, model="echo"
    )
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask() -> None:
            await functions.async_request_openai_completions(asked, session)

        return await closed_loop(ask, connections, count)


if __name__ == "__main__":
    name, url, connections, count = sys.argv[1:]
    run = {"aiohttp": of_aiohttp, "vllm": of_vllm}[name]
    print(json.dumps({"per_s": asyncio.run(run(url, int(connections), int(count)))}))
