"""Are float32 products computed in TF32, which keeps 10 bits of mantissa of the 23?

GPUs since Ampere can, and cuDNN does by torch's defaults. A reference in TF32 is no FP32 reference,
so it is off unless asked for. torch has two ways to say so and refuses a program that mixes them;
this is the older one, which accelerate and all versions of torch know. The variable
NVIDIA_TF32_OVERRIDE overrules both in NVIDIA's libraries.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

OVERRIDE = "NVIDIA_TF32_OVERRIDE"  # "1": always, "0": never


def choose(
    device: str, is_wanted: bool, variables: Mapping[str, str] = os.environ
) -> tuple[bool, str]:
    """Turn TF32 on or off; return whether it is on, and a note where that is not what was asked
    for.
    """
    import torch

    if not device.startswith("cuda"):
        return False, f"--tf32 changes nothing on {device}" if is_wanted else ""
    torch.backends.cuda.matmul.allow_tf32 = is_wanted
    torch.backends.cudnn.allow_tf32 = is_wanted
    found = variables.get(OVERRIDE)
    is_on = {"0": False, "1": True}.get(found or "", is_wanted)
    if is_on == is_wanted:
        return is_on, ""
    return (
        is_on,
        f"{OVERRIDE}={found} turns TF32 {'on' if is_on else 'off'}, whatever was asked for",
    )
