"""Is a model of the hub to be had here? Asked once, in the driver's process, before any child is.

The hub's client tries a request six times over half a minute, and each child of a comparison would
begin anew. Here one short question decides: the hub has the model; or it cannot be reached and the
client's cache has it, and then nobody asks the hub again; or the user hears what is wrong.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from harness.kernel.errors import SetupFailed, first_line
from harness.kernel.protocols import Say
from sut.model import named

_TIMEOUT_S = 5.0
_OFFLINE = "HF_HUB_OFFLINE"
_FILE = "config.json"
_unreachable: list[str] = []  # why the hub gave no answer: it is not asked again in this process


def find(name: str, aliases: Iterable[str], say: Say) -> tuple[str, ...]:
    """Return what a reader must know of where model `name` comes from. Raises SetupFailed."""
    import huggingface_hub

    is_cached = isinstance(huggingface_hub.try_to_load_from_cache(name, _FILE), str)
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        if is_cached:
            return ()
        raise named.unreachable(name, aliases, f"{_OFFLINE} is set")
    if not _unreachable:
        say(f"looking for {name} on the hub")
        _unreachable.extend(filter(None, (_ask(name, aliases),)))
    if not _unreachable:
        return ()
    if not is_cached:
        raise named.unreachable(name, aliases, f"the hub cannot be reached ({_unreachable[0]})")
    os.environ[_OFFLINE] = "1"  # for the children; the client of this process has read it already
    huggingface_hub.constants.HF_HUB_OFFLINE = True
    return ("the hub could not be reached: the copy in its cache was used",)


def _ask(name: str, aliases: Iterable[str]) -> str:
    """Return why the hub gives no answer, or nothing if it has the model. Raises SetupFailed."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    try:
        get_hf_file_metadata(hf_hub_url(name, _FILE), timeout=_TIMEOUT_S)
    except GatedRepoError as error:
        raise named.refused(name, aliases, is_gated=True) from error
    except RepositoryNotFoundError as error:
        raise named.refused(name, aliases, is_gated=False) from error
    except HfHubHTTPError as error:
        if error.response.status_code >= 500:
            return first_line(error)
        fine, todo = "expected an answer to a question about its files", "Check the name."
        found = f"the hub refuses the question ({first_line(error)})"
        raise SetupFailed(f"model {name!r}", found, fine, todo) from error
    except Exception as error:  # of the transport, which is another library in each release
        return f"{type(error).__name__}: {first_line(error)}"
    return ""
