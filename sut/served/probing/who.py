"""Which server is it, which models has it, and how long may prompt and answer be?

GET /models says most; each server has one page more of its own:

    vLLM, TensorRT-LLM   /version           version
    SGLang               /get_server_info   version
    llama.cpp            /props             build_info, n_ctx
    TGI                  /info              version, max_total_tokens
    Ollama               /api/version       version
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from harness.kernel.errors import SetupFailed
from sut.served.address import Address
from sut.served.answers.read import Options, answer
from sut.served.once import exchange
from sut.served.probing.asking import Reply, page, refuse, table

_SHOWN = 30  # names of models in an error

LISTING_S = 30.0  # for the list of models, which no server has to think about


class _Kind(NamedTuple):
    name: str
    owners: tuple[str, ...]  # what it writes into `owned_by`
    path: str  # of the page that has its version
    version: tuple[str, ...]  # where on that page
    context: tuple[str, ...] = ()


_KINDS = (
    _Kind("llama.cpp", ("llamacpp", "llama-server"), "/props", ("build_info",),
          ("default_generation_settings", "n_ctx")),
    _Kind("SGLang", ("sglang",), "/get_server_info", ("version",)),
    _Kind("TGI", ("tgi",), "/info", ("version",), ("max_total_tokens",)),
    _Kind("Ollama", ("library", "ollama"), "/api/version", ("version",)),
    _Kind("TensorRT-LLM", ("tensorrt_llm", "trt-llm"), "/version", ("version",)),
    _Kind("vLLM", ("vllm",), "/version", ("version",)),
    _Kind("Touchstone", ("touchstone",), "/version", ("version",)),
)  # fmt: skip


class Listed(NamedTuple):
    """What /models says. `is_told`: there is such a page."""

    names: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    is_told: bool


class Who(NamedTuple):
    server: str = ""  # "" = it does not say
    version: str = ""
    context: int | None = None  # tokens of prompt and answer


def listed(address: Address) -> Listed:
    """Return the models of the server. Raises SetupFailed where there is no server, or it wants a
    key.
    """
    found = exchange(address, "GET", f"{address.path}/models", timeout_s=LISTING_S)
    if not found.status or found.status in (401, 403):
        refuse(address, Reply(found, answer(found, Options())), f"asking {address.url}/models")
    told = table(found.body) if found.status == 200 else None
    data = None if told is None else told.get("data")
    if not isinstance(data, list):
        return Listed((), (), False)
    rows = [row for row in data if isinstance(row, dict) and isinstance(row.get("id"), str)]
    return Listed([row["id"] for row in rows], rows, True)


def model(address: Address, asked: str, known: Listed) -> str:
    """Return the name of the model as the server has it. Raises SetupFailed for one that it does
    not have: a server that takes any name would be measured with another model.
    """
    doing = f"asking {address.url}"
    if not asked and _is_one(known):
        return known.names[0]
    if not asked:
        said = "it has several models" if known.names else "it does not list its models"
        todo = "Choose one with --model, or put # and its name after the address."
        raise SetupFailed(doing, said + _names(known), "", todo)
    same = [name for name in known.names if _is_same(asked, name)]
    if asked in known.names or not known.names:
        return asked
    if len(same) == 1:
        return same[0]
    near = get_close_matches(asked, known.names, n=1, cutoff=0.5)
    guess = f"Did you mean --model {near[0]}?" if near else ""
    raise SetupFailed(doing, f"it has no model {asked!r}" + _names(known), "", guess)


def _is_one(known: Listed) -> bool:
    """Tell whether all names stand for one model, as its `root` says."""
    roots = {str(row.get("root") or row["id"]) for row in known.rows}
    return len(roots) == 1


def _is_same(asked: str, name: str) -> bool:
    """Tell the same name with Ollama's tag, or as llama.cpp's path of a file."""
    return name == f"{asked}:latest" or name.replace("\\", "/").rpartition("/")[2] == asked


def _names(known: Listed) -> str:
    if not known.names:
        return ""
    more = len(known.names) - _SHOWN
    return f"; it has {', '.join(known.names[:_SHOWN])}" + (f" and {more} more" if more > 0 else "")


def who(address: Address, name: str, known: Listed) -> Who:
    """Return what the server tells of itself."""
    row = next((row for row in known.rows if row["id"] == name), {})
    owner = str(row.get("owned_by", "")).lower()
    ours = [kind for kind in _KINDS if owner in kind.owners]
    for kind in ours or _KINDS[:4]:
        told = page(address, kind.path)
        if told is not None and (version := _text(_at(told, kind.version))):
            context = _count(_at(told, kind.context)) if kind.context else None
            return Who(kind.name, version, context or _context(row))
    return Who(ours[0].name if ours else "", "", _context(row))


def _context(row: Mapping[str, Any]) -> int | None:
    """Return the length that the list of models tells, by the names that servers have for it."""
    places = (row.get("max_model_len"), row.get("context_length"), row.get("max_context_length"),
              _at(row, ("meta", "n_ctx")), _at(row, ("meta", "n_ctx_train")))  # fmt: skip
    return next((count for place in places if (count := _count(place))), None)


def _at(page: Any, path: Sequence[str]) -> Any:
    for name in path:
        page = page.get(name) if isinstance(page, dict) else None
    return page


def _text(value: Any) -> str:
    return value[:80] if isinstance(value, str) else ""


def _count(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 31
    return value if is_count else None
