"""Which runs does a study make? Lists of settings in, their combinations out.

Any setting that is a choice, a name or a number may be a list or a range
(`harness.study.ranges`): `--variant fp32,int8 --max-concurrency 8..32*2` makes six runs, each named
by what differs: "int8 max-concurrency=32". Settings whose own text may hold commas (seeds, paths,
columns, options of the SUT) and switches are lists in a plan alone (`harness.study.sweep.plan`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any, NamedTuple

import sut
from harness import registry
from harness.kernel.errors import BadInput, HarnessError
from harness.kernel.privacy.secrets import hidden_options
from harness.kernel.types import is_address, short_name
from harness.options.flags import LISTS
from harness.options.kinds import is_number
from harness.options.run_options import OPTIONS
from harness.options.settings import RunConfig, load_config
from harness.study.ranges import is_list, values_of
from harness.study.study import Cell
from sut.started import table

DEFAULTS = {"scenario": "offline", "evaluate": True}
MOST = 256  # runs side by side: each is a column
# Conditions that may differ between runs because the user varied the setting: the questions are
# the same in all of them.
MEANT = {
    "max_concurrency": ("requests in a batch",),
    "target_qps": ("rate",),
    "samples_per_query": ("samples per query",),
    "device": ("device", "machine"),
    "replicas": ("replicas",),
}
_OF_STARTED = ("server_python", "server_args")  # for servers that are started, no others
Flags = Mapping[str, Any]
Values = dict[str, Any]  # of the settings that are lists, by name


class Point(NamedTuple):
    """One combination of the values of the lists, named by what differs. Its settings may
    contradict one another: then there are none, and `refused` says why.
    """

    name: str
    values: Values
    config: RunConfig | None
    refused: HarnessError | None = None


def cells_of(given: Flags, variants: str | None) -> list[Cell]:
    """Make a cell of every combination, the first the reference, each with checked settings.

    `variants` is the older spelling of a list of --variant. Raises BadInput.
    """
    lists = _lists(given, variants)
    if (count := prod(map(len, lists.values()))) > MOST:
        found, fine = f"the lists make {count:,} runs", f"at most {MOST} would be fine"
        raise BadInput("compare", found, fine, "Shorten a list, or compare in parts.")
    points = points_of(given, combinations(lists), DEFAULTS)
    for point in points:
        if point.refused is not None:
            raise point.refused
    configs = [point.config for point in points if point.config is not None]
    if "variant" in lists and (sut_name := without_variants(configs)):
        flag = "--variant" if variants is None else "--variants"
        found, fine = f"the {sut_name} SUT has no variants", "expected a model or a server"
        raise BadInput(flag, found, fine, "Leave the SUT or the variants out.")
    named = zip(points, configs, strict=True)
    return [Cell(point.name, config) for point, config in named]


def combinations(lists: Mapping[str, Sequence[Any]]) -> list[Values]:
    """Return every combination of the values of the lists; the last list turns fastest."""
    return [dict(zip(lists, values, strict=True)) for values in product(*lists.values())]


def points_of(given: Flags, chosen: Sequence[Values], defaults: Flags) -> list[Point]:
    """Check the settings of each combination, put over what is `given` for all of them."""
    names = {name for values in chosen for name in values}
    flags = {name: value for name, value in given.items() if name not in ("config", *names)}
    variants = [str(values.get("variant", "fp32")) for values in chosen]
    has_tokenizer = "model" in given or "model" in names or not all(map(is_address, variants))
    telling = differing(chosen)
    called = numbered([label_of(values, telling) for values in chosen])
    return [
        _point(
            name, values, _Base({**flags, **values}, given.get("config"), defaults), has_tokenizer
        )
        for name, values in zip(called, chosen, strict=True)
    ]


class _Base(NamedTuple):
    """What the settings of a cell are made from: see `load_config`."""

    flags: Flags
    file: Any
    defaults: Flags


def _point(name: str, values: Values, base: _Base, has_tokenizer: bool) -> Point:
    try:
        return Point(name, values, _config(base, has_tokenizer))
    except HarnessError as refused:
        return Point(name, values, None, refused)


def varied(given: Flags) -> list[str]:
    """Name the settings that are lists of several values."""
    return [name for name in given if name in LISTS and is_list(str(given[name]), _is_number(name))]


def _is_number(name: str) -> bool:
    return is_number(OPTIONS[name].hint)


def flags_of(variant: str, flags: Flags) -> dict[str, Any]:
    """Return the flags of one variant. An adapter is for those that take one."""
    from sut.precision.table import TABLE

    without = () if variant in TABLE and TABLE[variant].adapter else ("adapter", "merge_adapter")
    kept = {name: value for name, value in flags.items() if name not in without}
    return kept | {"variant": variant}


def deployment_flags(name: str, flags: Flags, model: str = "") -> dict[str, Any]:
    """Return the flags of one deployment of a model, whose name says where it runs.

        int8                          a variant, here
        vllm:bf16                     a variant, in a server that is started for it
        http://host:8000              a server that is there, with the only model it lists
        http://host:8000#NAME         or with this one

    Servers get the prompts of the model itself, by its own tokenizer.
    """
    ours = {key: value for key, value in flags.items() if key not in _OF_STARTED}
    if is_address(name):
        model = model or str(flags.get("model") or OPTIONS["model"].default)
        url, _, served = name.partition("#")
        others = {key: value for key, value in ours.items() if key not in ("model", "sut")}
        named = {"model": served} if served else {}
        return {"tokenizer": model} | others | named | {"base_url": url}
    program, _, variant = name.partition(":")
    if variant and program in sut.TABLE and sut.TABLE[program].starts_server:
        given = flags if table.row(program).takes_python else _without_python(flags)
        return flags_of(variant, given) | {"sut": program}
    return flags_of(name, ours)


def _without_python(flags: Flags) -> Flags:
    return {key: value for key, value in flags.items() if key != "server_python"}


def deployment(config: RunConfig) -> str:
    """Return the name of a deployment as a reader knows it: see `deployment_flags`."""
    if config.base_url is not None:
        served = f"#{config.model}" if "model" in config.origins else ""
        return f"{config.base_url}{served}"
    starts = registry.sut_entry(config.sut).starts_server
    return f"{config.sut}:{config.variant}" if starts else config.variant


def numbered(names: Sequence[str]) -> list[str]:
    """Add a number to those names that stand there more than once."""
    total, seen, found = Counter(names), Counter[str](), []
    for name in names:
        seen[name] += 1
        found.append(f"{name} #{seen[name]}" if total[name] > 1 else name)
    return found


def _lists(given: Flags, variants: str | None) -> dict[str, list[Any]]:
    """Return the values of each setting that makes up the product, the variant's first."""
    if variants is not None and "variant" in given:
        found, fine = "both --variant and --variants are given", "expected one of them"
        raise BadInput("compare", found, fine, "Leave one out.")
    lists = lists_of(given)
    if variants is not None:
        return {"variant": _variants(variants)} | lists
    if "variant" in given:
        return {"variant": values_of("variant", str(given["variant"]), False)} | lists
    return lists


