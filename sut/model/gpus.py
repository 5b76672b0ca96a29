"""Which GPUs of the machine do a model's weights lie on, as nvidia-smi numbers them?

CUDA numbers those that it sees, in an order of its own; the UUID is the same for both.
"""

from __future__ import annotations

from collections.abc import Iterable

from harness.kernel.machine.nvml import Nvml, text


def indices(devices: Iterable[str]) -> list[int | None]:
    """Return the index of each CUDA device ("cuda:1") among the machine's GPUs; None for one that
    the driver does not list, such as a MIG slice. Devices of other kinds are left out.
    """
    import torch

    ours = [device for device in devices if device.startswith("cuda")]
    if not ours:
        return []
    nvml = Nvml()
    known = []
    for handle in nvml.gpus():
        uuid = "" if handle.refusal else nvml.read(text, "nvmlDeviceGetUUID", handle.value).value
        known.append(_letters(uuid or ""))
    nvml.close()
    found = []
    for device in ours:
        uuid = getattr(torch.cuda.get_device_properties(device), "uuid", "")
        letters = _letters(str(uuid))
        found.append(known.index(letters) if letters and letters in known else None)
    return found


def _letters(uuid: str) -> str:
    """Return a UUID as torch writes it: the driver puts GPU- in front."""
    return uuid.removeprefix("GPU-").lower()
