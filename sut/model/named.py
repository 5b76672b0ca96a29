"""Can this name be a model, and if not, which was meant?

A model is an alias, a folder that transformers reads, a GGUF file, or a hub id such as owner/name.
What is wrong with a path is found out here, before anything is loaded; whether the hub has an id
only shows when it is asked (`unreachable`, `refused`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from harness.kernel.errors import BadInput, SetupFailed, unknown
from harness.kernel.foreign.own_files import check_given
from harness.kernel.places import found_at, guess, wrong_path

_MAGIC = b"GGUF"
_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_HUB_URL = re.compile(r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)")
_FINE = "expected an alias, a folder with a config.json, a .gguf file, or a hub id (owner/name)"
_OTHERS = "Or pass a folder with a config.json, a .gguf file, or a hub id such as owner/name."
_LIST = "See python -m harness list models."


def check(name: str, aliases: Iterable[str]) -> None:
    """Refuse a name that cannot be a model. Raises BadInput, which says what stands there."""
    if name in aliases:
        return
    doing, path = f"model {name!r}", Path(name)
    if not name.strip():
        raise BadInput(doing, "the name is empty", _FINE, _LIST)
    if "://" in name:
        hub = _HUB_URL.match(name)
        todo = f"Pass --model {hub[1]}." if hub else "Download it and pass its folder."
        raise BadInput(doing, "it is a web address", _FINE, todo)
    try:
        path = path.expanduser()
        if path.is_dir():
            return _check_folder(doing, path)
        if path.exists():
            return _check_file(doing, path)
    except (OSError, RuntimeError, ValueError):  # no such user, a name too long, a zero byte
        raise BadInput(doing, found_at(path), _FINE, _LIST) from None
    if _is_path(name, path):
        raise wrong_path(doing, path, _FINE)
    if not _HUB_ID.fullmatch(name):
        raise unknown("model", name, aliases, _OTHERS)


def _is_path(name: str, path: Path) -> bool:
    """Say whether it is a name that can only be meant as a path, or a link that leads nowhere."""
    looks = name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1
    return looks or path.is_symlink() or path.suffix.lower() == ".gguf"


def _check_folder(doing: str, folder: Path) -> None:
    config = folder / "config.json"
    if config.is_file():
        config.open("rb").close()
        check_given(doing, folder)
        return
    names = sorted(path.name for path in folder.iterdir())
    found = "the folder has no config.json" if names else "the folder is empty"
    if files := [name for name in names if name.lower().endswith(".gguf")]:
        todo = f"Pass the file: --model {folder / files[0]}."
    elif "adapter_config.json" in names:
        found, todo = "it is a LoRA adapter", f"Pass --variant lora --adapter {folder}."
    elif inner := [name for name in names if (folder / name / "config.json").is_file()]:
        todo = f"Pass --model {folder / inner[0]}."
    elif (snapshots := folder / "snapshots").is_dir():
        todo = f"Pass a folder inside {snapshots}."
    else:
        todo = "Check the path."
    raise BadInput(doing, found, _FINE, todo)


def _check_file(doing: str, file: Path) -> None:
    with file.open("rb") as opened:
        is_gguf = opened.read(len(_MAGIC)) == _MAGIC
    if file.suffix.lower() != ".gguf":
        todo = "Rename it to end in .gguf." if is_gguf else "Pass the model's folder."
        raise BadInput(doing, "it is a file, but not a .gguf file", _FINE, todo)
    if not is_gguf:
        found, fine = "it is not a GGUF file despite its name", "expected one that begins with GGUF"
        raise BadInput(doing, found, fine, "Fetch it again.")


# ---- the hub


def unreachable(name: str, aliases: Iterable[str], why: str) -> SetupFailed:
    """Make the error for a hub that does not answer and a model that is not in its cache."""
    found = f"{why}, and its cache here does not have the model"
    fine = f"expected a network, a model folder, or an alias ({', '.join(aliases)})"
    download = f"hf download {name} --local-dir FOLDER"
    todo = f"Download it where there is one ({download}), copy the folder, and pass --model FOLDER."
    return SetupFailed(f"model {name!r}", found, fine, _near(name, aliases) or todo)


def refused(name: str, aliases: Iterable[str], is_gated: bool) -> SetupFailed:
    """Make the error for a hub that has no such model, or does not give it to this user."""
    doing = f"model {name!r}"
    if is_gated:
        fine = "expected an account that has agreed to its terms"
        todo = "Agree to them on the hub, then log in: hf auth login."
        return SetupFailed(doing, "the hub restricts access to it", fine, todo)
    todo = _near(name, aliases) or "Check the spelling; if it is private, log in: hf auth login."
    return SetupFailed(doing, "the hub has no such model, or it is private", _FINE, todo)


def _near(name: str, aliases: Iterable[str]) -> str:
    """Suggest the name most like this one: a folder beside it, a cached model, an alias."""
    if local := guess(Path(name)):
        return local
    known = {_short(alias): alias for alias in (*_cached(), *aliases)}
    near = get_close_matches(_short(name), [key for key in known if key != _short(name)], n=1)
    return f"Did you mean {known[near[0]]!r}?" if near else ""


def _short(name: str) -> str:
    return name.rsplit("/", 1)[-1].lower()


def _cached() -> list[str]:
    """Return hub ids whose files are in the hub's own cache on this machine."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return [
        folder.name.removeprefix("models--").replace("--", "/")
        for folder in Path(HF_HUB_CACHE).expanduser().glob("models--*")
        if any((folder / "snapshots").glob("*/config.json"))
    ]
