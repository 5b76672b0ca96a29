"""Does the model that will be served answer as peft's own does? Asked of every adapter at load.

A transformers model with peft's layers inside is served, not the PeftModel around it; and merging
changes the weights for good. Both are held against the PeftModel over one short text: what differs
by more than rounding is refused. An adapter that changes nothing is told.

Differences are |a - b| / |b| of logits less their mean over the vocabulary.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from harness.kernel.errors import SetupFailed
from sut.model import findings
from sut.precision.adapter_kinds import BNB_4BIT, BNB_INT8

_TOKENS = 16
_SAME = 1e-5  # the same layers in the same order: nothing is rounded otherwise
_MERGED = {torch.float32: 1e-3, torch.float16: 0.05}
_MERGED_ELSE = 0.2
_MERGED_INTO = {BNB_INT8: 0.3, BNB_4BIT: 0.7}  # the sum is quantised anew


@torch.inference_mode()
def logits(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """Return (T, V) of one pass over (1, T), in float32, less the mean over V."""
    found: torch.Tensor = model(input_ids=ids, use_cache=False).logits[0].float()
    return found - found.mean(-1, keepdim=True)


def trial_ids(model: Any, config: Any) -> torch.Tensor:
    """Return (1, T): ids from all over the vocabulary, and those that the adapter trained."""
    vocabulary = model.get_input_embeddings().weight.shape[0]
    spread = [(7 + 31 * i) % vocabulary for i in range(_TOKENS)]
    trained = getattr(config, "trainable_token_indices", None) or []
    if isinstance(trained, dict):
        trained = [token for tokens in trained.values() for token in tokens]
    return torch.tensor([[*spread, *list(trained)[:_TOKENS]]], device=model.device)


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    size = float(theirs.norm())
    return float((ours - theirs).norm()) / size if size else float((ours - theirs).norm())


class Trial(NamedTuple):
    """What peft's own model makes of a text; `effect` is the difference that the adapter makes."""

    doing: str  # for errors
    ids: torch.Tensor  # (1, T)
    wanted: torch.Tensor  # (T, V)
    effect: float


def trial(doing: str, tuned: Any, config: Any) -> Trial:
    """Ask peft's own model, with the adapter and without."""
    ids = trial_ids(tuned, config)
    wanted = logits(tuned, ids)
    with tuned.disable_adapter():
        effect = difference(logits(tuned, ids), wanted)
    return Trial(doing, ids, wanted, effect)


def hold_attached(served: Any, made: Trial) -> None:
    """Raise SetupFailed where the served model is not peft's; note an adapter without effect."""
    found = difference(logits(served, made.ids), made.wanted)
    if not found <= _SAME:  # not a number is not near
        raise SetupFailed(
            made.doing,
            f"served, its logits differ from those of peft's own model by {found:.2g}",
            "the same but for rounding",
            "Use another adapter: answers with this one would not be its own.",
        )
    _note_effect(served, made)


def hold_merged(merged: Any, made: Trial, held: str) -> None:
    """Raise SetupFailed where merging changed more than rounding does; note where it lost much of
    what the adapter changes. `held` says how the base holds its weights.
    """
    found = difference(logits(merged, made.ids), made.wanted)
    limit = _MERGED_INTO.get(held) or _MERGED.get(merged.dtype, _MERGED_ELSE)
    if not found <= limit:
        raise SetupFailed(
            made.doing,
            f"merged, its logits differ from those of the attached adapter by {found:.2g}",
            f"expected at most {limit:g}",
            "Leave out --merge-adapter.",
        )
    _note_effect(merged, made)
    if made.effect and found > made.effect / 4:
        findings.of(merged).notes.append(
            f"merging rounded the adapter: the logits differ from the attached one's by {found:.2g}"
            f" where the adapter changes them by {made.effect:.2g}"
        )


def _note_effect(model: Any, made: Trial) -> None:
    if made.effect == 0:
        findings.of(model).notes.append(
            "the adapter changes nothing: the logits are those of the base"
        )


def untie(tuned: Any) -> list[str]:
    """Give each matrix that the adapter is merged into weights of its own, where another module
    shares them; return the names of the layers.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    users: dict[int, int] = {}
    for _, parameter in tuned.named_parameters(remove_duplicate=False):
        users[id(parameter)] = users.get(id(parameter), 0) + 1
    untied = []
    for name, module in tuned.get_base_model().named_modules():
        if not isinstance(module, BaseTunerLayer):
            continue
        base = module.get_base_layer()
        weight = getattr(base, "weight", None)
        if isinstance(weight, torch.nn.Parameter) and users.get(id(weight), 0) > 1:
            base.weight = torch.nn.Parameter(weight.detach().clone(), requires_grad=False)
            untied.append(name)
    return untied
