"""What is written of a run's settings, and what must the user say again before a run is made from
settings that were read?

Options of a SUT may be secrets, such as the key of a server: they are written nowhere, and given
again. Code, and models, adapters and data sets by path are used with his consent: the folder may be
somebody else's (`harness.kernel.foreign.consent`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import sut
from accuracy.datasets import names as dataset_names
from harness.kernel.errors import BadInput
from harness.kernel.foreign.consent import Wish
from harness.kernel.places import expanded
from harness.kernel.privacy.secrets import HIDDEN, hidden_options
from harness.options.settings import RunConfig
from scenarios.loads import file_of

_PATHS = ("model", "tokenizer", "ca_file", "server_python")  # the others are absolute already


def without_secrets(config: RunConfig) -> dict[str, Any]:
    """Return the settings as they are written: what JSON can say, secrets hidden."""
    saved: dict[str, Any] = config.model_dump(mode="json")
    return saved | {"sut_options": hidden_options(saved["sut_options"])}


def portable(config: RunConfig) -> RunConfig:
    """Return the settings with paths that mean the same from any folder; names stay names."""
    from sut.model.find import TABLE

    changed: dict[str, Any] = {}
    for name in _PATHS:
        value = getattr(config, name)
        path = None if value is None else expanded(Path(value))
        if path is not None and value not in TABLE and path.exists():
            changed[name] = type(value)(path.absolute())
    return config.model_copy(update=changed)


def with_secrets(config: RunConfig, given: Mapping[str, Any], doing: str) -> RunConfig:
    """Return settings that were read, with the options that were left out of them, as they are
    given again. Raises BadInput where one of them is not, or another one is.
    """
    options = given_again(config.sut_options, given, config.sut, doing)
    return config.model_copy(update={"sut_options": options})


def given_again(
    options: Mapping[str, Any], given: Mapping[str, Any], sut: str, doing: str
) -> dict[str, Any]:
    """Return options of a SUT that were read, with those that are given again. Raises BadInput
    where a secret is not.
    """
    lacking = [key for key, value in options.items() if HIDDEN in str(value)]
    if missing := [key for key in lacking if key not in given]:
        found = f"its settings leave out the option {missing[0]} of --sut {sut}, a secret"
        todo = f"Pass --sut-option {missing[0]}=VALUE again."
        raise BadInput(doing, found, "secrets are written nowhere", todo)
    return {key: given.get(key, value) for key, value in options.items()}


def wishes(config: RunConfig) -> Iterator[Wish]:
    """Yield the code, models, adapters and data sets that a run of these settings would use."""
    if config.sut not in sut.TABLE:
        options = ", ".join(f"{key}={value}" for key, value in config.sut_options.items())
        told = f" with {options}" if options else ""
        yield Wish(f"the Python code of --sut {config.sut}{told}", "code")
    elif sut.TABLE[config.sut].runs_model:
        adapter = None if config.adapter is None else str(config.adapter)
        yield from model_wishes([config.model], adapter, config.trust_remote_code)
    if config.verifier is not None:
        yield Wish(f"the Python code of --verifier {config.verifier}", "code")
    if config.server_python is not None:
        yield Wish(f"the program {config.server_python}", "code")
    for argument in config.server_args:
        yield Wish(f"the argument {argument} of a server", "code")
    if file := file_of(config.load):
        yield Wish(f"the file {file} of --load", "place")
    asks = sut.TABLE[config.sut].uses_dataset if config.sut in sut.TABLE else True
    if asks and config.dataset not in dataset_names():
        yield Wish(f"the dataset {config.dataset}", "place")


def model_wishes(
    models: Iterable[str], adapter: str | None, trust_remote_code: bool
) -> Iterator[Wish]:
    """Yield what stands for models: those that are none of Touchstone's own names, their code."""
    from sut.model.find import TABLE

    for model in models:
        if trust_remote_code:
            yield Wish(f"Python code shipped with the model {model}", "remote code")
        if model not in TABLE:
            yield Wish(f"the model {model}", "place")
    if adapter is not None:
        yield Wish(f"the adapter {adapter}", "place")
