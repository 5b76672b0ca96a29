"""Who answers the tool? A variant that we serve on the loopback address for as long as it runs, or
a server that is there already (--base-url).

    with serving(flags, "fp32", alias, folder, say) as server:
        ...server.url, server.model, server.check()
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.kernel import files
from harness.kernel.clock import monotonic_s
from harness.kernel.errors import BadInput, HarnessError, RunBroke, SetupFailed
from harness.kernel.foreign import parsed
from harness.kernel.machine import waits
from harness.kernel.process.children import Child
from harness.kernel.protocols import Say
from harness.options.run_options import OPTIONS
from sut.served import once
from sut.served.address import address as address_of

LOG = "sut.log"
_FACTS = "served.json"
_PAUSE_S = 0.1
_REFUSED = re.compile(r"^touchstone:requests_refused_total\{.*\} (\S+)$", re.M)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LEAVING_S = 15.0  # open answers are finished first, and nobody waits for them any more


@dataclass(frozen=True, slots=True)
class Server:
    """`check` raises RunBroke once the server is gone. `facts` are what it says of itself."""

    url: str
    model: str
    facts: Mapping[str, Any]
    key: str = field(default="", repr=False)
    check: Callable[[], None] = lambda: None
    is_ours: bool = False

    def refused(self) -> int:
        """Return how many requests a server of ours gave no answer to, by its own count."""
        if not self.is_ours:
            return 0
        page = once.exchange(address_of(self.url), "GET", "/metrics", timeout_s=10).body
        counts = _REFUSED.findall(page.decode(errors="replace"))
        return sum(int(float(count)) for count in counts)

    @property
    def context(self) -> int | None:
        """Tokens of prompt and answer together, where it says so."""
        found = self.facts.get("context")
        return found if isinstance(found, int) else None

    @property
    def concurrency(self) -> int | None:
        """Answers that it computes together, where it says so."""
        found = self.facts.get("max_concurrency")
        return found if isinstance(found, int) else None


def there(url: str, model: str, alias: str) -> Server:
    """Return a server that is there already, asked for `model`; for its only one if that is "".

    Raises BadInput for an address that is none, or a model that it does not have; SetupFailed if
    it does not answer.
    """
    address = address_of(url)
    doing = f"--base-url {address.url}"
    found = once.exchange(address, "GET", f"{address.path}/models", timeout_s=30)
    if found.ending != "whole" or found.status != 200:
        words = found.detail or f"it answered with status {found.status}"
        raise SetupFailed(doing, words, "expected a list of models", "Start the server first.")
    try:
        listed = parsed.loads(found.body)["data"]
        rows = {str(row["id"]): row for row in listed}
    except (ValueError, KeyError, TypeError):
        raise SetupFailed(doing, "its list of models is none", "expected OpenAI's API") from None
    chosen = alias or model or (next(iter(rows)) if len(rows) == 1 else "")
    if chosen not in rows:
        fine = f"it has {', '.join(rows) or 'no model'}"
        todo = f"Serve it as {alias} as well." if alias else "Pass --model NAME."
        missing = f"it has no model {chosen}" if chosen else "it has several models"
        raise BadInput(doing, missing, fine, todo)
    length = rows[chosen].get("max_model_len")
    facts = {"url": address.url, "models": list(rows), "context": length}
    return Server(address.url, chosen, facts, address.key)


@contextmanager
def serving(
    flags: Mapping[str, Any],
    variant: str,
    alias: str,
    max_len: int | None,
    folder: Path,
    say: Say,
) -> Iterator[Server]:
    """Serve a variant under `alias` on the loopback address while the block lasts.

    Its words go to sut.log in `folder`. Raises SetupFailed if it does not come up.
    """
    words = [*_words({**flags, "variant": variant}), "--alias", alias, "--port", "0", "--json"]
    words += ["--max-len", str(max_len)] if max_len else []
    log, facts = folder / LOG, folder / _FACTS
    with files.opened_log(log) as err, files.opened_log(facts) as out:
        child = Child(
            "harness.kernel.process.children", "harness", "serve", *words, stdout=out, stderr=err
        )
    with child:
        found = _ready(child, facts, log, variant, say)

        def check() -> None:
            if (code := child.poll()) is not None:
                raise _gone(RunBroke, f"serving {variant}", code, log)

        try:
            name = alias if alias in found["models"] else found["models"][0]  # --sut simulated
            yield Server(found["url"], name, found, check=check, is_ours=True)
        finally:
            child.terminate()
            waits.leave(child, _LEAVING_S)


def _ready(child: Child, facts: Path, log: Path, variant: str, say: Say) -> dict[str, Any]:
    """Return what it says of itself once it answers. Raises SetupFailed."""
    wait, look_s = waits.Wait(child.pid, waits.LOADING), monotonic_s()
    say(f"loading {variant}")
    while not (text := facts.read_text("utf-8")).endswith("\n"):
        if (code := waits.within(child, _PAUSE_S)) is not None:
            raise _gone(SetupFailed, f"serving {variant}", code, log)
        if monotonic_s() - look_s >= wait.pause_s:
            look_s = monotonic_s()
            try:
                wait.look()
            except waits.Overdue as overdue:
                raise SetupFailed(f"serving {variant}", str(overdue), "", f"See {log}.") from None
    found: dict[str, Any] = json.loads(text)
    return found


def _gone(kind: type[HarnessError], doing: str, code: int, log: Path) -> HarnessError:
    """Return what to say of a server that ended too soon: its last words."""
    last = last_lines(log, 1)
    found = f"it {waits.ending(code)}" + (f", last words: {last[0]}" if last else "")
    return kind(doing, found, "", f"See {log}.")


def last_lines(log: Path, count: int) -> list[str]:
    """Return the last lines of a log that say anything, each shortened and without colours."""
    try:
        with log.open("rb") as file:
            file.seek(max(file.seek(0, 2) - (1 << 16), 0))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    plain = _COLOUR.sub("", text)
    lines = [line.strip() for line in plain.replace("\r", "\n").split("\n")]
    return [line[:300] for line in lines if line][-count:]


def _words(flags: Mapping[str, Any]) -> list[str]:
    """Return settings as the words of a command line."""
    words: list[str] = []
    for name, value in flags.items():
        flag = OPTIONS[name].flag
        if value is None or value is False:
            continue
        if value is True:
            words.append(flag)
        elif isinstance(value, Mapping):
            words += [word for key, one in value.items() for word in (flag, f"{key}={one}")]
        else:
            words += [flag, str(value)]
    return words
