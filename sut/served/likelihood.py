"""How probable does a server find each token of a prompt? Asked over the OpenAI API, in whichever
of two ways the server knows:

    prompt_logprobs  vLLM: {"prompt": ids, "max_tokens": 1, "prompt_logprobs": 20} is answered by
                     choices[0].prompt_logprobs = [null, {"ID": {"logprob": -1.2, …}, …}, …]
    echo             SGLang, `harness serve`: {"prompt": ids, "max_tokens": 1, "echo": true,
                     "logprobs": 20} by choices[0].logprobs = {"tokens": […], "token_logprobs":
                     [null, -1.2, …], "top_logprobs": [null, {"TOKEN": -0.3, …}, …]}

Prompts go as ids, so that the texts are cut exactly as the tokenizer here cuts them. A first, short
request finds the way; what a server does not take is left out of all later ones. llama-server and
Ollama take neither: they tell the log-probabilities of what they write, not of what they read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.kernel.answers import Exchange
from harness.kernel.errors import RunBroke, SetupFailed
from harness.kernel.foreign.parsed import loads
from sut.served import once
from sut.served.address import Address
from sut.served.answers import classes
from sut.served.probing import who

NAMED = 20  # likeliest tokens of a position: vLLM's --max-logprobs, unless it is set
Kind = Literal["prompt_logprobs", "echo"]
_FEWER = (5, 1)  # OpenAI's own limit, and the least
_ID = "token_id:"
_NO_ID = np.iinfo(np.int64).max
_SUM_TOLERANCE = 1e-3
_DOING = "log-probabilities of prompts"
_WAYS: tuple[tuple[Kind, bool], ...] = (
    ("prompt_logprobs", False),
    ("echo", True),
    ("echo", False),
)  # the most telling first
_PATH = "/completions"
_TRIES = 6  # of a request that the server has no room for
_PAUSE_NS, _MOST_PAUSE_NS = 1_000_000_000, 60_000_000_000  # the first pause; the longest
_TIMEOUT_S = 600.0
_SERVE = "Serve the model with vLLM or with python -m harness serve."

Ask = Callable[[Mapping[str, Any]], Exchange]  # of /completions
Floats = NDArray[np.float64]


def asking(server: Address, pause: Callable[[int], None]) -> Ask:
    """Return how to ask this server, and again where it has no room, after as long as it says:
    `pause` is given nanoseconds.
    """

    def ask(body: Mapping[str, Any]) -> Exchange:
        data, pause_ns = json.dumps(body).encode(), _PAUSE_NS
        for last in (*[False] * (_TRIES - 1), True):
            exchange = once.exchange(server, "POST", f"{server.path}{_PATH}", data, _TIMEOUT_S)
            if last or classes.of_head(exchange)[0] != "overloaded":
                break
            asked_ns = classes.retry_after_ns(exchange)
            pause(min(asked_ns if asked_ns >= 0 else pause_ns, _MOST_PAUSE_NS))
            pause_ns *= 2
        return exchange

    return ask


class Named(NamedTuple):
    """What a server tells of T tokens of a prompt: each one's own log-probability, and the N
    likeliest in its place, itself among them; an id of -1 is not known. `pieces` are the tokens as
    the server writes them, joined.
    """

    log_probs: Floats  # (T,)
    ids: NDArray[np.int64]  # (T, N)
    top_log_probs: Floats  # (T, N)
    pieces: str = ""

    @property
    def top(self) -> NDArray[np.int64]:
        """(T,) The first choice, -1 if its id is not known: of several alike the lowest."""
        best = self.top_log_probs == self.top_log_probs.max(1, keepdims=True)
        lowest = np.where(best & (self.ids >= 0), self.ids, _NO_ID).min(1)
        return np.where(lowest == _NO_ID, -1, lowest)

    def after(self, first: int) -> Named:
        """Return the same without the first tokens."""
        arrays = (self.log_probs[first:], self.ids[first:], self.top_log_probs[first:])
        return Named(*arrays, self.pieces)


def joined(parts: Sequence[Named]) -> Named:
    """Return several, one after the other."""
    width = max(part.ids.shape[1] for part in parts)
    missing = [((0, 0), (0, width - part.ids.shape[1])) for part in parts]
    pairs = list(zip(parts, missing, strict=True))
    return Named(
        np.concatenate([part.log_probs for part in parts]),
        np.concatenate([np.pad(one.ids, by, constant_values=-1) for one, by in pairs]),
        np.concatenate(
            [np.pad(one.top_log_probs, by, constant_values=-np.inf) for one, by in pairs]
        ),
    )


class Way(NamedTuple):
    """How a server is asked. `named`: the likeliest tokens of a position that it tells."""

    kind: Kind
    named: int
    as_ids: bool = False  # echo: tokens are asked for as ids, which vLLM and `harness serve` know

    @property
    def names_ids(self) -> bool:
        """Does it tell which tokens the likeliest are? Several may have one text."""
        return self.as_ids or self.kind == "prompt_logprobs"

    def request(self, model: str, ids: Sequence[int]) -> dict[str, Any]:
        """Return the body. The temperature is 1: some servers scale these figures by it."""
        body = {"model": model, "prompt": list(ids), "max_tokens": 1, "temperature": 1.0}
        if self.kind == "prompt_logprobs":
            return body | {"prompt_logprobs": self.named}
        return body | {"echo": True, "logprobs": self.named} | (
            {"return_tokens_as_token_ids": True} if self.as_ids else {}
        )  # fmt: skip


class Lacking(Exception):
    """An answer without the log-probabilities of its prompt, in words."""


def find(ask: Ask, model: str, ids: Sequence[int], named: int) -> Way:
    """Return how this server tells the log-probabilities of a prompt. Raises SetupFailed for one
    that does not, with its own words.
    """
    reasons: dict[str, None] = {}
    for kind, as_ids in _WAYS:
        for count in (named, *(fewer for fewer in _FEWER if fewer < named)):
            way = Way(kind, count, as_ids)
            try:
                exchange = _answer(ask(way.request(model, ids)))
                read(way, exchange, ids)
                return way
            except _Refused as refused:  # so many tokens, it may be
                reasons[str(refused)] = None
            except Lacking as lacking:
                reasons[str(lacking)] = None
                break
    fine = "expected prompt_logprobs, or echo with logprobs, for a prompt of ids"
    raise SetupFailed(_DOING, f"the server gives none ({'; '.join(reasons)})", fine, _SERVE)


class _Refused(Exception):
    """A request that the server does not take, in its words."""


def _answer(exchange: Exchange) -> Exchange:
    """Return it, if it is an answer. Raises _Refused, and SetupFailed where no request would be
    answered: without a key, a path or a model.
    """
    failure, words = classes.of_head(exchange)
    if not failure:
        return exchange
    is_final = exchange.status in (401, 403, 404) or failure not in ("client_error", "server_error")
    if is_final:
        raise SetupFailed(_DOING, words, "", "Check the server and its log.")
    raise _Refused(words)


# ---- answers


def read(way: Way, exchange: Exchange, ids: Sequence[int]) -> Named:
    """Return what is told of all tokens but the first, which nothing predicts. Raises Lacking for
    an answer that does not tell it, RunBroke for figures that cannot be.
    """
    try:
        answer = loads(exchange.body)
        choice = answer["choices"][0]
        told = _READERS[way.kind](choice, ids)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        kind = type(error).__name__
        raise Lacking(f"its answer to {way.kind} is of another shape ({kind})") from None
    if way.as_ids and (told.ids[:, 1:] < 0).any(where=np.isfinite(told.top_log_probs[:, 1:])):
        raise Lacking("it names tokens by their text")
    _check(told)
    return told


def _of_vllm(choice: Mapping[str, Any], ids: Sequence[int]) -> Named:
    rows = choice.get("prompt_logprobs")
    if not rows:
        raise Lacking("it leaves prompt_logprobs out")
    if len(rows) != len(ids):
        raise Lacking(f"its prompt_logprobs are of {len(rows)} tokens, not of {len(ids)}")
    own, tops, pieces = [], [], []
    for id, row in zip(ids[1:], rows[1:], strict=True):
        entry = row.get(str(id))
        if entry is None:
            raise Lacking(f"it does not tell the log-probability of id {id}, which was sent")
        own.append(float(entry["logprob"]))
        tops.append([(int(key), float(value["logprob"])) for key, value in row.items()])
        pieces.append(entry.get("decoded_token") or "")
    return _named(own, tops, "".join(pieces))


def _of_echo(choice: Mapping[str, Any], ids: Sequence[int]) -> Named:
    logprobs = choice.get("logprobs") or {}
    own = logprobs.get("token_logprobs") or ()
    if len(own) < len(ids):
        raise Lacking(f"with echo it tells {len(own)} log-probabilities for {len(ids)} tokens")
    names, rows = logprobs["tokens"][: len(ids)], logprobs.get("top_logprobs") or [None] * len(own)
    if any(
        _is_id(name) and int(name[len(_ID) :]) != id for name, id in zip(names, ids, strict=True)
    ):
        raise Lacking("with echo it tells other ids than those that were sent")
    tops = []
    for i in range(1, len(ids)):
        others = {name: float(value) for name, value in (rows[i] or {}).items() if name != names[i]}
        top = [(_id(name), value) for name, value in others.items()]
        tops.append([(int(ids[i]), float(own[i])), *top])
    return _named([float(one) for one in own[1 : len(ids)]], tops, str(choice.get("text") or ""))


_READERS = {"prompt_logprobs": _of_vllm, "echo": _of_echo}


def _is_id(name: str) -> bool:
    return name.startswith(_ID) and name[len(_ID) :].isdigit()


def _id(name: str) -> int:
    """Return the id of a token; -1 for one that is named by its text, which others may have too."""
    return int(name[len(_ID) :]) if _is_id(name) else -1


def _named(own: Sequence[float], tops: Sequence[Sequence[tuple[int, float]]], pieces: str) -> Named:
    width = max(map(len, tops), default=1)
    ids = np.full((len(tops), width), -1, np.int64)
    log_probs = np.full((len(tops), width), -np.inf)
    for i, top in enumerate(tops):
        ids[i, : len(top)] = [id for id, _ in top]
        log_probs[i, : len(top)] = [log_prob for _, log_prob in top]
    return Named(np.asarray(own, np.float64), ids, log_probs, pieces)


def _check(told: Named) -> None:
    """Refuse what cannot be log-probabilities, such as logits. Raises RunBroke."""
    if not np.isfinite(told.log_probs).all():
        place = int(np.flatnonzero(~np.isfinite(told.log_probs))[0]) + 1
        found = f"the server gives token {place} of a prompt no finite one"
        raise RunBroke(_DOING, found, "a model's log-probabilities are finite", "")
    sums = np.exp(told.top_log_probs).sum(1)
    most = float(sums.max(initial=0.0))
    if not most <= 1 + _SUM_TOLERANCE:
        found = f"the probabilities that the server names for a token sum to {most:.4g}"
        todo = "vLLM: leave --logprobs-mode at raw_logprobs."
        raise RunBroke(_DOING, found, "expected 1 at most", todo)


# ---- which model


class Model(NamedTuple):
    """`most_tokens`: of a prompt and its answer together; None if the server does not say."""

    name: str
    most_tokens: int | None


def ask_model(server: Address, name: str) -> Model:
    """Return the model that answers at this address: the one of that name, or the only one. Raises
    SetupFailed.
    """
    known = who.listed(server)
    name = who.model(server, name, known)
    return Model(name, who.who(server, name, known).context)
