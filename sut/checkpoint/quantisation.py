"""How is a checkpoint quantised? Method, bits and groups out of a `quantization_config`, of which
each library writes its own kind; in words for people, and short enough for the head of a table.

    gptq 4 bits, groups of 128          gptq-int4-g128
    fp8 e4m3, blocks of 128 x 128       fp8-block128
    compressed-tensors int8 weights, a scale per row, int8 activations     w8a8-int8
    bitsandbytes nf4                    bnb-nf4
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

Config = Mapping[str, Any]
_BITS = ("bits", "nbits", "w_bit", "num_bits")
_GROUP = ("group_size", "q_group_size")


class Quantisation(NamedTuple):
    """`method` is transformers' name of it, `words` say the rest, `tag` is short and says both."""

    method: str
    words: str
    tag: str

    def __str__(self) -> str:
        return f"{self.method} {self.words}".strip()


def of_config(told: Config) -> Quantisation:
    """Return what a quantization_config says."""
    said = told.get("quant_method")
    method = str(getattr(said, "value", said) or "").lower().replace("_", "-")
    if not method and ("load_in_4bit" in told or "load_in_8bit" in told):
        method = "bitsandbytes"
    kinds = {
        "bitsandbytes": _bitsandbytes,
        "fp8": _fp8,
        "fbgemm-fp8": _fbgemm,
        "compressed-tensors": _compressed_tensors,
        "torchao": _torchao,
    }
    return kinds.get(method, _integers)(method or "of an unknown method", told)


def _bitsandbytes(method: str, told: Config) -> Quantisation:
    kind = str(told.get("bnb_4bit_quant_type") or "fp4") if told.get("load_in_4bit") else "int8"
    return Quantisation(method, kind, f"bnb-{kind}")


def _fp8(method: str, told: Config) -> Quantisation:
    """transformers' fine-grained FP8: blocks of the weights, or one scale for all of them."""
    block = told.get("weight_block_size")
    if not block:
        return Quantisation(method, "e4m3, one scale per matrix", "fp8-tensor")
    return Quantisation(method, f"e4m3, blocks of {block[0]} x {block[-1]}", f"fp8-block{block[0]}")


def _fbgemm(method: str, told: Config) -> Quantisation:
    return Quantisation(method, "e4m3, a scale per row", "fp8-row")


def _compressed_tensors(method: str, told: Config) -> Quantisation:
    """llm-compressor's: a scheme for each group of layers."""
    groups = told.get("config_groups")
    schemes = list(groups.values()) if isinstance(groups, Mapping) else []
    found = list(dict.fromkeys(_scheme(one) for one in schemes if isinstance(one, Mapping)))
    if not found:
        return Quantisation(method, str(told.get("format") or ""), method)
    return Quantisation(method, "; ".join(w for w, _ in found), "+".join(t for _, t in found))


def _scheme(scheme: Config) -> tuple[str, str]:
    """Return the words and the tag of one scheme."""
    weights, inputs = (scheme.get(name) or {} for name in ("weights", "input_activations"))
    kind, bits, strategy = _kind(weights), weights.get("num_bits"), weights.get("strategy")
    group = weights.get("group_size") if strategy in ("group", "tensor_group") else None
    scale = {"channel": "a scale per row", "tensor": "one scale per matrix"}.get(str(strategy), "")
    scale = f"groups of {group}" if group else scale
    words = ", ".join(filter(None, (f"{kind} weights", scale)))
    if inputs:
        words = f"{words}, {_kind(inputs)} activations"
    tag = f"w{bits}a{inputs.get('num_bits', 16)}"
    return words, f"{tag}-g{group}" if group else f"{tag}-{kind}"


def _kind(args: Config) -> str:
    return f"{'fp' if args.get('type') == 'float' else 'int'}{args.get('num_bits')}"


def _torchao(method: str, told: Config) -> Quantisation:
    """Its configuration is an object of its own: {"default": {"_type": "Int8WeightOnlyConfig"}}."""
    inner = told.get("quant_type")
    inner = inner.get("default", inner) if isinstance(inner, Mapping) else inner
    kind = inner.get("_type") if isinstance(inner, Mapping) else inner
    name = str(kind or "").removesuffix("Config")
    data = inner.get("_data") if isinstance(inner, Mapping) else None
    group = data.get("group_size") if isinstance(data, Mapping) else None
    words = f"{name}, groups of {group}" if isinstance(group, int) and group > 0 else name
    return Quantisation(method, words, "-".join(filter(None, ("torchao", name))))


def _integers(method: str, told: Config) -> Quantisation:
    """GPTQ, AWQ, AutoRound, HQQ, quanto and their like: bits, and the group that has one scale."""
    inner = told.get("quant_config")  # of HQQ
    inner = inner.get("weight_quant_params") if isinstance(inner, Mapping) else None
    known = inner if isinstance(inner, Mapping) else told
    bits = next((known[name] for name in _BITS if isinstance(known.get(name), int)), None)
    group = next((known[name] for name in _GROUP if isinstance(known.get(name), int)), None)
    if bits is None:
        what = str(told.get("weights") or told.get("weight_dtype") or told.get("format") or "")
        return Quantisation(method, what, "-".join(filter(None, (method, what))))
    words, tag = f"{bits} bits", f"{method}-int{bits}"
    if group is None:
        return Quantisation(method, words, tag)
    if group <= 0:
        return Quantisation(method, f"{words}, a scale per row", tag)
    return Quantisation(method, f"{words}, groups of {group}", f"{tag}-g{group}")
