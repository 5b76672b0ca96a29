"""What is to be measured: which models in which variants, on which texts? Checked before anything
is read or loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from harness.kernel.errors import BadInput, unknown
from harness.kernel.foreign.consent import Wish
from harness.kernel.places import expanded
from harness.kernel.types import is_address, short_name
from harness.likelihood import beside as perplexity_beside
from harness.likelihood import conditions as perplexity_conditions
from harness.likelihood.texts import Wanted
from harness.options.saved import model_wishes
from sut.served.address import Address, address

DEFAULT_MODEL, DEFAULT_VARIANT = "smollm2-135m", "fp32"
SERVED = "served"  # the variant of a server's model: what it runs in is its own affair
Count = Annotated[int, Field(gt=0, le=2**31 - 1)]


def _absolute(path: Path) -> Path:
    return expanded(path).absolute()


class Settings(BaseModel):
    """What was asked for; None means the usual."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: tuple[str, ...] = (DEFAULT_MODEL,)
    variants: tuple[str, ...] = (DEFAULT_VARIANT,)
    dataset: str = "stories"
    text_column: str | None = None
    category_column: str | None = None
    split: str | None = None
    num_samples: Count | None = None
    window: Count | None = None
    stride: Count | None = None
    bos: Literal["auto", "always", "never"] = "auto"
    conditions: tuple[str, ...] = ()
    reference: str | None = None
    divergence: bool = True
    exact: bool = False
    top_k: Count | None = None
    batch_tokens: Count | None = None
    beside: tuple[Annotated[Path, AfterValidator(_absolute)], ...] = ()
    device: str = "auto"
    device_map: str | None = None
    adapter: Annotated[Path, AfterValidator(_absolute)] | None = None
    merge_adapter: bool = False
    tf32: bool = False
    trust_remote_code: bool = False
    tokenizer: str | None = None
    api_key_env: str | None = None
    ca_file: Annotated[Path, AfterValidator(_absolute)] | None = None
    insecure: bool = False
    in_process: bool = False
    executor: str = "here"  # where subjects are scored: see `harness.study.executors`
    output_dir: Path = Path("runs")

    @property
    def local(self) -> tuple[str, ...]:
        """The models that are loaded here."""
        return tuple(model for model in self.models if not is_address(model))

    @property
    def served(self) -> tuple[str, ...]:
        """The addresses of those that a server offers."""
        return tuple(model for model in self.models if is_address(model))

    @property
    def their_tokenizer(self) -> str | None:
        """What cuts the texts for servers: as for the model that they are compared with."""
        return self.tokenizer or (self.local[0] if self.local else None)

    @property
    def texts(self) -> Wanted:
        return Wanted(
            self.dataset,
            self.text_column,
            self.category_column,
            self.split,
            self.num_samples,
            self.conditions,
        )


class Subject(NamedTuple):
    """A model in a variant; `against` is the place of its reference in the series."""

    model: str
    variant: str
    folder: str
    against: int | None = None

    @property
    def label(self) -> str:
        return f"{_short(self.model)} {self.variant}"


def settings(flags: Mapping[str, Any]) -> Settings:
    """Check the flags, before anything is read or loaded. Raises BadInput."""
    given = {name: value for name, value in flags.items() if value is not None}
    if "model" in given and "models" in given:
        raise BadInput(
            "perplexity",
            "both --model and --models are given",
            "expected one of them",
            "Leave one out.",
        )
    if "model" in given:
        given["models"] = given.pop("model")
    for name in ("models", "variants", "conditions", "beside"):
        if name in given:
            given[name] = _names(name, given[name])
    try:
        made = Settings(**given)
    except ValidationError as error:
        problems = [f"--{str(e['loc'][0]).replace('_', '-')}: {e['msg']}" for e in error.errors()]
        raise BadInput(
            "perplexity", "; ".join(problems), "", "See harness perplexity --help."
        ) from None
    _check(made)
    return made


def wishes(made: Settings) -> Iterator[Wish]:
    """Yield the code, models, adapters and runs that a measurement with these settings uses."""
    adapter = None if made.adapter is None else str(made.adapter)
    yield from model_wishes(made.local, adapter, made.trust_remote_code)
    for folder in made.beside:
        yield Wish(f"the runs in {folder}", "place")
    for url in made.served:
        yield Wish(f"the server {url}, which gets the texts and your API key", "place")


