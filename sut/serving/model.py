"""Which model is served, and for texts of which length? Loaded, tried and packed as a run does it
(`sut.local_model`); only its requests come one by one.
"""

from __future__ import annotations

from typing import Any

from harness.kernel.errors import BadInput
from harness.kernel.protocols import Clock
from sut.engine.ahead.asking import asking
from sut.engine.batching import Engine
from sut.engine.sampling.engines import AskingEngine, ThoughtSink
from sut.engine.trial import Span
from sut.likelihood.forward.output_layer import OutputLayer
from sut.local_model import LocalModel
from sut.model import faults
from sut.prompts import tokenizer
from sut.serving.messages import Info, Options
from sut.serving.prompts import PromptScorer

DEFAULT_MAX_LEN = 2048  # tokens: a row of the cache has room for as many, whether used or not
_LEAST_LEN = 2
_USUAL_PART = 4  # of the longest text is a usual prompt


class ServedModel(LocalModel):
    """Raises what loading a local model raises."""

    def __init__(self, clock: Clock, options: Options) -> None:
        super().__init__(
            clock,
            path=options.path,
            variant=options.variant,
            max_batch=options.max_batch,
            device=options.device,
            device_map=options.device_map,
            adapter=options.adapter,
            merge_adapter=options.merge_adapter,
            tf32=options.tf32,
            kv_cache_bytes=options.kv_cache_bytes,
            prefill_tokens=options.prefill_tokens,
            trust_remote_code=options.trust_remote_code,
            notes=options.notes,
        )
        self._check_variant()
        self._load_tokenizer()
        tokenizer.check_end(self._tokenizer, self._path, self._config)
        adapter = self._adapter_facts.get("path")
        self._notes += tokenizer.unused_templates(self._tokenizer, self._path, adapter)
        self.max_len = _length(options.max_len, self._context)
        self._load_model([Span.of(1, self.max_len - 1)])
        self._ends = self._eos_ids
        self._note_defaults()
        self._phases.begin("serving")
        self._runner = self._make_runner(self.max_len, self.max_len // _USUAL_PART)
        with faults.loading(options.path):
            self._make_cache()
        self._capture_steps()
        self._find_stepping()

    def _make_cache(self) -> None:
        """Take a first step, which makes the cache and all else that waits for it."""
        self._runner.prefill(0, [[0]], 0)
        self._runner.decode([0], [1])

    def engine(self, sink: ThoughtSink) -> AskingEngine:
        """Return an engine that nobody has asked anything."""
        engine: type[Engine] = self._stepped.engine
        return asking(engine)(self._stepped.runner, sink, self._eos_ids, self._fed.most)

    def scorer(self) -> PromptScorer:
        return PromptScorer(self._model, OutputLayer(self._model), self.max_len)

    @property
    def eos_ids(self) -> frozenset[int]:
        return self._eos_ids

    @property
    def cache_tokens(self) -> int:
        """How many tokens the cache has room for; 0 where the model keeps its own state."""
        return self._runner.max_rows * self.max_len if self._runner.cache_bytes else 0

    def info(self) -> Info:
        facts = self.facts()
        return Info(
            model=self._path,
            variant=self._variant,
            context=self._context,
            max_len=self.max_len,
            max_rows=self._runner.max_rows,
            vocabulary=self._embedding_rows or len(self._tokenizer),
            eos_ids=sorted(self._eos_ids),
            chat_template=_template(self._tokenizer),
            cache_bytes=self._runner.cache_bytes,
            dtype=facts["dtype"],
            device=facts["device"],
            batching=facts["batching"],
            facts=facts,
            notes=facts["notes"],
        )


def _length(asked: int | None, context: int | None) -> int:
    """Return how long a text may be; never longer than the model's context. Raises BadInput."""
    if asked is not None and asked < _LEAST_LEN:
        found = f"the longest text shall have {asked} tokens"
        raise BadInput("serving a model", found, "a prompt and its answer have 2 at least")
    return min(asked or DEFAULT_MAX_LEN, context or asked or DEFAULT_MAX_LEN)


def _template(of: Any) -> str | None:
    """Return the chat template; of several that have names, the default one."""
    template = of.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    return template if isinstance(template, str) else None
