"""How is each server told what we ask of it? One row each: its command line, the flags of a
variant, where it says that it is healthy and which version it is.

Read from vLLM 0.32 (`vllm/engine/arg_utils.py`), SGLang 0.5.23 (`sglang/srt/server_args.py`) and
llama.cpp of October 2026 (`common/arg.cpp`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from harness.kernel.errors import BadInput, unknown
from harness.kernel.protocols import Say
from sut.started import adapter, gguf_file, programs
from sut.started.wish import Wish

Flags = tuple[str, ...]


class Row(NamedTuple):
    """A server. `command` makes its command line, with all that comes before the user's own
    arguments; it may fetch or convert, and raises BadInput or SetupFailed.
    """

    summary: str
    command: Callable[[Wish, int, Say], list[str]]
    ours: frozenset[str]  # options that the harness gives, and nobody else
    takes_python: bool = True
    takes_device: bool = False
    names_adapter: Callable[[Wish], str] = lambda wish: wish.name  # what requests call the model


def row(kind: str) -> Row:
    """Return the row of a server. Raises BadInput."""
    if kind not in TABLE:
        raise unknown("server", kind, TABLE)
    return TABLE[kind]


def check(kind: str, wish: Wish) -> None:
    """Refuse arguments that are ours to give, and a Python that is of no use. Raises BadInput."""
    known = row(kind)
    for argument in wish.arguments:
        if argument.partition("=")[0] in known.ours:
            found = "the harness chooses it"
            raise BadInput(f"--server-arg {argument}", found, "", "Leave it out.")
    if wish.device != "auto" and not known.takes_device:
        found = f"{kind} runs on what it was installed for"
        todo = "Leave it out; CUDA_VISIBLE_DEVICES chooses a GPU."
        raise BadInput(f"--device {wish.device}", found, "", todo)
    if wish.python is not None and not known.takes_python:
        found = f"{kind} is no Python program"
        raise BadInput(f"--server-python {wish.python}", found, "", f"Put {kind} on the PATH.")


# ---- vLLM

_VLLM_VARIANTS: Mapping[str, Flags] = {
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


def _vllm(wish: Wish, port: int, say: Say) -> list[str]:
    python = programs.python(wish.python, "vllm")
    base, with_adapter = _split(wish, _VLLM_VARIANTS, "vllm")
    command = [python, "-m", "vllm.entrypoints.openai.api_server", *_where(port)]
    command += ["--model", wish.path, "--served-model-name", wish.name, *base]
    command += ["--max-num-seqs", str(wish.max_concurrency)]
    if with_adapter:
        folder, rank = adapter.of(wish)
        command += ["--enable-lora", "--max-lora-rank", str(_at_least(rank, _VLLM_RANKS))]
        command += ["--lora-modules", f"{_with_adapter(wish)}={folder}"]
    if wish.kv_cache_bytes is not None:
        command += ["--kv-cache-memory-bytes", str(wish.kv_cache_bytes)]
    return command + ["--trust-remote-code"] * wish.trust_remote_code


_VLLM_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


def _at_least(rank: int, known: tuple[int, ...]) -> int:
    """Return the smallest rank that the server knows and that is enough; the adapter's own if none
    is, which the server refuses in its own words.
    """
    return next((value for value in known if value >= rank), rank)


# ---- SGLang

_SGLANG_VARIANTS: Mapping[str, Flags] = {
    "native": ("--dtype", "auto"),
    "fp32": ("--dtype", "float32"),
    "bf16": ("--dtype", "bfloat16"),
    "fp16": ("--dtype", "float16"),
    "fp8": ("--quantization", "fp8"),
    "nf4": ("--quantization", "bitsandbytes", "--load-format", "bitsandbytes"),
    "awq": ("--quantization", "awq"),
    "gptq": ("--quantization", "gptq"),
}


def _sglang(wish: Wish, port: int, say: Say) -> list[str]:
    python = programs.python(wish.python, "sglang")
    base, with_adapter = _split(wish, _SGLANG_VARIANTS, "sglang")
    command = [python, "-m", "sglang.launch_server", *_where(port), "--enable-metrics"]
    command += ["--model-path", wish.path, "--served-model-name", wish.name, *base]
    command += ["--max-running-requests", str(wish.max_concurrency)]
    if with_adapter:
        folder, _ = adapter.of(wish)
        command += ["--enable-lora", "--lora-paths", f"{_ADAPTER}={folder}"]
    if wish.kv_cache_bytes is not None:
        raise BadInput(
            "--kv-cache-gib", "SGLang takes no size of its cache in bytes", "", _FRACTION
        )
    return command + ["--trust-remote-code"] * wish.trust_remote_code


_ADAPTER = "adapter"
_FRACTION = "Leave it out, and pass --server-arg=--mem-fraction-static=0.6 or the like."


def _with_adapter(wish: Wish) -> str:
    """Return what vLLM calls the model with its adapter."""
    return f"{wish.name}-{_ADAPTER}"


def _sglang_name(wish: Wish) -> str:
    return f"{wish.name}:{_ADAPTER}"


# ---- llama.cpp


def _llama(wish: Wish, port: int, say: Say) -> list[str]:
    if wish.adapter or wish.variant.startswith("lora"):
        found = "llama-server takes adapters as GGUF files alone"
        todo = "Convert it with llama.cpp's convert_lora_to_gguf.py; pass --server-arg=--lora,"
        raise BadInput("--adapter", found, "", f"{todo} --server-arg=FILE.")
    program = programs.on_path("llama-server")
    file = gguf_file.of(wish, Path(program).parent, say)
    command = [program, *_where(port), "--model", str(file), "--alias", wish.name, "--metrics"]
    slots = wish.max_concurrency
    command += ["--parallel", str(slots), "--kv-unified"]
    command += ["--ctx-size", str(gguf_file.context_tokens(wish))]
    return command + ["--device", "none"] * (wish.device == "cpu")


# ---- what they share


def _where(port: int) -> Flags:
    return ("--host", "127.0.0.1", "--port", str(port))


def _split(wish: Wish, variants: Mapping[str, Flags], kind: str) -> tuple[Flags, bool]:
    """Return the flags of a variant, and whether an adapter goes with it (lora, lora-bf16)."""
    word, _, rest = wish.variant.partition("-")
    with_adapter = word == "lora"
    base = (rest or "fp32") if with_adapter else wish.variant
    if base not in variants:
        raise unknown(f"variant of --sut {kind}", wish.variant, variants, "Or lora-VARIANT.")
    if wish.adapter and not with_adapter:
        raise BadInput("--adapter", f"variant {wish.variant} takes none", f"lora-{base} does")
    return variants[base], with_adapter


def _plain_or(named: Callable[[Wish], str]) -> Callable[[Wish], str]:
    """Return what names the model in requests: `named` where there is an adapter."""
    return lambda wish: named(wish) if wish.variant.startswith("lora") else wish.name


_HOST = ("--host", "--port")
TABLE: Mapping[str, Row] = {
    "vllm": Row(
        "vLLM, started here from the environment of --server-python",
        _vllm,
        frozenset((*_HOST, "--model", "--served-model-name", "--api-key", "--ssl-keyfile")),
        names_adapter=_plain_or(_with_adapter),
    ),
    "sglang": Row(
        "SGLang, started here from the environment of --server-python",
        _sglang,
        frozenset((*_HOST, "--model", "--model-path", "--served-model-name", "--api-key")),
        names_adapter=_plain_or(_sglang_name),
    ),
    "llama-server": Row(
        "llama.cpp's server, started here from the PATH",
        _llama,
        frozenset((*_HOST, "--model", "-m", "--alias", "-a", "--api-key", "--api-key-file")),
        takes_python=False,
        takes_device=True,
    ),
}
