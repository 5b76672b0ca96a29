"""A causal language model on this machine as a SUT: tokenise (untimed), batch in flight, decode
greedily, stream per step.

The engine's steps run as timers on the clock, so one class works in a child process
(`sut.border.isolated`, the normal way) and in the driver's own (`--in-process`, for debugging: each
step then blocks the driver, and the lag rule will say so).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from harness.kernel.errors import BadInput
from harness.kernel.protocols import Clock, Sink
from harness.kernel.types import MemoryUse, Query, Sample, SutFacts
from sut.engine.graphs import facts as graphs
from sut.engine.sampling.drawing import Drawing
from sut.engine.trial import Span
from sut.limit.check import SelfCheck
from sut.model import digest, faults, findings, gpus, loading, peak, room
from sut.model.weights import disk_bytes, weigh
from sut.precision import lora, machine, tf32
from sut.precision.table import TABLE as PRECISIONS
from sut.prompts import as_file, generation, tokenizer
from sut.prompts.encode import NONE, Room, encode
from sut.prompts.vocabulary import check_ids, embedding_rows, rows_of
from sut.stopping import stops_of


def automatic_device() -> str:
    """Return what `auto` stands for on this machine."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


class LocalModel:
    """`path` is a folder or hub id, `variant` a row of `sut.precision.table`; prompts go through
    the chat template, if any.

    `adapter` (a folder of peft) goes with the lora variants; by `device_map` accelerate places what
    one device cannot hold. `max_batch` and `prefill_tokens` are found for the device where they
    are None.

    Raises SetupFailed for a prompt that does not fit the context (or cuts it at the front if
    `truncate`) and for a model that cannot be loaded, BadInput for settings that do not go
    together.
    """

    name = "local"

    def __init__(
        self,
        clock: Clock,
        *,
        path: str,
        variant: str = "fp32",
        max_batch: int | None = 32,
        device: str = "auto",
        truncate: bool = False,
        trust_remote_code: bool = False,
        notes: Sequence[str] = (),
        adapter: str | None = None,
        merge_adapter: bool = False,
        tf32: bool = False,
        device_map: str | None = None,
        kv_cache_bytes: int | None = None,
        prefill_tokens: int | None = None,
    ) -> None:
        self._clock = clock
        self._path, self._variant, self._device = path, variant, device
        self._max_batch, self._truncate = max_batch, truncate
        self._options = {"trust_remote_code": trust_remote_code}
        self._notes = list(notes)
        self._adapter, self._merge_adapter, self._device_map = adapter, merge_adapter, device_map
        self._wants_tf32, self._tf32 = tf32, False
        self._adapter_facts: dict[str, Any] = {}
        self._kv_cache_bytes, self._asked_prefill_tokens = kv_cache_bytes, prefill_tokens
        self._samples: list[Sample] = []
        self._encoded = NONE
        self._asking = Drawing((), (), {})
        self._tokenizer: Any = None
        self._model: Any = None
        self._runner: Any = None
        self._stepped: Any = None  # how the runner is stepped
        self._engine: Any = None
        self._watch: Any = None
        self._prepared: Any = None
        self._comparison: Any = None  # of choices
        self._stepping = False
        self._self_check = SelfCheck(clock)
        self._phases = peak.Phases()

    # ---- the SUT

    def load(self, samples: Sequence[Sample], sink: Sink) -> None:
        """Tokenise and check the prompts first, then load the weights: a prompt that does not fit
        costs no waiting.
        """
        if self._tokenizer is None:
            self._check_variant()
            self._load_tokenizer()
            tokenizer.check_end(self._tokenizer, self._path, self._config)
            adapter = self._adapter_facts.get("path")
            self._notes += tokenizer.unused_templates(self._tokenizer, self._path, adapter)
        if list(samples) != self._samples:
            self._samples = list(samples)
            room = Room(self._context, embedding_rows(self._config), self._truncate)
            self._encoded = encode(self._tokenizer, self._samples, room)
            prompts = [sample.prompt for sample in samples]
            self._note(as_file.note(self._tokenizer, self._path, prompts))
        spans = [Span.of(len(self._encoded.ids[s.index]), s.max_new_tokens) for s in samples]
        if self._model is None:
            self._load_model(spans)
            self._note_defaults()
        elif not self._prepared.is_tried(spans):
            self._prepared.reach(spans)
            self._find_way()
        self._check_rows()
        self._phases.begin("serving")
        needed = max((span.total for span in spans), default=1)
        if self._runner is None or self._runner.max_len < needed:
            usual_prompt = sum(span.prompt for span in spans) // max(1, len(spans))
            self._runner = self._make_runner(needed, usual_prompt)
            self._capture_steps()
            self._find_stepping()
        graphs.begin(self._runner)
        self._ends = self._eos_ids if any(not s.must_fill for s in samples) else frozenset()
        self._asking = Drawing(samples, self._ends, stops_of(samples, self._tokenizer))
        self._engine = self._asking.engine(self._stepped, sink, self._fed.most)
        self._watch = self._self_check.watch(self._engine)
        self._comparison = None
        self._stepping = False

    def _make_runner(self, max_len: int, usual_prompt: int) -> Any:
        """Return the runner of the chosen way, and find how its prompts are fed; in tokens."""
        from sut.engine.prefill import rows, sizes

        self._free_runner()
        device = self._model.device
        with faults.loading(self._path):
            made = rows.made(self._way, self._max_batch, max_len, device, self._kv_cache_bytes)
            self._note(made.note)
            asked = self._asked_prefill_tokens
            self._fed = sizes.found(asked, made.runner, usual_prompt, device, self._clock)
        return made.runner

    def _find_stepping(self) -> None:
        """Find out whether the device steps ahead of its host."""
        from sut.engine.ahead import stepping

        with faults.loading(self._path):
            self._stepped = stepping.tried(self._way.engine, self._runner, self._model)
        self._note(self._stepped.note)

    def _capture_steps(self) -> None:
        """Capture what decode steps of the run will launch, if they are captured at all."""
        if self._way.in_graphs:
            with faults.loading(self._path):
                self._runner.prepare()

    def issue(self, query: Query) -> None:
        for sample in query.samples:
            self._engine.add(self._asking.request(sample, self._encoded.ids[sample.index]))
        if not self._stepping:
            self._stepping = True
            self._step_soon()

    def _step_soon(self) -> None:
        engine, watch = self._engine, self._watch

        def step() -> None:
            if engine is not self._engine:  # of an earlier load
                return
            with faults.running("a decode step"):
                watch.step()
            self._stepping = engine.busy
            if self._stepping:
                self._step_soon()

        self._clock.call_at(self._clock.now_ns(), step)

    def _note(self, words: str | None) -> None:
        """Keep what a reader must know, once."""
        if words and words not in self._notes:
            self._notes.append(words)

    def flush(self) -> None:
        """Requests never wait for a fuller batch."""

    def close(self) -> None:
        self._model = self._runner = self._comparison = None

    def _free_runner(self) -> None:
        """Let go of the cache and of all that holds it, before the next one is made."""
        self._runner = self._stepped = self._engine = self._watch = None

    def memory(self) -> MemoryUse:
        weights = weigh(self._model)
        on_gpu = any(device.startswith("cuda") for device in weights.bytes_on)
        use = peak.memory_use(self._phases, on_gpu, weights.held_bytes, self._runner.cache_bytes)
        use = replace(use, kv_used_bytes=self._runner.used_bytes)
        return peak.with_graphs(use, self._runner.graph_bytes) if self._way.in_graphs else use

    def facts(self) -> SutFacts:
        import torch

        return {
            "model": self._path,
            "variant": self._variant,
            "parameters": self._weights.parameters,
            "trainable_parameters": self.trainable_parameters(),
            "trainable": self.trainable(),
            "repeated_parameters": self._weights.repeated_parameters,
            "adapter": self._adapter_facts,
            "disk_bytes": disk_bytes(self._path, self._adapter_facts.get("path")),
            "load_s": self._load_s,
            "weights_on": weigh(self._model).bytes_on,
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "device": str(self._model.device),
            "tf32": self._tf32,
            "gpus": gpus.indices(weigh(self._model).bytes_on),
            "attention": self._model.config._attn_implementation,
            **self._stored,
            "context": self._context,
            "eos_ids": sorted(self._ends),
            "tokenizer_sha256": tokenizer.fingerprint(self._tokenizer),
            **self._encoded.facts,
            "generation_defaults_not_applied": self._defaults,
            "max_batch": self._runner.max_rows,
            "batching": self._way.batching,
            "prefill": self._way.prefill,
            "prefill_tokens": self._fed.most,
            "prefill_tokens_per_s": {str(n): rate for n, rate in self._fed.rates.items()},
            "packed_layers": self._prepared.packed_layers,
            "trial_s": round(self._prepared.trial_s, 3),
            "decode_step": self._way.path,
            "stepping": self._stepped.name,
            "graphs": graphs.facts_of(self._runner, self._way.attention_us),
            "cudnn_attention": loading.has_cudnn_attention(),
            "threads": torch.get_num_threads(),
            "omp": loading.openmp_settings(),
            "notes": [*self._encoded.notes, *self._notes, *graphs.notes_of(self._runner)],
        }

    def trainable_parameters(self) -> int:
        """Return those that training this variant changes, as model cards count them: of a model
        all, of a LoRA the adapter's, merged or not.
        """
        adapter: int = self._adapter_facts.get("parameters", 0)
        return adapter or self._weights.parameters

    def trainable(self) -> str:
        """Say whose parameters these are: all of the model, or the adapter's."""
        return "the adapter's" if self._adapter_facts else "all of the model"

    def self_check(self) -> dict[str, Any]:
        """See `harness.kernel.protocols.SelfChecked`: the steps since the last load."""
        found = self._self_check.found(self._model, self._way.token_bytes)
        return found | {"captured_in_run": graphs.captured_since(self._runner)}

    def drawn(self) -> list[tuple[int, float, int]]:
        """See `harness.kernel.protocols.Drawer`."""
        return self._asking.drawn()

    def decode(self, outputs: Sequence[Sequence[int]]) -> list[str] | None:
        texts: list[str] = self._tokenizer.batch_decode(outputs, skip_special_tokens=True)
        return texts

    def evaluate(self, answers: Sequence[tuple[int, str]]) -> dict[str, Any]:
        """See `harness.kernel.protocols.Evaluator`. An answer that reaches beyond the context is
        left out.
        """
        from sut.likelihood.answers import evaluated

        self._phases.begin("evaluation")
        start_ns = self._clock.now_ns()
        with faults.running("the evaluation"):
            sums = evaluated(self._as_loaded(), answers)
        return sums | {"seconds": (self._clock.now_ns() - start_ns) / 1e9}

    def choose(self, asked: Sequence[tuple[int, Sequence[str]]]) -> list[Any]:
        """See `harness.kernel.protocols.Chooser`."""
        from sut.likelihood.choices import Comparison

        self._phases.begin("evaluation")
        with faults.running("comparing choices"):
            self._comparison = self._comparison or Comparison(self._as_loaded())
            return self._comparison.rows(asked)

    def _as_loaded(self) -> Any:
        from sut.likelihood.answers import Loaded

        room = Room(self._context, self._embedding_rows, self._truncate)
        ids, ends = self._encoded.ids, self._eos_ids
        return Loaded(self._model, self._tokenizer, self._samples, ids, room, ends)

    # ---- loading

    def _check_variant(self) -> None:
        """Say what this machine, this model or this adapter cannot do before anything is
        loaded.
        """
        loading.quiet_libraries()
        row = PRECISIONS[self._variant]
        if not row.adapter and (self._adapter or self._merge_adapter):
            with_one = ", ".join(name for name, entry in PRECISIONS.items() if entry.adapter)
            found = f"variant {self._variant} takes none"
            raise BadInput("--adapter", found, f"with one: {with_one}", "Choose one of these.")
        if self._device == "auto":
            self._device = automatic_device()
            self._note(machine.gpu_not_used())
        row.check(self._device, self._device_map)
        self._tf32, note = tf32.choose(self._device, self._wants_tf32)
        self._note(note)
        if row.adapter:
            adapter = lora.find(self._path, self._adapter)
            with faults.loading(self._path):
                self._adapter_facts = lora.check(self._path, adapter, **self._options)
            self._adapter_facts["merged"] = self._merge_adapter

    def _load_tokenizer(self) -> None:
        from transformers import AutoConfig

        from sut.prompts.context import context_of

        with faults.loading(self._path):
            self._config = AutoConfig.from_pretrained(self._path, **self._options)
        self._tokenizer = tokenizer.load(self._path, **self._options)
        with faults.loading(self._path):
            self._context = context_of(self._config, self._tokenizer)

    def _load_model(self, spans: Sequence[Span]) -> None:
        row = PRECISIONS[self._variant]
        extra = (
            {"adapter": self._adapter_facts["path"], "merge_adapter": self._merge_adapter}
            if row.adapter
            else {}
        )
        self._self_check.measure(self._device, disk_bytes(self._path))
        self._phases.begin("loading")
        start_ns = self._clock.now_ns()
        with faults.loading(self._path):
            if self._device_map is None:
                longest = max((span.total for span in spans), default=1)
                room.check(self._path, self._variant, self._config, longest, self._device)
            model = row.load(
                self._path,
                device=self._device,
                device_map=self._device_map,
                **extra,
                **self._options,
            )
        self._model = model.eval().requires_grad_(False)
        self._load_s = round((self._clock.now_ns() - start_ns) / 1e9, 3)
        self._weights, told = weigh(model), findings.of(model)
        self._notes.extend(told.notes)
        self._stored = told.facts
        if "tensors_digest" not in self._stored:
            self._stored["tensors_digest"] = digest.of_tensors(model)
        self._embedding_rows = rows_of(model) or embedding_rows(self._config)
        if repeated := self._weights.repeated_parameters:
            note = f"its output head repeats its embedding matrix ({repeated:,} values, held twice)"
            self._notes.append(f"{note}: its parameters count them once")
        with faults.loading(self._path):
            self._prepare(model, spans)

    def _note_defaults(self) -> None:
        """Name what the model's generation config asks for and greedy answers do not do."""
        self._defaults = generation.not_applied(self._model.generation_config)
        self._notes += generation.notes(self._defaults)

    def _check_rows(self) -> None:
        """Hold the prompts against the embedding itself, whatever its configuration says."""
        for index, ids in self._encoded.ids.items():
            check_ids(f"sample {index}", ids, self._embedding_rows, self._tokenizer)

    def _prepare(self, model: Any, spans: Sequence[Span]) -> None:
        """Pack its layers, and find the way of serving it that keeps its answers its own."""
        from sut.engine.prepared import Prepared

        self._eos_ids = tokenizer.eos_ids(self._tokenizer, model.generation_config, model.config)
        is_tied = model.config.get_text_config().tie_word_embeddings and not loading.has_own_head(
            model
        )
        self._prepared = Prepared(self._clock, model, spans, self._notes)
        self._find_way()
        if is_tied and hasattr(model.get_output_embeddings(), "packed"):
            self._notes.append(
                "the vocabulary matrix is in memory twice: plain for look-ups, packed for products"
            )

    def _find_way(self) -> None:
        self._free_runner()
        pad_id = min(self._eos_ids, default=0)
        if self._embedding_rows is not None and pad_id >= self._embedding_rows:
            pad_id = 0
        self._way = self._prepared.for_serving(pad_id, self._max_batch)
