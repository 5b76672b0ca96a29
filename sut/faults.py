"""What a library's exception means to the user: one sentence instead of a traceback. Out of memory
is told apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from harness.errors import HarnessError, RunBroke, SetupFailed

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
_CAUSAL = "a causal language model that this transformers knows"


@contextmanager
def loading(path: str) -> Iterator[None]:
    """Whatever goes wrong inside becomes a SetupFailed about the model at `path`."""
    try:
        yield
    except HarnessError:
        raise
    except Exception as error:
        raise _meaning(f"loading model {path!r}", error) from error


@contextmanager
def running(doing: str) -> Iterator[None]:
    """Out of memory inside becomes a RunBroke that says so; anything else passes."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise RunBroke(
            doing, f"out of memory ({first_line(error)}){_peak()}", "", _SMALLER
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """A GPU's allocator, torch's on the CPU or Python's own."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _OUT_OF_MEMORY)


def first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:300].rstrip(":") if text else type(error).__name__


def _meaning(doing: str, error: Exception) -> SetupFailed:
    text = first_line(error)
    if is_out_of_memory(error):
        return SetupFailed(doing, f"out of memory ({text}){_peak()}", "", _SMALLER)
    if type(error).__name__ == "SafetensorError":
        return SetupFailed(doing, f"its weight file is damaged ({text})", "", _AGAIN)
    if "does not recognize this architecture" in text or "Unrecognized model" in text:
        return SetupFailed(
            doing,
            "its architecture is unknown: " + text.split(" but ")[0],
            _CAUSAL,
            "Choose another model.",
        )
    if "Unrecognized configuration class" in text:
        kind = text.partition("<class '")[2].partition("'")[0].rsplit(".", 1)[-1]
        return SetupFailed(
            doing, f"{kind or 'it'} is no causal language model", _CAUSAL, "Choose another model."
        )
    if "ignore_mismatched_sizes" in text:
        found = "the shapes in its weight files are not those of its config.json"
        return SetupFailed(doing, found, "both must be of one model", _AGAIN)
    return SetupFailed(doing, text, "", "Check the name, the files and the network.")


def _peak() -> str:
    from sut import peak

    return f"; peak {peak.reached_bytes() / 2**30:.2f} GiB"
