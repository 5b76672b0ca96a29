"""Is there a scenario, a model, a variant of that name? Each function refuses a name that is not
known with those that are. Libraries are imported when a name is looked up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from harness.kernel.errors import BadInput, unknown
from harness.kernel.places import expanded, wrong_path

if TYPE_CHECKING:
    from harness.kernel.types import Seeds

_CERTIFICATES = "expected a PEM file of certificates"
_DEVICES = ("auto", "cpu", "cuda", "cuda:1", "mps", "xpu")


def scenario(name: str) -> None:
    """Raise BadInput, SetupFailed."""
    import scenarios

    scenarios.entry(name)


def load(text: str) -> None:
    """Raise BadInput for what is no load, or one with a word that it does not take."""
    from scenarios.loads import load_of

    load_of(text)


def input_tokens(text: str) -> None:
    """Raise BadInput for what is no distribution."""
    from scenarios.loads.lengths import lengths_of

    lengths_of(text, "--input-tokens")


def output_tokens(text: str) -> None:
    """Raise BadInput for what is no distribution."""
    from scenarios.loads.lengths import lengths_of

    lengths_of(text, "--output-tokens")


def task(text: str) -> None:
    """Raise BadInput for what is no task, or one whose file is not there."""
    from accuracy.tasks.load import check_name

    check_name(text)


def verifier(text: str) -> None:
    """Raise BadInput for what names no function, SetupFailed for what cannot be imported."""
    from accuracy.tasks.attempts.verifier import verifier_of

    verifier_of(text)


def sut(name: str) -> None:
    """Raise BadInput, SetupFailed."""
    from harness import registry

    registry.sut_entry(name)


def profile(name: str) -> None:
    """Raise BadInput."""
    from harness.options import profiles

    _known("profile", name, profiles.TABLE, "profiles")


def parse_seeds(text: str) -> Seeds:
    """Return the seeds of a round by name ("v6.1") or of "QSL,SAMPLE,SCHEDULE". Raises BadInput."""
    from harness.kernel.types import Seeds
    from harness.options.profiles import SEEDS

    if text in SEEDS:
        return SEEDS[text]
    parts = text.split(",")
    if len(parts) == 3 and all(re.fullmatch(r"\s*\d+\s*", part) for part in parts):
        numbers = [int(part) for part in parts]
        if max(numbers) < 2**64:
            return Seeds(*numbers)
    raise unknown("seeds", text, SEEDS, "Or three integers below 2^64: QSL,SAMPLE,SCHEDULE.")


def variant(sut: str, name: str) -> None:
    """Raise BadInput for a variant that a SUT does not have."""
    from sut.precision.table import TABLE
    from sut.started import table

    if sut in table.TABLE:
        table.check_variant(sut, name)
    else:
        _known("variant", name, TABLE, "variants")


def model(name: str) -> None:
    """Raise BadInput."""
    from sut.model.find import check

    check(name)


def dataset(name: str) -> None:
    """Raise BadInput."""
    from accuracy.datasets.files import check_name

    check_name(name)


def device(name: str) -> None:
    """Raise BadInput."""
    _known("device", re.sub(r"^cuda:\d+$", "cuda:1", name), _DEVICES)


def base_url(url: str) -> None:
    """Raise BadInput."""
    from sut.served.address import address

    address(url)


def client(text: str) -> None:
    """Raise BadInput for what is no address of a client."""
    from sut.served.client.remote.address import place

    place(text, "--client")


def certificates(path: str) -> None:
    """Raise BadInput for what holds no certificates."""
    import ssl

    file = expanded(Path(path))
    try:
        ssl.create_default_context(cafile=str(file))
    except FileNotFoundError:
        raise wrong_path(f"--ca-file {path}", file, _CERTIFICATES) from None
    except OSError:  # ssl.SSLError is one
        found = "it holds no certificates"
        raise BadInput(f"--ca-file {path}", found, _CERTIFICATES, "Choose another one.") from None


def adapter(folder: str) -> None:
    """Raise BadInput."""
    from sut.precision.lora import check_folder

    check_folder(expanded(Path(folder)))


def _known(kind: str, name: str, table: Iterable[str], listed: str = "") -> None:
    if name not in table:
        todo = f"See python -m harness list {listed}." if listed else ""
        raise unknown(kind, name, table, todo)