def _names(flag: str, value: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    if not names:
        raise BadInput(
            f"--{flag}", f"{value!r} names none", "expected names separated by commas", ""
        )
    return names


def _check(made: Settings) -> None:
    from sut.model.find import check
    from sut.precision.table import TABLE

    for model in made.local:
        check(model)
    _check_servers(made)
    for variant in made.variants:
        if variant not in TABLE:
            raise unknown("variant", variant, TABLE, "See python -m harness list variants.")
    for condition in made.conditions:
        if condition not in perplexity_conditions.KINDS:
            known = perplexity_conditions.KINDS
            raise unknown("--conditions", condition, known, "Choose from these.")
    if made.reference is not None and made.reference not in (*made.variants, *made.models):
        raise unknown(
            "--reference",
            made.reference,
            (*made.variants, *made.models),
            "It must be one of those that are measured.",
        )
    perplexity_beside.check(made.beside)
    if made.exact and not any(subject.against is not None for subject in subjects(made)):
        raise BadInput(
            "--exact",
            "nothing is compared with a reference",
            "expected at least two variants",
            "Add some to --variants.",
        )


def _check_servers(made: Settings) -> None:
    """Raise BadInput for what does not go with models that a server offers."""
    from sut.model.find import check

    for url in made.served:
        server_of(made, url)
    if made.served and made.their_tokenizer is None:
        fine = "expected the tokenizer of the served model, which cuts the texts into its tokens"
        todo = "Pass --tokenizer (a folder, an alias or a hub id), or add the model to --models."
        raise BadInput(f"--models {made.served[0]}", "no tokenizer is named", fine, todo)
    if made.tokenizer is not None:
        check(made.tokenizer)
    if made.reference in made.served:
        fine = "a server tells only the likeliest tokens of a position"
        todo = "Choose a model that is loaded here."
        raise BadInput(f"--reference {made.reference}", "it is a server", fine, todo)
    if made.served and made.exact:
        fine = "expected both models in this machine's memory"
        raise BadInput("--exact", f"{made.served[0]} is a server", fine, "Leave one of them out.")


def server_of(made: Settings, model: str) -> tuple[Address, str]:
    """Return the address of a served model, and its name there ("" = the only one). Raises
    BadInput.
    """
    url, _, name = model.partition("#")
    ca_file = str(made.ca_file or "")
    return address(url, made.api_key_env or "", ca_file, not made.insecure), name


def subjects(made: Settings) -> list[Subject]:
    """List every model in every variant, in order, but a reference before those that are compared
    with it; then the servers' models.
    """
    first, others = _reference(made)
    pairs = [(model, variant) for model in made.local for variant in made.variants]
    if first in pairs:  # one for all models
        pairs = [first, *(pair for pair in pairs if pair != first)]
    elif others is not None:
        pairs.sort(key=lambda pair: (made.local.index(pair[0]), pair[1] != others))
    found = []
    for i, (model, variant) in enumerate(pairs):
        against = pairs.index(first or (model, others)) if first or others else i  # type: ignore[arg-type]
        found.append(
            Subject(
                model,
                variant,
                _folder(i, model, variant),
                against if against != i and made.divergence else None,
            )
        )
    reference = 0 if pairs and made.divergence else None
    for i, url in enumerate(made.served, len(pairs)):
        found.append(Subject(url, SERVED, _folder(i, url, SERVED), reference))
    return found


def _folder(i: int, model: str, variant: str) -> str:
    name = re.sub(r"[^\w.+-]", "-", _short(model))
    return f"{i:02d}_{name}_{variant}"


def _reference(made: Settings) -> tuple[tuple[str, str] | None, str | None]:
    """Return (the subject that all are compared with, or the variant that each model's others are
    compared with).
    """
    if made.reference in made.local and made.reference not in made.variants:
        return (made.reference, made.variants[0]), None
    if len(made.variants) > 1:
        return None, made.reference or made.variants[0]
    return None, None


def _short(model: str) -> str:
    return short_name(model).removesuffix(".gguf")
