"""What do a model's weight files hold? Names, shapes and types of their tensors, from their headers
alone.

transformers reads one kind of file and looks no further: model.safetensors, else the shards of its
index, else pytorch_model.bin, else the shards of that one's index. `files` returns the same ones.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.kernel.errors import SetupFailed, first_line
from harness.kernel.foreign.own_files import read_given
from harness.kernel.foreign.parsed import loads

INDEX = ".index.json"
SINGLE = ("model.safetensors", "pytorch_model.bin")
MOST_HEADER_BYTES = 100_000_000  # of safetensors, as its own reader has it
_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
    "I32": "int32",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}  # safetensors' names and torch's


class Stored(NamedTuple):
    """One tensor of a file."""

    dtype: str  # as torch names it
    shape: tuple[int, ...]
    num_bytes: int

    @property
    def values(self) -> int:
        return math.prod(self.shape)


def folder_of(path: str) -> Path | None:
    """Return the folder of a model: its own, or the one in the hub's cache."""
    if Path(path).is_dir():
        return Path(path)
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(path, "config.json")
    return Path(found).parent if isinstance(found, str) else None


def files(folder: Path) -> list[Path]:
    """Return the weight files that transformers reads, sorted by name; none where there are none.
    Raises SetupFailed for an index that cannot be read.
    """
    for name in SINGLE:
        if (folder / name).is_file():
            return [folder / name]
        if (folder / f"{name}{INDEX}").is_file():
            return sorted({folder / shard for shard in _places(folder / f"{name}{INDEX}").values()})
    return []


def others(folder: Path) -> list[str]:
    """Return the names of weights that lie in the folder as well and are not read."""
    kinds = [name for name in SINGLE for name in (name, f"{name}{INDEX}")]
    return [name for name in kinds if (folder / name).is_file()][1:]


def check_shards(folder: Path) -> None:
    """Refuse an index whose shards are absent or hold other tensors than it says: they would be of
    two models, or of half a one. Raises SetupFailed.
    """
    for name in SINGLE:
        if (folder / name).is_file():
            return
        if (folder / f"{name}{INDEX}").is_file():
            return _check_shards(folder, f"{name}{INDEX}")


def _check_shards(folder: Path, index: str) -> None:
    places = _places(folder / index)
    doing, fine = f"loading model {str(folder)!r}", "both must be of one model"
    absent = sorted({shard for shard in places.values() if not (folder / shard).is_file()})
    if absent:
        found = f"{index} names files that are not there ({len(absent)}; {absent[0]} for one)"
        raise SetupFailed(doing, found, "expected the whole folder of a model", "Fetch it again.")
    for shard in sorted(set(places.values())):
        wanted = {name for name, place in places.items() if place == shard}
        held = tensors([folder / shard]).keys()
        if wanted != held:
            name = min(wanted ^ held)
            what = "lacks" if name in wanted else "holds, unknown to the index,"
            count = len(wanted ^ held)
            found = f"{shard} is not the file that {index} names: {count} tensors differ;"
            raise SetupFailed(doing, f"{found} it {what} {name}", fine, "Fetch it again.")


def tensors(paths: Sequence[Path]) -> dict[str, Stored]:
    """Return the tensors of these files by name. Raises SetupFailed for a damaged one."""
    held: dict[str, Stored] = {}
    for path in paths:
        try:
            held |= _in_safetensors(path) if path.suffix == ".safetensors" else _in_bin(path)
        except Exception as error:  # of whichever library reads the file
            doing, found = f"loading model {str(path.parent)!r}", f"{path.name} is damaged"
            why = f"{found} ({first_line(error)})"
            raise SetupFailed(doing, why, "expected a whole file", "Fetch it again.") from error
    return held


def main_dtype(held: Mapping[str, Stored]) -> str:
    """Return the type of most of the values; empty where there are none."""
    values: Counter[str] = Counter()
    for tensor in held.values():
        values[tensor.dtype] += tensor.values
    return max(values, key=lambda dtype: values[dtype]) if values else ""


def _places(index: Path) -> dict[str, str]:
    """Return the file of each tensor."""
    try:
        found = loads(read_given(index).decode())["weight_map"]
        return {str(name): str(place) for name, place in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        doing, fine = f"loading model {str(index.parent)!r}", "expected a weight_map of tensors"
        found = f"{index.name} cannot be read ({first_line(error)})"
        raise SetupFailed(doing, found, fine, "Fetch it again.") from error


def _in_safetensors(path: Path) -> dict[str, Stored]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > MOST_HEADER_BYTES:
            raise ValueError(f"its header says that it has {length:,} bytes")
        header = loads(file.read(length))
    header.pop("__metadata__", None)
    held = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        dtype = _DTYPES.get(entry["dtype"], entry["dtype"].lower())
        held[name] = Stored(dtype, tuple(entry["shape"]), end - begin)
    return held


def _in_bin(path: Path) -> dict[str, Stored]:
    import torch

    state = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    held = {}
    for name, tensor in state.items():
        dtype = str(tensor.dtype).removeprefix("torch.")
        held[name] = Stored(dtype, tuple(tensor.shape), tensor.numel() * tensor.element_size())
    return held
