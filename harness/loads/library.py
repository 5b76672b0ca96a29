"""Which samples does a run draw from once its load and its lengths have had their say?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from harness import registry
from harness.kernel.errors import BadInput
from harness.kernel.types import Sample
from harness.loads.conversations import read_conversations
from harness.loads.prompts import Words, check_size, with_lengths
from harness.loads.traces import found, read_trace
from harness.options.names import parse_seeds
from scenarios.loads import load_of
from scenarios.loads.conversations import ConversationLoad
from scenarios.loads.gamma import random_state
from scenarios.loads.lengths import lengths_of
from scenarios.loads.trace import Trace, TraceLoad

if TYPE_CHECKING:
    from harness.options.settings import RunConfig

_OUTPUT_SEED = 1  # beside the sample-index seed: lengths of answers are independent of prompts'


class Shaped(NamedTuple):
    """The samples, where they are from, and what the scenario needs of the load's file (None: it
    has none).
    """

    samples: list[Sample]
    source: dict[str, Any]
    rows: Any = None

    @property
    def qps(self) -> float | None:
        """The rate that the load's file asks for."""
        return self.rows.qps if isinstance(self.rows, Trace) else None


def shaped(config: RunConfig, samples: Sequence[Sample], source: dict[str, Any]) -> Shaped:
    """Apply the load's file and the lengths to the samples of the dataset. Raises BadInput."""
    load = load_of(config.load)
    if isinstance(load, ConversationLoad):
        return _conversations(config, load, source)
    if isinstance(load, TraceLoad):
        return _trace(config, load, samples, source)
    return Shaped(_lengths(config, list(samples)), source)


def _conversations(config: RunConfig, load: ConversationLoad, source: dict[str, Any]) -> Shaped:
    talks, samples, facts = read_conversations(
        load.file, config.tokens_per_answer, config.num_samples
    )
    return Shaped(samples, _noted(source, load.file, facts, len(samples)), talks)


def _trace(
    config: RunConfig, load: TraceLoad, samples: Sequence[Sample], source: dict[str, Any]
) -> Shaped:
    whole, facts = read_trace(load.file)
    trace = load.replayed(whole)
    doing = f"--load {config.load}"
    if not len(trace.due_ns):
        last_s = float(whole.due_ns[-1]) / 1e9
        fine = f"the trace lasts {last_s:,.0f} s, counted from its first request"
        raise BadInput(doing, "no request falls into the window", fine, "Choose another window.")
    plain = [
        Sample(i, f"request {i}", max_new_tokens=int(tokens), must_fill=True)
        for i, tokens in enumerate(trace.output_tokens)
    ]
    asks = registry.sut_entry(config.sut).uses_dataset
    made = _with_prompts(plain, trace, samples, config, doing) if asks else plain
    if trace.blocks:  # their beginnings are shared on purpose: one salt for all of them
        made = [replace(sample, group=0) for sample in made]
    return Shaped(made, _noted(source, load.file, facts, len(made)), trace)


def _with_prompts(
    plain: Sequence[Sample],
    trace: Trace,
    samples: Sequence[Sample],
    config: RunConfig,
    doing: str,
) -> list[Sample]:
    check_size(int(trace.input_tokens.sum()), doing)
    words, places = Words(samples), _places(config, len(plain))
    found = list[Sample]()
    for i, sample in enumerate(plain):
        tokens, blocks = int(trace.input_tokens[i]), trace.blocks[i] if trace.blocks else ()
        made = with_lengths(sample, words, places[i], tokens, blocks, trace.block_tokens)
        found.append(made)
    return found


def _lengths(config: RunConfig, samples: list[Sample]) -> list[Sample]:
    """Give prompts and answers the lengths that were asked for."""
    seed = parse_seeds(config.seeds).sample_index
    if config.input_tokens is not None and registry.sut_entry(config.sut).uses_dataset:
        tokens = lengths_of(config.input_tokens).draw(len(samples), seed)
        check_size(int(tokens.sum()), f"--input-tokens {config.input_tokens}")
        words, places = Words(samples), _places(config, len(samples))
        samples = [
            replace(with_lengths(one, words, place, int(n), (), 0), reference=None, prompt_ids=None)
            for one, place, n in zip(samples, places, tokens, strict=True)
        ]
    if config.output_tokens is not None:
        tokens = lengths_of(config.output_tokens).draw(len(samples), seed ^ _OUTPUT_SEED)
        samples = [
            replace(one, max_new_tokens=int(n), must_fill=True)
            for one, n in zip(samples, tokens, strict=True)
        ]
    return samples


def _places(config: RunConfig, n: int) -> list[int]:
    seed = parse_seeds(config.seeds).qsl
    found: list[int] = random_state(seed).randint(1 << 31, size=n).tolist()
    return found


def _noted(source: dict[str, Any], file: str, facts: dict[str, Any], rows: int) -> dict[str, Any]:
    from accuracy.datasets.files import sha256

    return source | {"load": facts | {"sha256": sha256(found(file, "load")), "samples": rows}}


def longest(samples: Sequence[Sample], usual: int) -> int:
    """Return the most tokens that an answer may have."""
    return max((sample.max_new_tokens for sample in samples), default=usual)
