"""How is each server told what we ask of it? One row each: its command line and the flags of a
variant.

Read from vLLM 0.32 (`vllm/engine/arg_utils.py`) and llama.cpp of October 2026 (`common/arg.cpp`),
which were started on a CPU in some of the variants. SGLang was never started: its flags are those
that a public copy of its source declares (`sglang/srt/server_args.py`, 2026).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from harness.kernel.errors import BadInput, unknown
from harness.kernel.protocols import Say
from sut.started import adapter, gguf_file, programs
from sut.started.order import Order

Flags = tuple[str, ...]


class Row(NamedTuple):
    """A server. `command` makes its command line, with all that comes before the user's own
    arguments; it may fetch or convert, and raises BadInput or SetupFailed.
    """

    command: Callable[[Order, int, Say], list[str]]
    variants: tuple[str, ...]
    ours: frozenset[str]  # options that the harness gives, and nobody else
    takes_python: bool = True
    takes_device: bool = False
    loads_path: bool = True  # the folder that transformers loads, so that its notes hold
    names_adapter: Callable[[Order], str] = lambda order: order.name  # what requests call the model


def row(kind: str) -> Row:
    """Return the row of a server. Raises BadInput."""
    if kind not in TABLE:
        raise unknown("server", kind, TABLE)
    return TABLE[kind]


def check_variant(kind: str, variant: str) -> None:
    """Raise BadInput for a variant that the server does not know."""
    known = row(kind).variants
    if variant not in known:
        raise unknown(f"variant of --sut {kind}", variant, known)


def variants() -> frozenset[str]:
    """Return those of all servers."""
    return frozenset(name for known in TABLE.values() for name in known.variants)


def arguments_for(kind: str, given: Iterable[str]) -> tuple[str, ...]:
    """Return the arguments that are meant for a server: in a study of several, `vllm:--flag` is
    for one of them.
    """
    parts = [(argument, *argument.partition(":")) for argument in given]
    return tuple(
        rest if program in TABLE else argument
        for argument, program, _, rest in parts
        if program not in TABLE or program == kind
    )


def check(kind: str, order: Order) -> None:
    """Refuse arguments that are ours to give, and a Python that is of no use. Raises BadInput."""
    check_variant(kind, order.variant)
    known = row(kind)
    for argument in order.arguments:
        if argument.partition("=")[0] in known.ours:
            found = "the harness chooses it"
            raise BadInput(f"--server-arg {argument}", found, "", "Leave it out.")
    if order.device != "auto" and not known.takes_device:
        found = f"{kind} runs on what it was installed for"
        todo = "Leave it out; CUDA_VISIBLE_DEVICES chooses a GPU."
        raise BadInput(f"--device {order.device}", found, "", todo)
    if order.python is not None and not known.takes_python:
        found = f"{kind} is no Python program"
        raise BadInput(f"--server-python {order.python}", found, "", f"Put {kind} on the PATH.")


# ---- vLLM

_VLLM_VARIANTS: Mapping[str, Flags] = {
    "asis": ("--dtype", "auto"),
    "native": ("--dtype", "auto"),
    "fp32": ("--dtype", "float32"),
    "bf16": ("--dtype", "bfloat16"),
    "fp16": ("--dtype", "float16"),
    "fp8": ("--quantization", "fp8"),
    "int8": ("--quantization", "int8_per_channel_weight_only"),
    "nf4": ("--quantization", "bitsandbytes"),  # of versions before 0.32
    "awq": ("--quantization", "awq"),
    "gptq": ("--quantization", "gptq"),
}


def _vllm(order: Order, port: int, say: Say) -> list[str]:
    python = programs.python(order.python, "vllm")
    flags, with_adapter = _split(order, _VLLM_VARIANTS)
    command = [python, "-m", "vllm.entrypoints.openai.api_server", *_where(port)]
    command += ["--model", order.path, "--served-model-name", order.name, *flags]
    command += ["--max-num-seqs", str(order.max_concurrency)]
    if with_adapter:
        folder, rank = adapter.of(order)
        command += ["--enable-lora", "--max-lora-rank", str(_at_least(rank, _VLLM_RANKS))]
        command += ["--lora-modules", f"{_with_adapter(order)}={folder}"]
    if order.kv_cache_bytes is not None:
        command += ["--kv-cache-memory-bytes", str(order.kv_cache_bytes)]
    return command + ["--trust-remote-code"] * order.trust_remote_code


_VLLM_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


def _at_least(rank: int, known: tuple[int, ...]) -> int:
    """Return the smallest rank that the server knows and that is enough; the adapter's own if none
    is, which the server refuses in its own words.
    """
    return next((value for value in known if value >= rank), rank)


# ---- SGLang

_SGLANG_VARIANTS: Mapping[str, Flags] = {
    "asis": ("--dtype", "auto"),
    "native": ("--dtype", "auto"),
    "fp32": ("--dtype", "float32"),
    "bf16": ("--dtype", "bfloat16"),
    "fp16": ("--dtype", "float16"),
    "fp8": ("--quantization", "fp8"),
    "nf4": ("--quantization", "bitsandbytes", "--load-format", "bitsandbytes"),
    "awq": ("--quantization", "awq"),
    "gptq": ("--quantization", "gptq"),
}


def _sglang(order: Order, port: int, say: Say) -> list[str]:
    python = programs.python(order.python, "sglang")
    flags, with_adapter = _split(order, _SGLANG_VARIANTS)
    command = [python, "-m", "sglang.launch_server", *_where(port), "--enable-metrics"]
    command += ["--model-path", order.path, "--served-model-name", order.name, *flags]
    command += ["--max-running-requests", str(order.max_concurrency)]
    if with_adapter:
        folder, _ = adapter.of(order)
        command += ["--enable-lora", "--lora-paths", f"{_ADAPTER}={folder}"]
    if order.kv_cache_bytes is not None:
        raise BadInput(
            "--kv-cache-gib", "SGLang takes no size of its cache in bytes", "", _FRACTION
        )
    return command + ["--trust-remote-code"] * order.trust_remote_code


_ADAPTER = "adapter"
_FRACTION = "Leave it out, and pass --server-arg=--mem-fraction-static=0.6 or the like."


def _with_adapter(order: Order) -> str:
    """Return what vLLM calls the model with its adapter."""
    return f"{order.name}-{_ADAPTER}"


def _sglang_name(order: Order) -> str:
    return f"{order.name}:{_ADAPTER}"


# ---- llama.cpp


def _llama(order: Order, port: int, say: Say) -> list[str]:
    if order.adapter:
        found = "llama-server takes adapters as GGUF files alone"
        todo = "Convert it with llama.cpp's convert_lora_to_gguf.py; pass --server-arg=--lora,"
        raise BadInput("--adapter", found, "", f"{todo} --server-arg=FILE.")
    program = programs.on_path("llama-server")
    file = gguf_file.of(order, Path(program).parent, say)
    command = [program, *_where(port), "--model", str(file), "--alias", order.name, "--metrics"]
    slots = order.max_concurrency
    command += ["--parallel", str(slots), "--kv-unified"]
    command += ["--ctx-size", str(gguf_file.context_tokens(order))]
    return command + ["--device", "none"] * (order.device == "cpu")


# ---- what they share


def _where(port: int) -> Flags:
    return ("--host", "127.0.0.1", "--port", str(port))


def _split(order: Order, variants: Mapping[str, Flags]) -> tuple[Flags, bool]:
    """Return the flags of a variant, and whether an adapter goes with it (lora, lora-bf16)."""
    word, _, rest = order.variant.partition("-")
    with_adapter = word == "lora"
    name = (rest or "fp32") if with_adapter else order.variant
    if order.adapter and not with_adapter:
        raise BadInput("--adapter", f"variant {order.variant} takes none", f"lora-{name} does")
    return variants[name], with_adapter


def _and_with_lora(variants: Mapping[str, Flags]) -> tuple[str, ...]:
    """Return the names of variants, and of the same with an adapter."""
    return (*variants, "lora", *(f"lora-{name}" for name in variants if name != "fp32"))


def _plain_or(named: Callable[[Order], str]) -> Callable[[Order], str]:
    """Return what names the model in requests: `named` where there is an adapter."""
    return lambda order: named(order) if order.variant.startswith("lora") else order.name


_HOST = ("--host", "--port")
TABLE: Mapping[str, Row] = {
    "vllm": Row(
        _vllm,
        _and_with_lora(_VLLM_VARIANTS),
        frozenset((*_HOST, "--model", "--served-model-name", "--api-key", "--ssl-keyfile")),
        names_adapter=_plain_or(_with_adapter),
    ),
    "sglang": Row(
        _sglang,
        _and_with_lora(_SGLANG_VARIANTS),
        frozenset((*_HOST, "--model", "--model-path", "--served-model-name", "--api-key")),
        names_adapter=_plain_or(_sglang_name),
    ),
    "llama-server": Row(
        _llama,
        gguf_file.VARIANTS,
        frozenset((*_HOST, "--model", "-m", "--alias", "-a", "--api-key", "--api-key-file")),
        takes_python=False,
        takes_device=True,
        loads_path=False,
    ),
}
