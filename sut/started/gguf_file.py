"""Which GGUF file does llama.cpp load, and how many tokens of context does it get?

A model that comes as GGUF (a .gguf file, a folder with some, an alias) is taken as it is for the
variant `asis` (or `native`), and for the kind that it has. Any other kind is made once by
llama.cpp's own `llama-quantize` and kept in the cache. fp32, fp16 and bf16 are GGUF's F32, F16 and
BF16.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from harness.kernel.errors import SetupFailed
from harness.kernel.foreign.parsed import read_json
from harness.kernel.machine import waits
from harness.kernel.process import children
from harness.kernel.protocols import Say
from sut.model import find
from sut.started.order import Order

KINDS = (
    "F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S",
    "Q4_1", "Q4_0", "Q3_K_L", "Q3_K_M", "Q3_K_S", "Q2_K", "Q2_K_S", "IQ4_XS", "IQ4_NL", "IQ3_M",
    "IQ3_S", "IQ3_XS", "IQ2_M", "IQ1_M", "TQ1_0", "TQ2_0", "MXFP4_MOE",
)  # fmt: skip
_OURS = {"fp32": "F32", "fp16": "F16", "bf16": "BF16"}
_AS_IS = ("asis", "native")
VARIANTS = (*_AS_IS, *_OURS, *KINDS)
_BEST_FIRST = {kind: place for place, kind in enumerate(KINDS)}  # to make another kind of
_USUAL_TOKENS = 2_048  # of a request, prompt and answer; one may take what others leave
_F16_BYTES = 2


def of(order: Order, programs: Path, say: Say) -> Path:
    """Return the file of a variant. `programs` is the folder of llama.cpp's own. Raises
    SetupFailed.
    """
    held = _held(order, say)
    if order.variant in _AS_IS:
        return held[0]
    kind = _OURS.get(order.variant, order.variant)
    return next((file for file in held if kind_of(file) == kind), None) or _made(
        held[0], kind, programs, say
    )


def context_tokens(order: Order) -> int:
    """Return the size of the cache that all requests share: what --kv-cache-gib has room for, else
    2,048 tokens a request, and never more than all of them can use. Raises SetupFailed.
    """
    config = read_json(Path(order.path) / "config.json")
    longest = int(config.get("max_position_embeddings") or _USUAL_TOKENS)
    tokens = min(longest, _USUAL_TOKENS) * order.max_concurrency
    if order.kv_cache_bytes is not None:
        tokens = min(longest * order.max_concurrency, order.kv_cache_bytes // _token_bytes(config))
    return max(tokens, 1)


def kind_of(file: Path) -> str:
    """Return the kind that the name of a file tells, such as Q4_K_M; "" if it tells none."""
    words = file.stem.upper().replace(".", "-").split("-")
    return next((word for word in reversed(words) if word in _BEST_FIRST), "")


def _token_bytes(config: dict[str, int]) -> int:
    """Return what one token takes in the cache, keys and values, as llama.cpp keeps them. Raises
    SetupFailed.
    """
    try:
        heads = config["num_attention_heads"]
        width = config.get("head_dim") or config["hidden_size"] // heads
        rows = config.get("num_key_value_heads") or heads
        return 2 * config["num_hidden_layers"] * rows * width * _F16_BYTES
    except KeyError as missing:
        found = f"config.json does not say {missing}, so the size of a token is not known"
        todo = "Leave it out; --server-arg=--ctx-size --server-arg=TOKENS sets the cache."
        raise SetupFailed("--kv-cache-gib", found, "", todo) from None


def _held(order: Order, say: Say) -> Sequence[Path]:
    """Return the GGUF files of a model, that with the finest weights first."""
    folder = Path(order.path)
    files = sorted(folder.glob("*.gguf")) if folder.is_dir() else []
    if stored := find.stored_gguf(order.model, say):
        files = [stored]
    if not files:
        found = "llama-server loads GGUF files, and this model has none"
        todo = "Convert it with llama.cpp's convert_hf_to_gguf.py and pass the file."
        raise SetupFailed(f"--model {order.model}", found, "", todo)
    return sorted(files, key=lambda file: _BEST_FIRST.get(kind_of(file), len(KINDS)))


def _made(source: Path, kind: str, programs: Path, say: Say) -> Path:
    """Return the file of that kind, which is made once. Raises SetupFailed."""
    name = f"{source.stem}-{kind}"

    def make(target: Path) -> None:
        program = _quantizer(source, kind, programs)
        say(f"making {name}.gguf with llama-quantize (once)")
        target.mkdir()
        wanted = ["--allow-requantize", str(source), str(target / f"{name}.gguf"), kind]
        _run([program, *wanted], f"making {name}.gguf")

    return find.kept(f"{name}-{find.digest(source)[:12]}", make, say) / f"{name}.gguf"


def _quantizer(source: Path, kind: str, programs: Path) -> str:
    program = shutil.which("llama-quantize", path=programs) or shutil.which("llama-quantize")
    if program is None:
        found = f"there is no file of kind {kind}, and no llama-quantize to make it"
        fine = f"{source.name} is served as it is by --variant asis"
        raise SetupFailed("--sut llama-server", found, fine, "Put llama-quantize on the PATH.")
    return program


def _run(command: Sequence[str], doing: str) -> None:
    """Run a program of llama.cpp's to its end. Raises SetupFailed."""
    try:
        done = children.finished(
            "sut.started.keeper", json.dumps(command), "0", limit=waits.CONVERTING
        )
    except waits.Overdue as overdue:
        raise SetupFailed(doing, str(overdue), "", "Find out why, then run again.") from None
    if done.returncode:
        last = ((done.stderr or done.stdout).strip().splitlines() or ["no reason given"])[-1]
        raise SetupFailed(doing, f"llama-quantize said: {last}")
