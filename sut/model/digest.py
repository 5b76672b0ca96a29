"""Which weights were these? Two short fingerprints, for runs that claim the same model.

of_files    of the files that were read: for each its name, its size, the whole of it up to 1 MiB,
            and of larger ones the header of safetensors (names, shapes, types, places), the first
            and last 64 KiB and 64 blocks of 4 KiB between them. A change to a few bytes of a large
            file may go unnoticed here, and shows in the other one.
of_tensors  of every tensor as it was loaded, quantisation state included, before layers are packed:
            name, type, shape and the sums of its blocks of 16 KiB as whole numbers. It does not
            depend on the device, the order of the tensors or the type of file. Tied matrices count
            once, under their first name.

Neither is made to resist an attacker.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sut.checkpoint.stored import MOST_HEADER_BYTES

_WHOLE_BYTES, _END_BYTES = 2**20, 2**16
_BLOCKS, _BLOCK_BYTES = 64, 2**12
_SUM_WORDS = 2048  # of 8 bytes: one sum for 16 KiB
_LENGTH = 16  # of the hexadecimal digests


def of_files(paths: Sequence[Path]) -> str:
    """Return the digest of weight files; empty where there are none."""
    digest = hashlib.sha256()
    for path in sorted(paths, key=lambda path: path.name):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            for start, length in _places(size, _header_bytes(path)):
                file.seek(start)
                digest.update(file.read(length))
    return digest.hexdigest()[:_LENGTH] if paths else ""


def of_tensors(model: Any) -> str:
    """Return the digest of a model's tensors; empty where part of them is not in memory."""
    lines = []
    for name, tensor in _tensors(model):
        if tensor.device.type == "meta":
            return ""
        lines.append(f"{name} {tensor.dtype} {tuple(tensor.shape)} {_sums(tensor)}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()[:_LENGTH]


def _places(size: int, header_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield (start, length) of what is read of a file."""
    if size <= _WHOLE_BYTES:
        yield 0, size
        return
    yield 0, max(_END_BYTES, header_bytes)
    for i in range(1, _BLOCKS + 1):
        yield size * i // (_BLOCKS + 1), _BLOCK_BYTES
    yield size - _END_BYTES, _END_BYTES


def _header_bytes(path: Path) -> int:
    if path.suffix != ".safetensors":
        return 0
    with path.open("rb") as file:
        return 8 + min(int.from_bytes(file.read(8), "little"), MOST_HEADER_BYTES)


def _tensors(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield (name, plain tensor) of all that is stored: parameters, saved buffers, and what a
    library hangs on them.
    """
    from sut.model.weights import unfold

    for place, module in model.named_modules():
        saved = [
            (name, buffer)
            for name, buffer in module.named_buffers(recurse=False)
            if name not in module._non_persistent_buffers_set
        ]
        for name, held in (*module.named_parameters(recurse=False), *saved):
            for i, tensor in enumerate(unfold(held, set())):
                yield f"{place}.{name}.{i}", tensor


def _sums(tensor: Any) -> str:
    """Return a digest of the sums of a tensor's blocks, as whole numbers that may wrap around."""
    import torch

    flat = tensor.detach().contiguous().view(-1).view(torch.uint8)
    if flat.storage_offset() % 8:
        flat = flat.clone()  # words of 8 bytes begin at whole words
    words = len(flat) // 8
    whole = words - words % _SUM_WORDS
    aligned = flat[: words * 8].view(torch.int64)
    blocks = aligned[:whole].view(-1, _SUM_WORDS).sum(1)
    rest = aligned[whole:].sum().view(1)
    tail = bytes(flat[words * 8 :].cpu().tolist())
    sums = torch.cat((blocks, rest)).cpu().numpy().tobytes()
    return hashlib.sha256(sums + tail).hexdigest()[:_LENGTH]
