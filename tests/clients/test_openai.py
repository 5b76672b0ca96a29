"""The official client of OpenAI."""

from __future__ import annotations

import json

PROGRAM = "openai"
ASK = """
import json, sys
from openai import BadRequestError, NotFoundError, OpenAI

client = OpenAI(base_url={url!r}, api_key="none", max_retries=0)
turns = [{{"role": "user", "content": "What is the capital of France?"}}]
whole = client.chat.completions.create(
    model={model!r}, messages=turns, temperature=0, max_tokens=12)
parts = list(client.chat.completions.create(
    model="gpt-4.1-2025-04-14", messages=turns, temperature=0, max_completion_tokens=12,
    stream=True, stream_options={{"include_usage": True}}, logprobs=True, top_logprobs=2))
echo = client.completions.create(
    model={model!r}, prompt="The sky is blue", max_tokens=1, echo=True, logprobs=1, temperature=0)
faults = []
for fields in (dict(model="gpt-9", messages=turns), dict(model={model!r}, messages=turns, n=999)):
    try:
        client.chat.completions.create(**fields)
    except (NotFoundError, BadRequestError) as error:
        faults.append([type(error).__name__, error.body["message"]])
print(json.dumps({{
    "models": [one.id for one in client.models.list()],
    "whole": whole.choices[0].message.content, "finish": whole.choices[0].finish_reason,
    "tokens": whole.usage.completion_tokens,
    "text": "".join(one.choices[0].delta.content for one in parts if one.choices),
    "chunks": sum(bool(one.choices) for one in parts), "usage": parts[-1].usage.completion_tokens,
    "tops": [len(one.choices[0].logprobs.content[0].top_logprobs) for one in parts if one.choices],
    "echo": echo.choices[0].logprobs.token_logprobs, "faults": faults,
}}))
"""


def test_the_official_client_reads_all_of_it(program, served):
    code = ASK.format(url=served["url"], model=served["models"][0])
    found = json.loads(program.python(code).splitlines()[-1])
    assert served["models"][0] in found["models"]
    assert "Paris" in found["whole"]
    assert found["finish"] in ("stop", "length")
    assert found["text"] == found["whole"]
    assert found["chunks"] == found["usage"] == found["tokens"]
    assert set(found["tops"]) == {2}
    assert found["echo"][0] is None
    assert all(value < 0 for value in found["echo"][1:])
    assert [name for name, _ in found["faults"]] == ["NotFoundError", "BadRequestError"]
    assert "known: smollm2-135m" in found["faults"][0][1]
