"""What does a model weigh? Bytes really held, each storage once: parameters, buffers, quantisation
state, adapter, offload.

Libraries keep weights in many places: bitsandbytes hangs scales on a parameter (`SCB`) or in a
state object (`absmax`, `code`, a nested state), quanto in the inner tensors of a subclass,
accelerate in the map of a hook. `weigh` walks them all.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DISK = "disk"
_WEIGHT_FILES = (
    "*.safetensors",
    "*.bin",
    "*.gguf",
)  # the first kind found is the one that is loaded
_ADAPTER_MARKS = (".lora_", ".modules_to_save.")


@dataclass(frozen=True, slots=True)
class Weights:
    """`parameters` counts values, not packed bytes; `bytes_on` has one entry per device, offloaded
    weights included.
    """

    bytes_on: dict[str, int]
    parameters: int
    adapter_parameters: int

    @property
    def held_bytes(self) -> int:
        """In memory; what accelerate left on disk is not held."""
        return sum(size for device, size in self.bytes_on.items() if device != _DISK)


def weigh(model: Any) -> Weights:
    storages = {(device, address): size for device, address, size in _storages_of(model)}
    bytes_on: dict[str, int] = {}
    for (device, _), size in storages.items():
        bytes_on[device] = bytes_on.get(device, 0) + size
    counts = _value_counts(model)
    adapter = sum(
        count for name, count in counts.items() if any(mark in name for mark in _ADAPTER_MARKS)
    )
    return Weights(bytes_on, sum(counts.values()), adapter)


def disk_bytes(path: str, adapter: str | Path | None = None) -> int | None:
    """Size of the weight files that were read, the adapter's included; None if they cannot be
    found.
    """
    folder = _local_folder(path)
    if folder is None:
        return None
    extra = (
        sum(file.stat().st_size for file in Path(adapter).glob("adapter_model.*")) if adapter else 0
    )
    for pattern in _WEIGHT_FILES:
        if files := list(folder.glob(pattern)):
            return sum(file.stat().st_size for file in files) + extra
    return None


def _storages_of(model: Any) -> Iterator[tuple[str, Hashable, int]]:
    """(device, address, bytes) of everything held, repetitions included."""
    for module in model.modules():
        held = [
            *module.parameters(recurse=False),
            *module.buffers(recurse=False),
            *_plain_attributes(module),
        ]
        for tensor in _unfold(held, set()):
            if tensor.device.type != "meta":
                yield str(tensor.device), *_extent(tensor)
        for name, tensor in (
            *module.named_parameters(recurse=False),
            *module.named_buffers(recurse=False),
        ):
            if tensor.device.type == "meta":
                yield from _offloaded(module, name)


def _extent(tensor: Any) -> tuple[int, int]:
    """(address, bytes) of its storage, of which it may be a part; oneDNN's layout shows neither."""
    if tensor.is_mkldnn:
        return id(tensor), tensor.numel() * tensor.element_size()
    storage = tensor.untyped_storage()
    return storage.data_ptr(), storage.nbytes()


def _plain_attributes(module: Any) -> list[Any]:
    """Tensors that are neither parameter nor buffer, and bitsandbytes' state."""
    return [value for name, value in vars(module).items() if not name.startswith("_")]


def _unfold(thing: Any, seen: set[int]) -> Iterator[Any]:
    """Plain tensors inside a tensor subclass, a quantisation state or a list of such."""
    import torch

    if isinstance(thing, list | tuple):
        for item in thing:
            yield from _unfold(item, seen)
        return
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, torch.Tensor):
        if hasattr(thing, "__tensor_flatten__") and type(thing) not in (
            torch.Tensor,
            torch.nn.Parameter,
        ):
            inner, _ = thing.__tensor_flatten__()
            yield from _unfold([getattr(thing, name) for name in inner], seen)
        else:
            yield thing
        yield from _unfold(list(vars(thing).values()), seen)
    elif type(thing).__module__.startswith("bitsandbytes") and hasattr(thing, "__dict__"):
        yield from _unfold(list(vars(thing).values()), seen)


def _offloaded(module: Any, name: str) -> Iterator[tuple[str, Hashable, int]]:
    """Where accelerate keeps a parameter while its module is not running."""
    hook = getattr(module, "_hf_hook", None)
    for one in getattr(hook, "hooks", (hook,)):
        kept = getattr(one, "weights_map", None)
        if kept is not None:
            key, kept_in = getattr(kept, "prefix", "") + name, getattr(kept, "dataset", kept)
            in_memory = kept_in if isinstance(kept_in, dict) else getattr(kept_in, "state_dict", {})
            if key in in_memory:
                yield "cpu", *_extent(in_memory[key])
            else:
                yield _DISK, key, _extent(kept[name])[1]


def _value_counts(model: Any) -> dict[str, int]:
    """Values of each parameter, tied ones once. A quantised linear layer has in x out weights
    however they are packed.
    """
    import torch

    counts, seen = {}, set()
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in seen:
                continue
            seen.add(id(parameter))
            is_matrix = isinstance(module, torch.nn.Linear) and name == "weight"
            counts[f"{path}.{name}"] = (
                module.in_features * module.out_features if is_matrix else parameter.numel()
            )
    return counts


def _local_folder(path: str) -> Path | None:
    if Path(path).is_dir():
        return Path(path)
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(path, "config.json")
    return Path(found).parent if isinstance(found, str) else None
