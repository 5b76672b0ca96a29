"""What do the settings of a run name that is code, or outside Touchstone and what is installed with
it? Settings that are read from a folder are used with the user's consent alone
(`harness.kernel.foreign.consent`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import sut
from accuracy.datasets import names as dataset_names
from harness.kernel.foreign.consent import Wish
from harness.options.settings import RunConfig


def wishes(config: RunConfig) -> Iterator[Wish]:
    """Yield the code, models, adapters and data sets that a run of these settings would use."""
    if config.sut not in sut.TABLE:
        options = ", ".join(f"{key}={value}" for key, value in config.sut_options.items())
        told = f" with {options}" if options else ""
        yield Wish(f"the Python code of --sut {config.sut}{told}", "code")
    elif sut.TABLE[config.sut].runs_model:
        adapter = None if config.adapter is None else str(config.adapter)
        yield from model_wishes([config.model], adapter, config.trust_remote_code)
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
