"""What a library's exception means to the user: one sentence instead of a traceback. Out of memory
is told apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.kernel.errors import HarnessError, RunBroke, SetupFailed, first_line
from sut.model import find as models
from sut.model import named

_OUT_OF_MEMORY = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
)
_SMALLER = (
    "Choose a smaller variant, a shorter context, fewer --max-concurrency, or --device-map auto."
)
_AGAIN = "Fetch or save it again."
_ANOTHER = "Choose another model."
_CAUSAL = "expected a causal language model that this version of transformers knows"
_WHOLE = "expected the whole folder of a model"
_FITS = "expected a model that fits into memory"
_MISSING_FILE = re.compile(r"does not appear to have (?:a file|any files) named (.+)")


@contextmanager
def loading(path: str) -> Iterator[None]:
    """Turn whatever goes wrong inside into a SetupFailed about the model at `path`."""
    try:
        yield
    except HarnessError:
        raise
    except Exception as error:
        doing = f"loading model {path!r}"
        raise _of_the_hub(path, error) or _meaning(doing, error) from error


@contextmanager
def running(doing: str) -> Iterator[None]:
    """Turn out of memory inside into a RunBroke that says so; anything else passes."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise RunBroke(
            doing, f"out of memory ({first_line(error)}){_peak()}", "", _SMALLER
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether memory ran out: a GPU's allocator, torch's on the CPU or Python's own."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _OUT_OF_MEMORY)


_NO_NETWORK = ("LocalEntryNotFoundError", "OfflineModeIsEnabled", "ConnectionError", "ConnectError")


def _of_the_hub(name: str, error: BaseException) -> SetupFailed | None:
    """Explain a hub id that could not be fetched: the hub's own words are about repositories and
    tokens.
    """
    if Path(name).exists() or "/" not in name:
        return None
    kinds, text = set[str](), str(error)
    cause: BaseException | None = error
    while cause is not None:
        kinds.add(type(cause).__name__)
        cause = cause.__cause__ or cause.__context__
    if "GatedRepoError" in kinds or "gated repo" in text:
        return named.refused(name, models.TABLE, is_gated=True)
    if "RepositoryNotFoundError" in kinds or "not a valid model identifier" in text:
        return named.refused(name, models.TABLE, is_gated=False)
    if kinds.intersection(_NO_NETWORK) or "couldn't connect to" in text:
        return named.unreachable(name, models.TABLE, "the hub cannot be reached")
    return None


def _meaning(doing: str, error: Exception) -> SetupFailed:
    text = first_line(error)
    if is_out_of_memory(error):
        return SetupFailed(doing, f"out of memory ({text}){_peak()}", _FITS, _SMALLER)
    if type(error).__name__ == "SafetensorError":
        return SetupFailed(doing, f"its weight file is damaged ({text})", _WHOLE, _AGAIN)
    if "Should have a `model_type` key" in text:
        return SetupFailed(doing, "its config.json names no model_type", _CAUSAL, _AGAIN)
    if "does not recognize this architecture" in text or "Unrecognized model" in text:
        found = "its architecture is unknown: " + text.split(" but ")[0]
        return SetupFailed(doing, found, _CAUSAL, _ANOTHER)
    if "Unrecognized configuration class" in text:
        kind = text.partition("<class '")[2].partition("'")[0].rsplit(".", 1)[-1]
        return SetupFailed(doing, f"{kind or 'it'} is no causal language model", _CAUSAL, _ANOTHER)
    if "ignore_mismatched_sizes" in text:
        found = "the shapes in its weight files are not those of its config.json"
        return SetupFailed(doing, found, "both must be of one model", _AGAIN)
    if missing := _MISSING_FILE.search(text):
        return SetupFailed(doing, f"it has no {missing[1].rstrip('.')}", _WHOLE, _AGAIN)
    todo = "Check the name, the files and the network."
    return SetupFailed(doing, f"transformers could not load it ({text})", _CAUSAL, todo)


def _peak() -> str:
    from sut.model import peak

    return f"; peak {peak.reached_bytes() / 2**30:.2f} GiB"
