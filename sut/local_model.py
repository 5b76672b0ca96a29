"""A causal language model on this machine as a SUT: tokenise (untimed), batch in flight, decode greedily, stream per step.

The engine's steps run as timers on the clock, so one class works in a child process (`sut.isolated`, the normal way) and in
the driver's own (`--in-process`, for debugging: each step then blocks the driver, and the lag rule will say so).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from harness.errors import BadInput, SetupFailed
from harness.protocols import Clock, Sink
from harness.types import MemoryUse, Query, Sample, SutFacts
from sut import faults, lora, peak
from sut.engine import Engine, Request
from sut.precision import TABLE as PRECISIONS
from sut.weights import disk_bytes, weigh


class LocalModel:
    """`path` is a folder or hub id, `variant` a row of `sut.precision`; prompts go through the chat template, if any.

    `adapter` (a folder of peft) goes with the lora variants, `device_map` lets accelerate place what does not fit one device.

    Raises BadInput for a prompt that does not fit the context (or cuts it at the front if `truncate`), SetupFailed if the
    model cannot be loaded.
    """

    name = "local"

    def __init__(
        self,
        clock: Clock,
        *,
        path: str,
        variant: str = "fp32",
        max_batch: int = 32,
        device: str = "auto",
        truncate: bool = False,
        trust_remote_code: bool = False,
        notes: Sequence[str] = (),
        adapter: str | None = None,
        merge_adapter: bool = False,
        device_map: str | None = None,
    ) -> None:
        self._clock = clock
        self._path, self._variant, self._device = path, variant, device
        self._max_batch, self._truncate = max_batch, truncate
        self._options = {"trust_remote_code": trust_remote_code}
        self._notes = list(notes)
        self._adapter, self._merge_adapter, self._device_map = adapter, merge_adapter, device_map
        self._adapter_facts: dict[str, Any] = {}
        self._samples: list[Sample] = []
        self._prompts: dict[int, list[int]] = {}
        self._tokenizer: Any = None
        self._model: Any = None
        self._runner: Any = None
        self._truncated: list[int] = []
        self._stepping = False

    # ---- the SUT

    def load(self, samples: Sequence[Sample], sink: Sink) -> None:
        """Tokenise and check the prompts first, then load the weights: a prompt that does not fit costs no waiting."""
        if self._tokenizer is None:
            self._check_variant()
            self._load_tokenizer()
        if list(samples) != self._samples:
            self._samples = list(samples)
            self._encode()
        if self._model is None:
            self._load_model()
        needed = max((len(self._prompts[s.index]) + s.max_new_tokens for s in samples), default=1)
        if self._runner is None or self._runner.cache.max_len < needed:
            from sut.slots import SlotRunner

            self._runner = SlotRunner(self._model, self._max_batch, needed)
        self._limits = {s.index: s.max_new_tokens for s in samples}
        self._engine = Engine(self._runner, sink, self._eos_ids)
        self._stepping = False

    def issue(self, query: Query) -> None:
        for sample in query.samples:
            self._engine.add(Request(sample.id, self._prompts[sample.index], self._limits[sample.index]))
        if not self._stepping:
            self._stepping = True
            self._step_soon()

    def _step_soon(self) -> None:
        engine = self._engine

        def step() -> None:
            if engine is not self._engine:  # of an earlier load
                return
            engine.step()
            self._stepping = engine.busy
            if self._stepping:
                self._step_soon()

        self._clock.call_at(self._clock.now_ns(), step)

    def flush(self) -> None:
        """Requests never wait for a fuller batch."""

    def close(self) -> None:
        self._model = self._runner = None

    def memory(self) -> MemoryUse:
        on_gpu = any(device.startswith("cuda") for device in self._weights.bytes_on)
        return peak.memory_use(self._baseline_bytes, on_gpu, self._weights.held_bytes, self._runner.cache.num_bytes)

    def facts(self) -> SutFacts:
        import torch

        return {
            "model": self._path,
            "variant": self._variant,
            "parameters": self._weights.parameters,
            "trainable_parameters": self._weights.adapter_parameters,
            "adapter": self._adapter_facts,
            "disk_bytes": disk_bytes(self._path, self._adapter_facts.get("path")),
            "load_s": self._load_s,
            "weights_on": self._weights.bytes_on,
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "device": str(self._model.device),
            "attention": self._model.config._attn_implementation,
            "context": self._context,
            "eos_ids": sorted(self._eos_ids),
            "chat_template": self._tokenizer.chat_template is not None,
            "max_batch": self._max_batch,
            "threads": torch.get_num_threads(),
            "omp": {k: v for k, v in os.environ.items() if k.startswith(("OMP_", "GOMP_", "KMP_", "MKL_"))},
            "truncated_samples": self._truncated,
            "notes": self._notes,
        }

    def decode(self, outputs: Sequence[Sequence[int]]) -> list[str] | None:
        texts: list[str] = self._tokenizer.batch_decode(outputs, skip_special_tokens=True)
        return texts

    # ---- loading

    def _check_variant(self) -> None:
        """What this machine, this model or this adapter cannot do is said before anything is loaded."""
        import torch

        _quiet_libraries()
        row = PRECISIONS[self._variant]
        if not row.adapter and (self._adapter or self._merge_adapter):
            with_one = ", ".join(name for name, entry in PRECISIONS.items() if entry.adapter)
            raise BadInput("--adapter", f"variant {self._variant} takes none", f"with one: {with_one}", "Choose one of these.")
        self._device = self._device if self._device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        row.check(self._device, self._device_map)
        if row.adapter:
            adapter = lora.find(self._path, self._adapter)
            with faults.loading(self._path):
                self._adapter_facts = lora.check(self._path, adapter, **self._options)
            self._adapter_facts["merged"] = self._merge_adapter

    def _load_tokenizer(self) -> None:
        from transformers import AutoConfig, AutoTokenizer

        with faults.loading(self._path):
            self._config = AutoConfig.from_pretrained(self._path, **self._options)
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(self._path, **self._options)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            fine = "tokenizer.json, or what the model's own tokenizer class reads"
            raise SetupFailed(f"loading the tokenizer of {self._path!r}", faults.first_line(error), fine) from error
        if self._tokenizer.eos_token_id is None:
            doing, fine = f"the tokenizer of {self._path!r}", "an answer would never end"
            raise SetupFailed(doing, "it has no EOS token", fine, "Name its eos_token in tokenizer_config.json.")
        text = self._config.get_text_config()
        window = getattr(text, "sliding_window", None) if getattr(text, "use_sliding_window", True) else None
        context = getattr(text, "max_position_embeddings", None) or getattr(text, "n_positions", None) or 2048
        self._context = min(context, window or context)

    def _encode(self) -> None:
        """Prompt ids of every sample; refuse (or cut) those that leave no room for the answer."""
        self._prompts, self._truncated = {}, []
        for sample in self._samples:
            ids, room = self._prompt_ids(sample.prompt), self._context - sample.max_new_tokens
            if len(ids) > room:
                if not self._truncate or room < 1:
                    raise BadInput(
                        f"sample {sample.index}",
                        f"its prompt has {len(ids)} tokens and the answer may take {sample.max_new_tokens}",
                        f"the model's context is {self._context} tokens",
                        "Shorten the prompt, lower --max-new-tokens, or pass --truncate.",
                    )
                ids = ids[-room:]
                self._truncated.append(sample.index)
            self._prompts[sample.index] = ids

    def _prompt_ids(self, prompt: str) -> list[int]:
        if self._tokenizer.chat_template is None:
            ids: list[int] = self._tokenizer(prompt)["input_ids"] or [self._tokenizer.bos_token_id or 0]
            return ids
        turns = [{"role": "user", "content": prompt}]
        text = self._tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _load_model(self) -> None:
        row = PRECISIONS[self._variant]
        extra = {"adapter": self._adapter_facts["path"], "merge_adapter": self._merge_adapter} if row.adapter else {}
        self._baseline_bytes, start_ns = peak.reset(), self._clock.now_ns()
        with faults.loading(self._path):
            model = row.load(self._path, device=self._device, device_map=self._device_map, **extra, **self._options)
        self._model = model.eval().requires_grad_(False)
        self._load_s = round((self._clock.now_ns() - start_ns) / 1e9, 3)
        self._weights = weigh(model)
        self._eos_ids = _eos_ids(self._tokenizer, model)


def _eos_ids(tokenizer: Any, model: Any) -> frozenset[int]:
    """The model's own ids: its generation config may name several; the tokenizer's is one of them."""
    found: set[int] = set()
    for value in (model.generation_config.eos_token_id, model.config.eos_token_id, tokenizer.eos_token_id):
        found.update(value if isinstance(value, list) else [] if value is None else [value])
    return frozenset(found)


def _quiet_libraries() -> None:
    """Progress bars and notices of the libraries belong into no log."""
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
