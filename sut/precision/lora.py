"""An adapter on top of any base: which one, does it fit, and is it attached beside the weights or
merged into them?

Whether it fits is found out before the weights are read: peft builds the same adapter onto an empty
model, and names and shapes must agree with those in the file.
"""

from __future__ import annotations

import copy
import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.kernel.errors import BadInput, SetupFailed
from harness.kernel.places import wrong_path

SHIPPED = {"smollm2-135m": Path(__file__).parents[1] / "adapters" / "smollm2-135m-qa"}


def find(path: str, adapter: str | Path | None) -> Path:
    """Return the adapter to use with the model at `path`: the given one, else the one shipped for
    it. Raises BadInput.
    """
    if adapter is not None:
        return Path(adapter).expanduser()
    if shipped := SHIPPED.get(Path(path).name):
        return shipped
    known = ", ".join(SHIPPED)
    raise BadInput(
        "variant lora",
        f"no adapter is given for {path!r}",
        f"one is shipped for {known}",
        "Pass --adapter FOLDER.",
    )


def check_folder(adapter: Path) -> None:
    """Refuse what is no adapter by its files alone, before a model is loaded. Raises BadInput."""
    doing, names = f"--adapter {adapter}", ("adapter_config.json", "adapter_model.safetensors")
    fine = "expected a folder that peft wrote, with " + " and ".join(names)
    todo = "Check the path; one on the hub is downloaded first: hf download."
    if not adapter.is_dir():
        raise wrong_path(doing, adapter, fine, todo)
    for name in names:
        if not (adapter / name).is_file():
            raise BadInput(doing, f"it has no {name}", fine, todo)


def check(path: str, adapter: Path, **options: Any) -> dict[str, Any]:
    """Raise SetupFailed unless the adapter is whole and fits the model; else say what it is."""
    config, found = _read(adapter)
    _check_name(path, adapter, config.base_model_name_or_path)
    wanted = _shapes_wanted(path, adapter, config, **options)
    doing, todo = _doing(adapter), "Use an adapter that was trained on this model."
    for name in sorted(wanted.keys() | found.keys()):
        there, needed = found.get(name), wanted.get(name)
        if there == needed:
            continue
        if needed is None:
            raise SetupFailed(
                doing, f"it is for another base model: this one has no place for {name}", "", todo
            )
        if there is None:
            raise SetupFailed(
                doing, f"it is for another base model: it has nothing for {name}", "", todo
            )
        raise SetupFailed(
            doing,
            f"it is for another base model: {name} is {there}",
            f"this one needs {needed}",
            todo,
        )
    return {
        "path": str(adapter),
        "rank": config.r,
        "trained_on": config.base_model_name_or_path,
        "parameters": sum(math.prod(shape) for shape in found.values()),
    }


def load(
    base: Callable[..., Any],
    path: str,
    *,
    adapter: Path,
    merge_adapter: bool = False,
    **options: Any,
) -> Any:
    """Load a model with its adapter. `base` is the verb of another precision. The result has peft's
    layers in place and is a transformers model still.
    """
    from peft import PeftModel

    model = base(path, **options)
    if merge_adapter and _is_packed(model):
        raise SetupFailed(
            "--merge-adapter",
            "quanto's packed weights cannot take it",
            "",
            "Attach it, or merge into int8 or nf4.",
        )
    with without_notices():
        tuned = PeftModel.from_pretrained(
            model, str(adapter), autocast_adapter_dtype=False, torch_device="cpu"
        )
        if merge_adapter:
            return tuned.merge_and_unload()
    for name, parameter in tuned.named_parameters():
        if ".lora_" in name:
            parameter.data = parameter.data.to(model.dtype)
    return tuned.get_base_model()


@contextmanager
def without_notices() -> Iterator[None]:
    """Silence the notices of peft: a name that transformers is about to lose, merging into few bits
    rounds, a matrix need not be transposed.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        warnings.filterwarnings("ignore", "Merge lora module to", UserWarning)
        warnings.filterwarnings("ignore", "fan_in_fan_out is set", UserWarning)
        yield


def _read(adapter: Path) -> tuple[Any, dict[str, tuple[int, ...]]]:
    """Return its config and the shape of each of its tensors. Reads no tensor."""
    from peft import PeftConfig
    from safetensors import SafetensorError, safe_open

    check_folder(adapter)
    weights = adapter / "adapter_model.safetensors"
    try:
        kind = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8")).get(
            "peft_type"
        )
        if kind != "LORA":
            raise SetupFailed(
                _doing(adapter),
                f"adapter_config.json says that it is of kind {kind!r}",
                "only LORA is supported",
            )
        config = PeftConfig.from_pretrained(str(adapter))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise SetupFailed(
            _doing(adapter),
            f"adapter_config.json: {_first_line(error)}",
            "",
            "Save it again with peft.",
        ) from error
    try:
        with safe_open(weights, "pt") as file:
            return config, {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        found = f"adapter_model.safetensors is damaged ({_first_line(error)})"
        raise SetupFailed(_doing(adapter), found, "", "Copy or save it again.") from error


def _shapes_wanted(
    path: str, adapter: Path, config: Any, **options: Any
) -> Mapping[str, tuple[int, ...]]:
    """Return names and shapes of the adapter's tensors if it had been made for this model."""
    import torch
    from peft import get_peft_model, get_peft_model_state_dict
    from transformers import AutoConfig, AutoModelForCausalLM

    own = copy.copy(config)
    own.base_model_name_or_path = None  # peft would complain of the other name
    with torch.device("meta"), without_notices():
        own_config = AutoConfig.from_pretrained(path, **options)
        empty: Any = AutoModelForCausalLM.from_config(own_config, **options)  # type: ignore[no-untyped-call]
        try:
            tuned = get_peft_model(empty, own)
        except ValueError as error:
            targets = (
                ", ".join(sorted(config.target_modules or ()))
                if not isinstance(config.target_modules, str)
                else ""
            )
            found = (
                f"it is for another base model: its layers ({targets or config.target_modules}) are"
                " not in this one"
            )
            raise SetupFailed(
                _doing(adapter), found, "", "Use an adapter that was trained on this model."
            ) from error
    return {name: tuple(tensor.shape) for name, tensor in get_peft_model_state_dict(tuned).items()}


def _check_name(path: str, adapter: Path, trained_on: str | None) -> None:
    """Refuse an adapter of another model: two hub ids of which neither begins like the other are
    two models, even if all shapes agree.
    """
    if (
        trained_on is None
        or Path(path).exists()
        or Path(trained_on).exists()
        or trained_on.count("/") != 1
    ):
        return
    ours, theirs = (name.rsplit("/", 1)[-1].lower() for name in (path, trained_on))
    if not (ours.startswith(theirs) or theirs.startswith(ours)):
        todo = (
            f"Use --model {trained_on}, or correct base_model_name_or_path in adapter_config.json."
        )
        raise SetupFailed(
            _doing(adapter), f"it was trained on {trained_on!r}", f"the model is {path!r}", todo
        )


def _is_packed(model: Any) -> bool:
    return any(getattr(module, "is_packed", False) for module in model.modules())


def _doing(adapter: Path) -> str:
    return f"adapter {str(adapter)!r}"


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
