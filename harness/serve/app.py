"""Which path leads where? The two APIs of OpenAI that give answers, and what clients ask besides.

    POST /v1/chat/completions, /v1/completions          answers
    POST /tokenize, /detokenize · GET /tokenizer_info   lm-eval's tokenizer "auto", as vLLM has it
    GET  /v1/models · /health · /ping · /version · /metrics

The last four are open to everybody; the rest needs the key, where there is one. Whatever a client
sends, it gets JSON and a status below 500; a 5xx says that something of ours has failed.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from harness.kernel.clock import utc_now
from harness.serve.answering import Answer, JsonAnswer, refused, unexpected
from harness.serve.asking.asked import Api, Asked, asked
from harness.serve.asking.fields import flag, ids, text
from harness.serve.house import ANY, House
from harness.serve.refusals import Refusal
from harness.serve.telling.choice import Choice
from harness.serve.telling.shapes import Shape

Handler = Callable[[House, Request], Awaitable[Any]]
_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)  # of a field, as a header may hold it
_ID = re.compile(r"[\x21-\x7e]{1,128}")  # of a request, as the client calls it
_MOST_IGNORED = 20  # that a header names


def application(house: House) -> Starlette:
    """Return the ASGI application of a house."""

    def route(path: str, handler: Handler, method: str, is_open: bool = False) -> Route:
        return Route(path, _guarded(house, handler, is_open), methods=[method])

    return Starlette(
        routes=[
            route("/v1/chat/completions", _chat, "POST"),
            route("/v1/completions", _completions, "POST"),
            route("/v1/models", _models, "GET"),
            route("/v1/models/{name:path}", _model, "GET"),
            route("/tokenize", _tokenize, "POST"),
            route("/detokenize", _detokenize, "POST"),
            route("/tokenizer_info", _tokenizer_info, "GET"),
            route("/health", _health, "GET", is_open=True),
            route("/ping", _health, "GET", is_open=True),
            route("/version", _version, "GET", is_open=True),
            route("/metrics", _metrics, "GET", is_open=True),
        ],
        exception_handlers={HTTPException: _no_such_path},
    )


def _guarded(house: House, handler: Handler, is_open: bool) -> Callable[..., Awaitable[Any]]:
    """Return an endpoint that checks the key and makes a response of whatever happens."""

    async def endpoint(request: Request) -> Any:
        name = _id_of(request)
        try:
            if not is_open:
                house.check_key(request.headers)
            return await handler(house, request)
        except Refusal as refusal:
            if handler in (_chat, _completions):
                house.desk.metrics.refuse(refusal.status)
            return refused(refusal, name)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as fault:
            return refused(unexpected(fault), name)

    return endpoint


def _id_of(request: Request) -> dict[str, str]:
    """Return the header that calls a request as the client does."""
    said = request.headers.get("x-request-id", "")
    return {"x-request-id": said if _ID.fullmatch(said) else secrets.token_hex(16)}


async def _no_such_path(request: Request, error: Exception) -> Any:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        reason = f"{request.url.path} does not take {request.method}."
    else:
        reason = f"there is no {request.url.path[:200]!r} here."
    return refused(Refusal(reason, status=error.status_code, headers=error.headers))


# ---- answers


async def _chat(house: House, request: Request) -> Any:
    return await _answer(house, request, "chat")


async def _completions(house: House, request: Request) -> Any:
    return await _answer(house, request, "completions")


async def _answer(house: House, request: Request, api: Api) -> Any:
    house.desk.check_room()
    body = await house.body(request)
    wanted = asked(api, body)
    model = house.check_model(wanted.fields["model"])
    if api == "chat":
        prompts = await house.prompts.of_chat(wanted, body.get("messages"))
    else:
        prompts = await house.prompts.of_completion(wanted, body.get("prompt"))
    pairs = [prompt for prompt in prompts for _ in range(wanted.n)]
    choices = [Choice(index, one, wanted, house.words) for index, one in enumerate(pairs)]
    job = house.desk.begin(wanted, choices)
    house.desk.metrics.ignore(wanted.ignored)
    kind = "chatcmpl" if api == "chat" else "cmpl"
    name = f"{kind}-{secrets.token_hex(12)}"
    created = int(utc_now().timestamp())
    shape = Shape(wanted, house.words, name, model, created)
    headers = _id_of(request) | _ignored(wanted)
    return Answer(job, shape, headers, house.desk.metrics.refuse)


def _ignored(wanted: Asked) -> dict[str, str]:
    """Return the header that names the fields that were not followed."""
    names = [one if _NAME.fullmatch(one) else "?" for one in wanted.ignored[:_MOST_IGNORED]]
    return {"x-ignored-fields": ", ".join(names)} if names else {}


# ---- the tokenizer


async def _tokenize(house: House, request: Request) -> Any:
    body = await house.body(request)
    if body.get("messages") is not None:
        wanted = asked("chat", {**body, "max_tokens": 1, "stream": False})
        (prompt,) = await house.prompts.of_chat(wanted, body["messages"])
        made = prompt.ids
    else:
        said = text("prompt", body.get("prompt"))
        add = body.get("add_special_tokens")
        is_added = True if add is None else flag("add_special_tokens", add)
        made = await house.prompts.of_text(said, is_added) if said else []
    told: dict[str, Any] = {
        "count": len(made),
        "max_model_len": house.desk.engine.info.max_len,
        "tokens": made,
    }
    if body.get("return_token_strs"):
        told["token_strs"] = [house.words.piece(one) for one in made]
    return JsonAnswer(told)


async def _detokenize(house: House, request: Request) -> Any:
    body = await house.body(request)
    tokens = ids("tokens", body.get("tokens"))
    if tokens:
        house.prompts.checked(tokens)
    return JsonAnswer({"prompt": house.words.whole_text(tokens)})


async def _tokenizer_info(house: House, request: Request) -> Any:
    tokenizer = house.tokenizer
    told = {
        f"{name}_token": getattr(tokenizer, f"{name}_token", None)
        for name in ("bos", "eos", "pad", "unk")
    }
    return JsonAnswer(
        {
            "tokenizer_class": type(tokenizer).__name__,
            "vocab_size": house.desk.engine.info.vocabulary,
            "model_max_length": house.desk.engine.info.max_len,
            "chat_template": tokenizer.chat_template,
            **told,
        }
    )


# ---- the server


async def _models(house: House, request: Request) -> Any:
    names = [name for name in house.names if name != ANY]
    return JsonAnswer({"object": "list", "data": [_card(house, name) for name in names]})


async def _model(house: House, request: Request) -> Any:
    return JsonAnswer(_card(house, house.check_model(request.path_params["name"])))


def _card(house: House, name: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": house.created,
        "owned_by": "touchstone",
        "root": house.name,
        "parent": None,
        "max_model_len": house.desk.engine.info.max_len,
    }


async def _health(house: House, request: Request) -> Any:
    if house.desk.fault is not None or house.desk.is_closing:
        return Response(status_code=503)
    return Response(status_code=200)


async def _version(house: House, request: Request) -> Any:
    return JsonAnswer({"version": house.version})


async def _metrics(house: House, request: Request) -> Any:
    engine = house.desk.engine
    text = house.desk.metrics.text(engine.state, engine.open_requests)
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")
