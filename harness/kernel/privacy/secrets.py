"""Which parts of a text are secrets? They are hidden in everything that is kept or shown: a run
folder is sent to others, and an error is pasted into an issue.

A secret is known by its form (keys of the common services, private keys, the user in a URL, what
stands behind "password=" or "Authorization:"), or because the environment has it under a name such
as HF_TOKEN: then it is hidden wherever it stands, in the words of a library above all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

HIDDEN = "(hidden)"
# Texts, which `re` compiles at their first use: a start that shows a page of help needs none.
_SECRET_VARIABLE = (
    r"(?i)token(?!iz)|secret|passw|passphrase|pwd|credential|cookie|bearer|signature|webhook|dsn"
    r"|(^|_)(api|access|private|encryption|account|ssh|license)?_?key(s|$|_)|(^|_)auth"
)
_SECRET_OPTION = (
    r"(?i)^(.*[_-])?(api|access|private|secret|auth|account)?[_-]?key$"
    r"|^(.*[_-])?(api|access|refresh|auth|bearer|hf|hub|secret|session)[_-]?token$|^token$"
    r"|secret|passw|passphrase|^pwd$|credential|cookie|bearer|authorization|^auth$"
)
_KEYS = "|".join((
    r"hf_[A-Za-z0-9]{16,}", r"(?:sk|pk|rk)[-_](?=[\w-]*\d)(?:[a-z]+[-_])*[A-Za-z0-9_-]{16,}",
    r"gh[pousr]_[A-Za-z0-9]{20,}", r"github_pat_\w{20,}", r"glpat-[\w-]{16,}",
    r"xox[a-z]-[\w-]{10,}", r"(?:AKIA|ASIA)[A-Z0-9]{16}", r"AIza[\w-]{30,}", r"ya29\.[\w-]{20,}",
    r"(?:npm|gsk|dop_v1|hvs|r8|nvapi|pypi)[-_.][\w-]{24,}",
    r"eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?",
))  # fmt: skip
_QUOTED = r"['\"]?\s*[:=]\s*['\"]?"  # what stands between a name and its value
_NAMES = (
    r"(?:api|access|secret|private|account)[_-]?key|client[_-]?secret|secret|passw(?:or)?d"
    r"|passphrase|(?:access|auth|refresh|id|hf|hub|bearer|session)[_-]?token"
)
_QUERY = r"[\w-]*(?:key|token|sig|signature|auth|code)|x-amz-[\w-]+"
# What is in the group `kept` stays. Each takes time in proportion to a text, whatever is in it.
_PATTERNS = (
    r"(?s)(?P<kept>)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
    r"(?P<kept>://)[^/\s?#@'\"]+(?=@)",
    rf"(?i)(?P<kept>[?&;](?:{_QUERY})=)[^&\s'\"]+",
    rf"(?i)(?P<kept>\b(?:proxy-)?authorization{_QUOTED}(?:\w+\s+)?)[^\s'\",}}]{{4,}}",
    r"(?i)(?P<kept>\bbearer\s+)[\w.~+/=-]{12,}",
    rf"(?i)(?P<kept>(?:\b|_)(?:{_NAMES}){_QUOTED})(?!VALUE\b)[^\s'\",;}}&]{{3,}}",
    rf"(?P<kept>(?<![\w-]))(?:{_KEYS})",
)  # fmt: skip


_also = set[str]()  # what is a secret wherever it stands, whatever its variable is called
_LEAST = 4  # characters: a shorter one is guessed at once, and hiding it would spoil other words


def also(secret: str) -> None:
    """Hide this text from now on."""
    if len(secret) >= _LEAST:
        _also.add(secret)


def hidden(text: str) -> str:
    """Return the text with `(hidden)` in the place of each secret."""
    for secret in _of_environment():
        text = text.replace(secret, HIDDEN)
    for pattern in _PATTERNS:
        text = re.sub(pattern, rf"\g<kept>{HIDDEN}", text)
    return text


def hidden_in(value: Any) -> Any:
    """Return a value of JSON's kinds with the secrets in its texts hidden."""
    if isinstance(value, str):
        return hidden(value)
    if isinstance(value, Mapping):
        return {key: hidden_in(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [hidden_in(inner) for inner in value]
    return value


def hidden_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options without the secrets: those that are named like one are hidden whole."""
    return {
        key: HIDDEN if re.search(_SECRET_OPTION, key) else hidden_in(value)
        for key, value in options.items()
    }


@lru_cache(maxsize=4096)
def is_secret_variable(name: str) -> bool:
    """Tell whether an environment variable is named like a secret."""
    return re.search(_SECRET_VARIABLE, name) is not None


def _of_environment() -> Iterator[str]:
    """Yield the secrets in the environment, the longest first: one may be the start of another."""
    values = {value for name, value in os.environ.items() if is_secret_variable(name)}
    yield from sorted({*filter(_is_telling, values), *_also}, key=len, reverse=True)


def _is_telling(value: str) -> bool:
    """Tell whether a value is one that stands in a text by no accident. A path is no secret."""
    has_both = bool(re.search(r"\d", value)) and bool(re.search(r"[A-Za-z]", value))
    is_long = len(value) >= 8 if has_both else len(value) >= 12
    return is_long and not value.startswith(("/", "~", ".")) and not value.isspace()
