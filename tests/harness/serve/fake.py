"""A server over an engine that knows its answers: for tests of what travels, without a model.

The tokenizer's ids are the bytes of UTF-8 (id = byte), so a test can say which text comes in which
pieces; id 256 ends an answer.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field

from harness.serve.asking.prompts import Prompts
from harness.serve.desk import Desk
from harness.serve.house import House
from harness.serve.metrics import Metrics
from harness.serve.server import Server, listener
from sut.prompts.words import Words
from sut.serving.messages import Done, Info, Prompt, Scored, State, Tokens

EOS = 256
TEMPLATE = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def byte_tokenizer(template: str | None = TEMPLATE):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    from sut.prompts.words import _bytes_of_letters

    made = Tokenizer(models.BPE(_bytes_of_letters(), []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<eos>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<eos>")
    tokenizer.chat_template = template
    return tokenizer


def scored(token: int, top: int) -> Scored:
    """The model thinks the next id (token + 1) half a nat likelier than the token itself."""
    ids = [token + 1, token, *range(token + 2, token + 100)][:top]
    return Scored(token, -1.5, 2, ids, [-1.0 - 0.5 * place for place in range(len(ids))])


@dataclass
class FakeEngine:
    """Answers every prompt with `answer`, an id (or several) every `step_s` seconds."""

    answer: list[int] = field(default_factory=lambda: [*b"Hello there", EOS])
    step_s: float = 0.0
    per_step: int = 1
    rows: int = 2
    max_len: int = 1000
    model: str = "/models/known"

    def __post_init__(self):
        self.info = Info(
            model=self.model, variant="fp32", context=self.max_len, max_len=self.max_len,
            max_rows=self.rows, vocabulary=300, eos_ids=[EOS], chat_template=TEMPLATE,
            cache_bytes=0, dtype="float32", device="cpu", batching="in flight",
        )  # fmt: skip
        self.waiting, self.running, self.asked, self.cancelled = [], {}, [], []

    @property
    def state(self):
        return State(len(self.running), len(self.waiting))

    pid = 0

    def close(self):
        """Nothing is open."""

    @property
    def open_requests(self):
        return len(self.running) + len(self.waiting)

    def attach(self, loop, hear, lost):
        self._loop, self._hear, self.lost = loop, hear, lost

    def submit(self, request):
        self.asked.append(request)
        self.waiting.append(request)
        self._loop.call_soon(self._admit)

    def cancel(self, number):
        self.cancelled.append(number)
        self.running.pop(number, None)
        self.waiting = [one for one in self.waiting if one.id != number]
        self._loop.call_soon(self._admit)

    def _admit(self):
        while self.waiting and len(self.running) < self.rows:
            request = self.waiting.pop(0)
            self.running[request.id] = request
            if request.prompt_logprobs is not None:
                told = [scored(one, request.prompt_logprobs) for one in request.prompt_ids[1:]]
                self._hear(Prompt(request.id, told))
            self._loop.call_later(self.step_s, self._step, request, 0)

    def _step(self, request, told):
        if request.id not in self.running:
            return
        limit = min(request.max_tokens, len(self.answer))
        ids = self.answer[told : min(told + self.per_step, limit)]
        told += len(ids)
        if ids:
            top = request.logprobs
            given = [] if top is None else [scored(one, top) for one in ids]
            self._hear(Tokens(request.id, ids, given))
        is_eos = bool(ids) and ids[-1] == EOS
        if is_eos or told >= limit:
            del self.running[request.id]
            self._hear(Done(request.id, "eos" if is_eos else "length", told, 0))
            self._admit()
        else:
            self._loop.call_later(self.step_s, self._step, request, told)


@dataclass
class Client:
    """Talks to a server that is up."""

    host: str
    port: int
    engine: FakeEngine
    house: House
    server: Server

    def connect(self):
        return http.client.HTTPConnection(self.host, self.port, timeout=30)

    def ask(self, path, body=None, method=None, headers=None):
        """Return status, headers and the JSON (or the text) of an answer."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = self.connect()
        connection.request(method or ("GET" if data is None else "POST"), path, data, headers or {})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        is_json = answer.headers.get("content-type") == "application/json"
        found = {name.lower(): value for name, value in answer.headers.items()}
        return answer.status, found, json.loads(text) if is_json else text.decode()

    def chat(self, content="Hi", **fields):
        body = {"messages": [{"role": "user", "content": content}], **fields}
        return self.ask("/v1/chat/completions", body)

    def complete(self, prompt="Hi", **fields):
        return self.ask("/v1/completions", {"prompt": prompt, **fields})


def events(text: str):
    """Return the objects of a stream, and whether it ended as it should."""
    parts = text.split("\n\n")
    assert parts[-1] == ""
    assert all(part.startswith("data: ") for part in parts[:-1])
    told = [part.removeprefix("data: ") for part in parts[:-1]]
    assert told[-1] == "[DONE]"
    return [json.loads(one) for one in told[:-1]]


def known_house(engine, tokenizer=None, key="", aliases=(), most_waiting=100, **limits):
    """A house of the byte tokenizer, whose model is called `known`."""
    tokenizer = tokenizer or byte_tokenizer()
    desk = Desk(engine, Metrics("known", engine.info), most_waiting)
    prompts = Prompts(tokenizer, engine.info.vocabulary)
    names = ("known", *aliases)
    return House(desk, prompts, Words(tokenizer), tokenizer, names, "0", key, **limits)


@contextmanager
def serving(engine=None, is_daemon=False, **given):
    """Yield a Client of a server that runs in a thread."""
    engine = engine or FakeEngine()
    house = known_house(engine, **given)
    up = threading.Event()
    bound = listener("127.0.0.1", 0)
    server = Server(house, engine, up.set)
    thread = threading.Thread(target=lambda: asyncio.run(server.at(bound)), daemon=is_daemon)
    thread.start()
    try:
        assert up.wait(30)
        yield Client(*bound.getsockname()[:2], engine, house, server)
    finally:
        server.stop()
        thread.join(30)
        house.prompts.close()
    assert not thread.is_alive()
