"""Are the weights in the files those of the model that was loaded: all of them, and nothing else?

transformers drops what the configuration has no place for, and draws at random what the files lack;
it says so in a log. Here each tensor that is left over is looked at:

    lacking      refused: the model would be partly random
    its own      of a layer that the configuration does not count, or a part of a layer that it does
                 not have (a bias, a scale): refused, the files and the configuration are of two
                 models
    not its own  another head, a vision tower, layers for predicting several tokens: told, with
                 number and share
    known        masks and frequencies that older versions stored: nothing is lost
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from harness.kernel.errors import SetupFailed
from sut.checkpoint.stored import Stored

_KNOWN = re.compile(
    r"(rotary_emb\.(inv_freq|cos_cached|sin_cached)|masked_bias|causal_mask|position_ids|rope\.freqs)$"
)
_MASK = re.compile(r"(attn|attention)\.bias$")
_OTHER_PARTS = re.compile(
    r"vision|visual|image|video|audio|speech|talker|projector|multi_modal|mm_|connector|mtp|nextn"
)
_FINE = "both must be of one model"
_AGAIN = "Fetch the model again; an adapter goes with --adapter."


def check(path: str, model: Any, info: Mapping[str, Any], held: Mapping[str, Stored]) -> str:
    """Return a note on what the files hold beyond the model; empty if it is all used.

    `info` is what transformers reports, `held` the tensors of the files. Raises SetupFailed.
    """
    doing = f"loading model {path!r}"
    if errors := list(info.get("error_msgs") or ()):
        raise SetupFailed(doing, f"some weights could not be read ({errors[0]})", _FINE, _AGAIN)
    if missing := sorted(info["missing_keys"]):
        found = f"its weight files lack {len(missing)} of the model's tensors, {missing[0]} for one"
        raise SetupFailed(doing, found, "", _AGAIN)
    left_over = [name for name in sorted(info["unexpected_keys"]) if not _is_known(name, held)]
    modules = dict(model.named_modules())
    if own := [name for name in left_over if _is_own(name, model, modules)]:
        what = f"its weight files hold {_counted(own, held)} for which its config.json has no place"
        todo = "Correct config.json, or fetch the model again."
        raise SetupFailed(doing, f"{what}, {own[0]} for one", _FINE, todo)
    unused = [*left_over, *_ignored(model, held)]
    if not unused:
        return ""
    return (
        f"{_counted(unused, held)} of its weight files, {unused[0]} for one, are no part of the"
        " causal language model and are not used"
    )


def _is_own(name: str, model: Any, modules: Collection[str]) -> bool:
    """Say whether a tensor belongs to the language model: to a module that it has, to one more of
    its numbered layers, or to its trunk.
    """
    owner, _, _ = name.rpartition(".")
    if owner in modules:
        return owner != ""
    parts = name.split(".")
    for i, part in enumerate(parts):
        if part.isdigit() and f"{'.'.join(parts[:i])}.0" in modules:
            return not _predicts_ahead(model, int(part))
    return parts[0] in modules and not _OTHER_PARTS.search(name)


def _predicts_ahead(model: Any, layer: int) -> bool:
    """Say whether a layer beyond the last is one that predicts several tokens at once."""
    config = model.config.get_text_config()
    extra = getattr(config, "num_nextn_predict_layers", None) or 0
    return 0 <= layer - int(config.num_hidden_layers) < extra


def _ignored(model: Any, held: Mapping[str, Stored]) -> Iterable[str]:
    """Return the tensors that the model's class leaves out on purpose."""
    patterns = getattr(model, "_keys_to_ignore_on_load_unexpected", None) or ()
    if not patterns:
        return []
    ignored = re.compile("|".join(f"({pattern})" for pattern in patterns))
    own = model.state_dict().keys()
    names = (name for name in sorted(held) if ignored.search(name) and name not in own)
    return [name for name in names if not _is_known(name, held)]


def _is_known(name: str, held: Mapping[str, Stored]) -> bool:
    """Say whether it is a mask or a table that older versions stored; a mask has four dimensions,
    a bias of its name has one.
    """
    if _MASK.search(name):
        return name in held and len(held[name].shape) == 4
    return bool(_KNOWN.search(name))


def _counted(names: Collection[str], held: Mapping[str, Stored]) -> str:
    """Return "9 tensors (31 % of their bytes)"; the share only where all are in the files by these
    names.
    """
    whole = sum(tensor.num_bytes for tensor in held.values())
    part = sum(held[name].num_bytes for name in names if name in held)
    count = f"{len(names):,} tensors" if len(names) != 1 else "1 tensor"
    if not whole or not all(name in held for name in names):
        return count
    return f"{count} ({100 * part / whole:.2g} % of their bytes)"