def lists_of(given: Flags) -> dict[str, list[Any]]:
    """Return the values of each setting that is a list on the command line. Raises BadInput."""
    return {name: values_of(name, str(given[name]), _is_number(name)) for name in varied(given)}


def _variants(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        found, fine = f"{text!r} names no variant", "expected names such as fp32,bf16,int8"
        raise BadInput("--variants", found, fine, "See python -m harness list variants.")
    return names


def without_variants(configs: Sequence[RunConfig]) -> str:
    """Return the SUT of the first cell that has neither variants nor a server; "" if all have."""
    entries = ((config.sut, registry.sut_entry(config.sut)) for config in configs)
    return next((name for name, e in entries if not (e.runs_model or e.asks_server)), "")


def _config(base: _Base, has_tokenizer: bool) -> RunConfig:
    """Check the settings of one cell. Reference answers are scored where a model is loaded here.

    Servers are asked the prompts of the model that stands beside them, as its tokenizer has them.
    """
    flags = base.flags
    given = deployment_flags(flags["variant"], flags) if "variant" in flags else dict(flags)
    if not has_tokenizer and "tokenizer" not in flags:
        given.pop("tokenizer", None)
    is_served = given.get("sut") in sut.TABLE and sut.TABLE[given["sut"]].asks_server
    config = load_config(
        given, base.file, {**base.defaults, **({"evaluate": False} if is_served else {})}
    )
    if registry.sut_entry(config.sut).runs_model or "evaluate" in config.origins:
        return config
    return config.model_copy(update={"evaluate": False})


def differing(chosen: Sequence[Values]) -> list[str]:
    """Name the settings whose values are not the same everywhere."""
    names = dict.fromkeys(name for values in chosen for name in values)
    return [name for name in names if len({repr(values.get(name)) for values in chosen}) > 1]


def label_of(values: Values, names: Sequence[str]) -> str:
    """Write the values of the named settings as a label; the variant where there are none."""
    return " ".join(_words(values, names)) or str(values.get("variant", "run"))


def _words(values: Values, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name not in values:
            continue
        text = _told(values[name])
        if name == "model" or is_address(text):
            text = short_name(text)
        is_clear = isinstance(values[name], dict) or OPTIONS[name].may_be_list
        is_word = is_clear and not is_number(OPTIONS[name].hint)
        yield text if is_word else f"{name.replace('_', '-')}={text}"


def _told(value: Any) -> str:
    """Write a value: of options of a SUT each KEY=VALUE, secrets hidden."""
    if isinstance(value, dict):
        return ",".join(f"{key}={part}" for key, part in hidden_options(value).items())
    if isinstance(value, list):
        return ",".join(map(str, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
