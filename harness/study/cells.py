"""Which runs does a comparison make? Lists of settings in, their product out.

Any setting that is a choice or a number may be a list: `--variant fp32,int8 --max-concurrency 8,32`
makes four runs, each named by what differs: "int8 max-concurrency=32". Settings whose own text may
hold commas (seeds, paths, columns, options of the SUT) and switches are never lists.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

import sut
from harness import registry
from harness.kernel.errors import BadInput
from harness.kernel.types import is_address, short_name
from harness.options.flags import LISTS
from harness.options.kinds import is_number
from harness.options.run_options import OPTIONS
from harness.options.settings import RunConfig, load_config
from harness.study.study import Cell
from sut.started import table

DEFAULTS = {"scenario": "offline", "evaluate": True}
MOST = 64
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


def cells_of(given: Flags, variants: str | None) -> list[Cell]:
    """Make a cell of every combination, the first the reference, each with checked settings.

    `variants` is the older spelling of a list of --variant. Raises BadInput.
    """
    lists = _lists(given, variants)
    if (count := prod(map(len, lists.values()))) > MOST:
        found, fine = f"the lists make {count} runs", f"at most {MOST} would be fine"
        raise BadInput("compare", found, fine, "Shorten a list, or compare in parts.")
    flags = {name: value for name, value in given.items() if name not in ("config", *lists)}
    chosen = [dict(zip(lists, values, strict=True)) for values in product(*lists.values())]
    has_tokenizer = "model" in given or not all(map(is_address, lists.get("variant", ["fp32"])))
    configs = [
        _config({**flags, **values}, given.get("config"), has_tokenizer) for values in chosen
    ]
    if "variant" in lists and (sut_name := _without_variants(configs)):
        flag = "--variant" if variants is None else "--variants"
        found, fine = f"the {sut_name} SUT has no variants", "expected a model or a server"
        raise BadInput(flag, found, fine, "Leave the SUT or the variants out.")
    differing = [name for name, values in lists.items() if len(set(values)) > 1]
    names = numbered([_name(values, differing) for values in chosen])
    return [Cell(name, config) for name, config in zip(names, configs, strict=True)]


def varied(given: Flags) -> list[str]:
    """Name the settings that are lists of several values."""
    return [name for name in given if name in LISTS and "," in str(given[name])]


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


def _lists(given: Flags, variants: str | None) -> dict[str, list[str]]:
    """Return the values of each setting that makes up the product, the variant's first."""
    if variants is not None and "variant" in given:
        found, fine = "both --variant and --variants are given", "expected one of them"
        raise BadInput("compare", found, fine, "Leave one out.")
    lists = {name: _values(name, given[name]) for name in varied(given)}
    if variants is not None:
        return {"variant": _variants(variants)} | lists
    if "variant" in given:
        return {"variant": _values("variant", given["variant"])} | lists
    return lists


def _variants(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        found, fine = f"{text!r} names no variant", "expected names such as fp32,bf16,int8"
        raise BadInput("--variants", found, fine, "See python -m harness list variants.")
    return names


def _values(name: str, value: object) -> list[str]:
    """Split a list. Raises BadInput where one of its values is empty."""
    values = [part.strip() for part in str(value).split(",")]
    if "" in values and len(values) > 1:
        found, fine = f"{str(value)!r} has an empty value", "expected values such as 8,32"
        raise BadInput(f"--{name.replace('_', '-')}", found, fine, "Remove the extra comma.")
    return values


def _without_variants(configs: Sequence[RunConfig]) -> str:
    """Return the SUT of the first cell that has neither variants nor a server; "" if all have."""
    entries = ((config.sut, registry.sut_entry(config.sut)) for config in configs)
    return next((name for name, e in entries if not (e.runs_model or e.asks_server)), "")


def _config(flags: Flags, file: Any, has_tokenizer: bool) -> RunConfig:
    """Check the settings of one cell. Reference answers are scored where a model is loaded here.

    Servers are asked the prompts of the model that stands beside them, as its tokenizer has them.
    """
    given = deployment_flags(flags["variant"], flags) if "variant" in flags else dict(flags)
    if not has_tokenizer and "tokenizer" not in flags:
        given.pop("tokenizer", None)
    is_served = given.get("sut") in sut.TABLE and sut.TABLE[given["sut"]].asks_server
    config = load_config(given, file, DEFAULTS | ({"evaluate": False} if is_served else {}))
    if registry.sut_entry(config.sut).runs_model or "evaluate" in config.origins:
        return config
    return config.model_copy(update={"evaluate": False})


def _name(values: Mapping[str, str], differing: Sequence[str]) -> str:
    """Say what differs; the variant where nothing does."""
    return " ".join(_words(values, differing)) or values.get("variant", "run")


def _words(values: Mapping[str, str], differing: Sequence[str]) -> Iterator[str]:
    for name in differing:
        value = values[name]
        if name == "model" or is_address(value):
            value = short_name(value)
        tells = not is_number(OPTIONS[name].hint)
        yield value if tells else f"{name.replace('_', '-')}={value}"
