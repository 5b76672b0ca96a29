"""May what a folder's settings name be used? A folder may be somebody else's, so its word is not
enough to run code or to open files elsewhere: the user says so on the command line.

    --trust-remote-code    Python code shipped with a model
    --trust-folder         all that the settings name

Models, adapters and data sets by path need no second word where the user named them himself: the
settings are those that this program wrote for him, byte for byte. Their hashes are kept in the
user's state folder (`harness.kernel.places`). Code always does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from harness.kernel.errors import BadInput
from harness.kernel.files import write_new
from harness.kernel.foreign.own_files import read_bytes
from harness.kernel.places import state_folder


class Wish(NamedTuple):
    """Something that settings name, in words ("the model /m/tiny"), and what it is."""

    what: str
    kind: Literal["remote code", "code", "place"]


class Consent(NamedTuple):
    """What the user allowed on the command line."""

    remote_code: bool = False
    everything: bool = False


NO_CONSENT = Consent()


def require(doing: str, file: Path, wishes: Iterable[Wish], given: Consent) -> None:
    """Refuse to use what the settings in `file` name without consent. Raises BadInput that names
    all of it.
    """
    is_own = is_known(file)
    asked = [wish for wish in dict.fromkeys(wishes) if not _is_granted(wish, given, is_own)]
    if not asked:
        return
    flag = "--trust-folder"
    if {wish.kind for wish in asked} == {"remote code"}:
        flag = "--trust-remote-code"
    found = f"{file.name} names {_listed([wish.what for wish in asked])}"
    fine = "expected your consent, since a folder may be somebody else's"
    raise BadInput(doing, found, fine, f"If you trust whoever made it, pass {flag}.")


def _is_granted(wish: Wish, given: Consent, is_own: bool) -> bool:
    if given.everything:
        return True
    if wish.kind == "remote code":
        return given.remote_code
    return wish.kind == "place" and is_own


def _listed(words: list[str]) -> str:
    """Return "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


# ---- settings that this program wrote


def remember(file: Path) -> None:
    """Keep that this user's own command wrote these settings. Where that cannot be kept, he is
    asked again.
    """
    with suppress(OSError, RuntimeError):  # RuntimeError: he has no home
        place = _kept(file.read_bytes())
        place.parent.mkdir(parents=True, exist_ok=True)
        write_new(place, "")


def is_known(file: Path) -> bool:
    """Tell whether `remember` has seen settings with these very bytes."""
    try:
        return _kept(read_bytes(file)).is_file()
    except (OSError, RuntimeError):
        return False


def _kept(settings: bytes) -> Path:
    return state_folder("settings") / hashlib.sha256(settings).hexdigest()
