"""A model of transformers from its files, and what its facts say of these files.

Everything that transformers drops or fills in without a word is asked for here (`complete`), and
what was loaded is held against the name of the variant: float32 is float32 in every tensor.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from harness.kernel.errors import SetupFailed
from harness.kernel.machine.memory import available_bytes
from sut.checkpoint import complete, readable, stored
from sut.checkpoint.quantisation import Quantisation
from sut.model import digest, findings


def loaded(
    path: str, dtype_name: str, *, device: str, device_map: str | None = None, **options: Any
) -> Any:
    """Return the model with each tensor in `dtype_name`, or as it is stored ("auto"). Raises
    SetupFailed where files and configuration do not go together.
    """
    import torch
    from transformers import AutoModelForCausalLM

    _leave_out_cudnn_attention()
    if (folder := stored.folder_of(path)) is not None:
        stored.check_shards(folder)
    dtype = dtype_name if dtype_name == "auto" else getattr(torch, dtype_name)
    options |= {"dtype": dtype, "device_map": device_map or {"": device}}
    if device_map is not None and (room := _room_bytes()):
        options["max_memory"] = room
    found: Any = AutoModelForCausalLM.from_pretrained(path, output_loading_info=True, **options)
    model, info = found
    folder = stored.folder_of(path)  # of the hub: fetched by now
    held = {} if folder is None else stored.tensors(stored.files(folder))
    readable.check_scales(path, held)
    told = findings.of(model)
    told.notes.extend(filter(None, (complete.check(path, model, info, held),)))
    if folder is not None and (others := stored.others(folder)):
        told.notes.append(f"its folder has other weights too, which are not read: {others[0]}")
    told.facts["stored_dtype"] = stored.main_dtype(held)
    told.facts["files_digest"] = digest.of_files([] if folder is None else stored.files(folder))
    if has_own_head(model):
        told.notes.append(
            "its config.json ties the output head to the embedding, but its weight files have a"
            " head of its own, which is used"
        )
    is_plain = not options.get("quantization_config")
    if is_plain and stored_narrower(
        told.facts["stored_dtype"], str(model.dtype).removeprefix("torch.")
    ):
        told.notes.append(
            f"its weights are stored as {told.facts['stored_dtype']}: this variant computes with"
            " these values in a wider type"
        )
    return model


def _leave_out_cudnn_attention() -> None:
    """Keep torch from cuDNN's attention on GPUs: it builds a plan for each new pair of rows and
    length, and decoding has a new one at every step.
    """
    import torch

    torch.backends.cuda.enable_cudnn_sdp(False)


def has_cudnn_attention() -> bool:
    """Say whether torch may choose it."""
    import torch

    return bool(torch.backends.cuda.cudnn_sdp_enabled())  # type: ignore[no-untyped-call]


def _room_bytes() -> dict[Any, int]:
    """Return what each device may take, where a control group leaves us less than the machine has:
    accelerate reads the machine's. Nothing elsewhere.
    """
    from accelerate.utils import get_max_memory  # type: ignore[import-untyped]

    room: dict[Any, int] = get_max_memory()
    left = available_bytes()
    return room | {"cpu": left} if left < room["cpu"] else {}


def has_own_head(model: Any) -> bool:
    """Say whether the head is not the embedding although the configuration ties them."""
    if not model.config.get_text_config().tie_word_embeddings:
        return False
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if head is None or embedding is None:
        return False
    ours, theirs = getattr(head, "weight", None), getattr(embedding, "weight", None)
    if ours is None or theirs is None or ours.is_meta or theirs.is_meta:
        return False
    return ours is not theirs


def stored_narrower(stored_dtype: str, dtype: str) -> bool:
    """Say whether floats of few bits were read into wider ones."""
    import torch

    theirs, ours = getattr(torch, stored_dtype, None), getattr(torch, dtype, None)
    if theirs is None or ours is None or not (theirs.is_floating_point and ours.is_floating_point):
        return False
    return bool(theirs.itemsize < ours.itemsize)


def hold_dtype(model: Any, path: str, dtype_name: str) -> None:
    """Refuse a model whose tensors are not what the variant says: all float32, or 16 bits where
    the model does not insist on float32. Raises SetupFailed.
    """
    import torch

    allowed = {getattr(torch, dtype_name), torch.float32}
    wrong = [(name, p.dtype) for name, p in model.named_parameters() if p.dtype not in allowed]
    if not wrong:
        return
    name, dtype = wrong[0]
    raise SetupFailed(
        f"loading model {path!r}",
        f"{len(wrong)} of its tensors are {str(dtype).removeprefix('torch.')}, {name} for one",
        f"this variant means {dtype_name}",
        "Use --variant asis, or the model that they were made from.",
    )


def note_precision(model: Any, quantisation: Quantisation) -> None:
    """Say how a checkpoint is quantised that was taken as it is."""
    facts = findings.of(model).facts
    facts["stored_quantisation"], facts["precision"] = str(quantisation), quantisation.tag


def note_dequantised(model: Any, quantisation: Quantisation) -> None:
    """Say that a quantised checkpoint was loaded as floats."""
    told, dtype = findings.of(model), str(model.dtype).removeprefix("torch.")
    told.facts["stored_quantisation"] = str(quantisation)
    told.facts["precision"] = f"{dtype} of {quantisation.tag}"
    told.notes.append(
        f"its checkpoint is quantised ({quantisation}) and was dequantised to {dtype} at load: the"
        " values are those of few bits"
    )


def quiet_libraries() -> None:
    """Silence the libraries: progress bars and notices of the libraries belong into no log:
    bitsandbytes has one per layer and step.
    """
    from transformers.utils import logging as notices

    notices.set_verbosity_error()  # type: ignore[no-untyped-call]
    notices.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def openmp_settings() -> dict[str, str]:
    """Return the variables of this process that say how its threads work."""
    prefixes = ("OMP_", "GOMP_", "KMP_", "MKL_")
    return {name: value for name, value in os.environ.items() if name.startswith(prefixes)}
