"""A server that tells the log-probabilities of prompts, from a model's own logits, in whichever way
a test asks for; and one that tells none.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch

KEY = "sk-of-the-tests-1234567890abcdef"


@dataclass
class Server:
    """`way`: prompt_logprobs (vLLM's), ids or texts (echo), or none (llama-server's answer)."""

    folder: Path
    way: str = "prompt_logprobs"
    most: int = 20  # likeliest tokens that it names
    names: Sequence[str] = ("tiny",)
    max_model_len: int | None = None
    key: str = ""
    busy: int = 0  # so many requests are refused first
    scale: float = 1.0  # of the log-probabilities: another one makes nonsense of them
    answers_before_it_breaks: int = 1 << 30
    last_words: str = "out of memory"
    bodies: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.model = AutoModelForCausalLM.from_pretrained(self.folder).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(self.folder)

    def models(self) -> dict[str, Any]:
        return {"data": [{"id": n, "max_model_len": self.max_model_len} for n in self.names]}

    def completion(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.bodies.append(body)
        if self.busy:
            self.busy -= 1
            return 429, {"error": {"message": "busy"}}
        self.answers_before_it_breaks -= 1
        if self.answers_before_it_breaks < 0:
            return 500, {"error": {"message": self.last_words}}
        ids, count = body["prompt"], body.get("prompt_logprobs") or body.get("logprobs") or 0
        if count > self.most:
            return 400, {"error": {"message": f"at most {self.most} logprobs"}}
        choice: dict[str, Any] = {"index": 0, "text": "!", "finish_reason": "length"}
        if self.way == "prompt_logprobs" and "prompt_logprobs" in body:
            choice["prompt_logprobs"] = self._of_vllm(ids, count)
        elif self.way in ("ids", "texts") and body.get("echo"):
            choice["text"] = self.tokenizer.decode(ids) + "!"
            choice["logprobs"] = self._of_echo(ids, count, body)
        elif "logprobs" in body:
            choice["logprobs"] = {"tokens": ["!"], "token_logprobs": [-1.0], "top_logprobs": [{}]}
        return 200, {"choices": [choice]}

    @torch.inference_mode()
    def _rows(self, ids: Sequence[int]) -> torch.Tensor:
        logits = self.model(input_ids=torch.tensor([ids])).logits[0]
        return logits.float().log_softmax(-1) * self.scale

    def _of_vllm(self, ids: Sequence[int], count: int) -> list[Any]:
        found: list[Any] = [None]
        for id, row in zip(ids[1:], self._rows(ids), strict=False):
            there = dict.fromkeys([id, *row.topk(count).indices.tolist()])
            found.append({str(one): {"logprob": float(row[one]), "rank": 1,
                                     "decoded_token": self.tokenizer.decode([one])}
                          for one in there})  # fmt: skip
        return found

    def _of_echo(self, ids: Sequence[int], count: int, body: dict[str, Any]) -> dict[str, Any]:
        def name(id: int) -> str:
            as_id = self.way == "ids" and body.get("return_tokens_as_token_ids")
            return f"token_id:{id}" if as_id else self.tokenizer.decode([id])

        own, tops = [None], [None]
        for id, row in zip(ids[1:], self._rows(ids), strict=False):
            there = [id, *row.topk(count).indices.tolist()]
            own.append(float(row[id]))
            tops.append({name(one): float(row[one]) for one in there})
        return {"tokens": [*map(name, ids), "!"], "token_logprobs": [*own, -1.0],
                "top_logprobs": [*tops, {}]}  # fmt: skip


@contextmanager
def answering(folder: Path, **how: Any) -> Iterator[Server]:
    """Serve the model in that folder."""
    server = Server(folder, **how)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(*((200, server.models()) if self._may() else (401, {"error": "no key"})))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self._say(*(server.completion(body) if self._may() else (401, {"error": "no key"})))

        def _may(self) -> bool:
            return not server.key or self.headers["authorization"] == f"Bearer {server.key}"

        def _say(self, status: int, answer: dict[str, Any]) -> None:
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            if status == 429:
                self.send_header("retry-after", "0")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.url = f"http://127.0.0.1:{http.server_port}/v1"
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
