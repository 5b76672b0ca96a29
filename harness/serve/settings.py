"""What is to be served, where, and to whom? Checked before anything is read or loaded."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.kernel.errors import BadInput, unknown
from harness.kernel.privacy import secrets
from harness.kernel.protocols import Say
from harness.kernel.types import short_name
from harness.options.run_options import OPTIONS
from harness.serve.house import all_names
from sut.model.find import resolve
from sut.serving.messages import Options

MOST_WAITING = 1024
SUTS = ("local", "simulated")  # a model of ours, and the golden server
_LOOPBACK = ("127.", "::1", "localhost")
_KEY = r"[!-~]([ -~]*[!-~])?"  # what every client can put into a header


@dataclass(frozen=True, slots=True)
class Settings:
    """`flags` are those of a model, as `harness run` has them, and the SUT with its options."""

    flags: Mapping[str, Any]
    host: str = "127.0.0.1"
    port: int = 8000
    aliases: tuple[str, ...] = ()
    most_waiting: int = MOST_WAITING
    max_len: int | None = None
    key: str = field(default="", repr=False)

    @property
    def is_for_all(self) -> bool:
        """Is it reached from other machines, by anybody?"""
        return not self.key and not self.host.startswith(_LOOPBACK)

    @property
    def names(self) -> tuple[str, ...]:
        """What the model is called: as on the command line, then the aliases."""
        return all_names(self.flags["model"], self.aliases)

    @property
    def short_name(self) -> str:
        """The model without its owner or folder: taken as well, but not listed."""
        return short_name(self.flags["model"])

    def options(self, say: Say) -> Options:
        """Return what the engine is to hold; a model that is fetched is fetched now. Raises
        HarnessError.
        """
        flags = self.flags
        model, gib, adapter = resolve(flags["model"], say), flags["kv_cache_gib"], flags["adapter"]
        return Options(
            path=model.path,
            variant=flags["variant"],
            max_batch=None if flags["max_concurrency"] == "auto" else flags["max_concurrency"],
            max_len=self.max_len,
            device=flags["device"],
            device_map=flags["device_map"],
            adapter=None if adapter is None else str(adapter),
            merge_adapter=flags["merge_adapter"],
            tf32=flags["tf32"],
            kv_cache_bytes=None if gib is None else int(gib * 2**30),
            prefill_tokens=flags["prefill_tokens"],
            trust_remote_code=flags["trust_remote_code"],
            notes=list(model.notes),
        )


def settings(flags: Mapping[str, Any], key_variable: str | None, **given: Any) -> Settings:
    """Check what was given. Raises BadInput."""
    sut = flags.get("sut") or OPTIONS["sut"].default
    found = {name: _checked(name, value, str(sut)) for name, value in flags.items()}
    if found["sut"] not in SUTS:
        todo = "To measure it, use harness run."
        raise unknown("--sut of harness serve", found["sut"], SUTS, todo)
    if found["sut_options"] and found["sut"] == "local":
        found_words, fine = "a model takes none", "they are those of --sut simulated"
        raise BadInput("--sut-option", found_words, fine, "Leave it out.")
    return Settings(found, key=_key(key_variable), **given)


def _checked(name: str, value: Any, sut: str) -> Any:
    """Return what holds of one setting of a SUT."""
    option = OPTIONS[name]
    if value is None:
        return option.default
    try:
        found = TypeAdapter(option.hint).validate_python(value)
    except ValidationError as error:
        words = error.errors()[0]["msg"]
        todo = "See python -m harness serve --help."
        raise BadInput(option.flag, f"{value} is not fine: {words}", "", todo) from None
    option.check_name(str(found), sut)
    return found


def _key(variable: str | None) -> str:
    """Return the key, which is hidden in all words from now on. Raises BadInput."""
    if variable is None:
        return ""
    key, doing = os.environ.get(variable, ""), f"--api-key-env {variable}"
    todo = f"Run: export {variable}=…"
    if not key:
        fine = "it holds the key that clients must send"
        raise BadInput(doing, "it is not set", fine, todo)
    secrets.also(key)
    if not re.fullmatch(_KEY, key):
        found = "the key begins or ends with white space, or is not all printable ASCII"
        raise BadInput(doing, found, "no client could send it", todo)
    return key
