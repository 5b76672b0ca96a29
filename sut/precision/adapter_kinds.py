"""Which adapters of peft can be served on which base, by their configuration alone?

Kind LORA is; its options are layers of their own, held against peft's own pass at load
(`sut.precision.attached`). What cannot come out right is refused here, in words: an adapter that
works only from certain tokens on, and one that reads the weights of a base that holds integers.
"""

from __future__ import annotations

from typing import Any

from harness.kernel.errors import SetupFailed

QUANTO, FP8 = "integers of quanto", "8-bit floats"
BNB_INT8, BNB_4BIT = "integers of bitsandbytes (int8)", "4 bits of bitsandbytes"
_FEW_BITS = {
    "int8": BNB_INT8,
    "nf4": BNB_4BIT,
    "int8-quanto": QUANTO,
    "int4-quanto": QUANTO,
    "fp8": FP8,
    "fp8-tensor": FP8,
}  # by name of the base's variant
_NEEDS_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga", "orthogonal")
_READS_BASE = ("use_dora", "use_bdlora", "kasa_config", "monteclora_config", "velora_config")
_TAKES_WEIGHTS = ("trainable_token_indices", "target_parameters")  # of the layers that they replace
_IN_WORDS = {
    "LOHA": "LoHa",
    "LOKR": "LoKr",
    "ADALORA": "AdaLoRA",
    "PROMPT_TUNING": "prompt tuning",
    "MULTITASK_PROMPT_TUNING": "multitask prompt tuning",
    "P_TUNING": "P-tuning",
    "PREFIX_TUNING": "prefix tuning",
    "LN_TUNING": "LayerNorm tuning",
    "XLORA": "X-LoRA",
    "TRAINABLE_TOKENS": "trainable tokens",
}  # peft's names that are not the method's own


def refuse_kind(doing: str, kind: Any) -> None:
    """Raise SetupFailed for an adapter of any kind but LORA."""
    if kind == "LORA":
        return
    words = _IN_WORDS.get(str(kind))
    named = f"kind {kind!r}" + (f" ({words})" if words else "")
    raise SetupFailed(
        doing,
        f"adapter_config.json says that it is of {named}",
        "only LORA is supported",
        "Merge it with peft (merge_and_unload) and pass the merged model, if it can be merged.",
    )


def refuse_options(doing: str, config: Any) -> None:
    """Raise SetupFailed for a LoRA that works in a part of the text only, or that is another one
    each time it is loaded.
    """
    if getattr(config, "alora_invocation_tokens", None):
        raise SetupFailed(
            doing,
            "it is an activated LoRA (alora_invocation_tokens): it works only after its own tokens",
            "adapters are served that work on every token",
            "Use another adapter.",
        )
    start = _start(config)
    if start.startswith("pissa_niter"):
        raise SetupFailed(
            doing,
            f"its initialisation ({start}) is random: peft makes another base each time",
            "expected pissa, or an adapter that was converted to a plain LoRA",
            "Save it again with peft (path_initial_model_for_weight_conversion).",
        )


def plain_start(config: Any) -> None:
    """Take the initialisation out of a configuration where it needs the base's weights: names and
    shapes are the same without.
    """
    if _start(config).startswith(_NEEDS_BASE):
        config.init_lora_weights = True


def _start(config: Any) -> str:
    return str(getattr(config, "init_lora_weights", "")).lower()


def few_bits(variant: str) -> str:
    """Return how the base of a variant holds its weights; empty for floats or where that is not
    known before it is loaded.
    """
    return _FEW_BITS.get(variant, "")


def few_bits_of(model: Any) -> str:
    """Return how a model that was loaded holds its weights; empty for floats."""
    for module in model.modules():
        if getattr(module, "is_packed", False):
            return QUANTO
        if getattr(module, "is_fp8", False):
            return FP8
        if type(module).__name__ == "Linear8bitLt":
            return BNB_INT8
        if type(module).__name__ == "Linear4bit":
            return BNB_4BIT
    return ""


def refuse_on(doing: str, config: Any, held: str) -> None:
    """Raise SetupFailed for an adapter that needs the base's weights where these are integers."""
    if not held:
        return
    todo = "Use --variant lora or lora-bf16."
    start = _start(config)
    if start.startswith(_NEEDS_BASE):
        found = f"its initialisation ({start}) works on the base's weights, which are {held}"
        fine = "expected a base in floats, or an adapter that was converted to a plain LoRA"
        raise SetupFailed(doing, found, fine, todo)
    options = [name for name in _READS_BASE if getattr(config, name, None)]
    if options and held != BNB_4BIT:
        what = "it is a DoRA (use_dora)" if options[0] == "use_dora" else f"it has {options[0]}"
        found = f"{what}, which reads the base's weights, and these are {held}"
        raise SetupFailed(doing, found, "expected a base in floats or nf4", todo)


def reads_base(config: Any) -> bool:
    """Say whether its layers read the base's weights in every pass, so that these must stay as they
    are.
    """
    return any(getattr(config, name, None) for name in (*_READS_BASE, *_TAKES_WEIGHTS))
