"""Model folders: weights, configurations, tokenizers and chat templates, and GGUF files.

What a library raises while a model is loaded becomes a sentence in the process of the SUT; what is
no Exception (a panic in Rust, a crash) does not, nor does what takes all memory or never ends.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from harness.kernel.errors import SetupFailed
from harness.kernel.types import Sample
from tests.fuzz.inputs import ODD_BYTES, ODD_NUMBERS, ODD_TEXTS, bent, raw, rotten, torn

Send = Callable[[Random], None]
_STORE = tempfile.TemporaryDirectory(prefix="fuzz-models-")
_LOADED = 0.05  # of the inputs are loaded as a whole: the others are read as before a load
_TEMPLATES = (
    "{% for m in messages %}<s>{{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>{% endif %}",
    "{{ bos_token }}{% for m in messages %}{{ '[INST] ' + m.content + ' [/INST]' }}{% endfor %}",
    "{% set ns = namespace(x=0) %}{% for m in messages %}{% if m.role == 'user' %}"
    "{{ m.content | trim }}{% else %}{{ raise_exception('no') }}{% endif %}{% endfor %}",
    "{% macro turn(m) %}{{ m.role }}: {{ m.content }}\n{% endmacro %}"
    "{% for m in messages %}{{ turn(m) }}{% endfor %}{{ strftime_now('%d %b %Y') }}",
)
_PIECES = (
    "{{ messages }}", "{{ 1/0 }}", "{{ ''.__class__ }}", "{% include 'x' %}", "{% raw %}", "{{",
    "{% for i in range(9) %}x{% endfor %}", "{{ x.y.z }}", "{{ messages[7].content }}", "{%- -%}",
    "{{ [1] * 9 }}", "{{ 'x' * 99 }}", "{% if %}", "{{ messages | tojson }}", "{# ", "{% break %}",
    "{{ '%s' % messages }}", "{{ m.content | nothing }}", "{{ lipsum() }}", "{{ self }}",
    "{{ cycler.__init__.__globals__ }}", "{{ messages.append(1) }}", "{% endfor %}", "\x1b[2J",
)  # fmt: skip


def _as_in_the_process(fault: Exception) -> SetupFailed:
    """Return what the driver says where a library raises in the process of the SUT."""
    return SetupFailed("the SUT process", f"{type(fault).__name__}: {fault}")


# ---- weights


def safetensors(place: Path) -> Send:
    os.chdir(place)
    _model()

    def send(rng: Random) -> None:
        folder = place / "m"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(_model(), folder)
        file = folder / "model.safetensors"
        file.write_bytes(_weights(file.read_bytes(), rng))
        if rng.random() < 0.2:
            config = folder / "config.json"
            config.write_bytes(_bent_json(config.read_text(), rng))
        if rng.random() < 0.2:
            _with_index(folder, rng)
        _look_at(folder, whole=rng.random() < _LOADED)

    return send


def _look_at(folder: Path, whole: bool) -> None:
    from sut.checkpoint import stored
    from sut.model import digest, faults, loading

    with faults.loading(str(folder)):
        stored.check_shards(folder)
        files = stored.files(folder)
        stored.main_dtype(stored.tensors(files))
        digest.of_files(files)
        if whole:
            loading.loaded(str(folder), "float32", device="cpu")


def _weights(data: bytes, rng: Random) -> bytes:
    """Return a file of safetensors with another header, another length of it, or other bytes."""
    size = int.from_bytes(data[:8], "little")
    head, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    match rng.randrange(4):
        case 0:
            return rotten(data, rng)
        case 1:
            claimed = rng.choice((0, size - 1, size + 1, 2**31, 2**63, 2**64 - 1))
            return struct.pack("<Q", claimed) + data[8:]
        case 2:
            name = rng.choice(list(head))
            head[name] = bent(head[name], rng)
        case _:
            head = bent(head, rng)
    text = raw(json.dumps(head))
    return struct.pack("<Q", len(text)) + text + body


def _with_index(folder: Path, rng: Random) -> None:
    names = ("model.safetensors", "absent.safetensors", "../x", "/dev/null", rng.choice(ODD_TEXTS))
    index: Any = {"weight_map": {"a": rng.choice(names), "b": rng.choice(names)}}
    if rng.random() < 0.5:
        index = bent(index, rng)
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    (folder / "model.safetensors.index.json").write_bytes(raw(json.dumps(index)))


def _bent_json(text: str, rng: Random) -> bytes:
    if rng.random() < 0.2:
        return rotten(raw(text), rng)
    return raw(json.dumps(bent(json.loads(text), rng, rng.choice((1, 1, 2)))))


@cache
def _model() -> Path:
    """Return the folder of a tiny Llama with a tokenizer."""
    from tests import prompt_helpers

    folder = Path(_STORE.name) / "llama"
    prompt_helpers.model(folder, prompt_helpers.tokenizer(post="<s> $A"), template=_TEMPLATES[0])
    return folder


# ---- GGUF


def gguf(place: Path) -> Send:
    """Read as `sut.model.convert` does, whose process turns whatever breaks into one sentence."""
    os.chdir(place)
    _gguf()

    def send(rng: Random) -> None:
        from sut.checkpoint import gguf as reader
        from sut.model import convert, named

        file = place / "x.gguf"
        file.write_bytes(_gguf_bytes(_gguf().read_bytes(), rng))
        named.check(str(file), ())
        try:
            if rng.random() < _LOADED:
                convert.convert(file, place / "converted")
            else:
                reader.read(str(file))
        except Exception as fault:
            raise _as_in_the_process(fault) from fault
        finally:
            shutil.rmtree(place / "converted", ignore_errors=True)

    return send


def _gguf_bytes(data: bytes, rng: Random) -> bytes:
    """Return a file whose header was changed, which counts tensors and keys and gives lengths."""
    made = bytearray(rotten(data[:3000], rng) + data[3000:] if rng.random() < 0.5 else data)
    for _ in range(rng.choice((0, 1, 1, 3))):
        at = 8 * rng.randrange(min(len(made), 3000) // 8)
        value = rng.choice([n for n in ODD_NUMBERS if type(n) is int and 0 <= n < 2**64])
        made[at : at + 8] = struct.pack("<Q", value)
    if rng.random() < 0.1:
        made[:4] = rng.choice(ODD_BYTES)[:4]
    return bytes(made)


@cache
def _gguf() -> Path:
    from tests.gguf_helpers import tied_qwen, write_gguf

    return write_gguf(tied_qwen(), Path(_STORE.name) / "qwen.gguf", None)


# ---- tokenizers and templates


def tokenizers(place: Path) -> Send:
    os.chdir(place)
    _model()
    names = ("tokenizer.json", "tokenizer_config.json", "config.json", "generation_config.json")

    def send(rng: Random) -> None:
        folder = place / "m"
        shutil.rmtree(folder, ignore_errors=True)
        ignored = shutil.ignore_patterns("*.safetensors")
        shutil.copytree(_model(), folder, ignore=ignored)
        for name in sorted(set(rng.choices(names, (3, 1, 1, 1), k=rng.choice((1, 1, 2))))):
            file = folder / name
            if rng.random() < 0.03:
                file.unlink(missing_ok=True)
            elif file.is_file():
                file.write_bytes(_bent_json(file.read_text(), rng))
        _encode(folder, rng)

    return send


def templates(place: Path) -> Send:
    os.chdir(place)
    _tokenizer()

    def send(rng: Random) -> None:
        _tokenizer().chat_template = _template(rng)
        _prompts(_tokenizer(), rng)

    return send


def _template(rng: Random) -> Any:
    text = rng.choice(_TEMPLATES)
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(_PIECES) + text[at:]
    if rng.random() < 0.4:
        text = torn(text, rng)
    return {"default": text, "tool": ""} if rng.random() < 0.02 else text


def _encode(folder: Path, rng: Random) -> None:
    """Load the tokenizer and encode prompts, as a run does before it loads the model."""
    from transformers import AutoConfig

    from sut.model import faults
    from sut.prompts import tokenizer
    from sut.prompts.context import context_of

    path = str(folder)
    with faults.loading(path):
        config = AutoConfig.from_pretrained(path)
    loaded = tokenizer.load(path)
    with faults.loading(path):
        context_of(config, loaded)
    try:
        tokenizer.check_end(loaded, path, config)
        tokenizer.fingerprint(loaded)
        list(tokenizer.unused_templates(loaded, path))
        _prompts(loaded, rng)
    except SetupFailed:
        raise
    except Exception as fault:
        raise _as_in_the_process(fault) from fault


def _prompts(loaded: Any, rng: Random) -> None:
    from sut.prompts.encode import Room, encode

    texts = [text for text in ODD_TEXTS if text.isprintable() and text]
    prompts = ["why is the sky blue?", rng.choice(texts)]
    samples = [Sample(i, prompt, max_new_tokens=4) for i, prompt in enumerate(prompts)]
    encode(loaded, samples, Room(256, 320, truncate=True))


@cache
def _tokenizer() -> Any:
    from sut.prompts import tokenizer

    return tokenizer.load(str(_model()))
