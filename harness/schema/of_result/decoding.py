"""How are prompts and decode steps computed, and what do captured ones take?"""

from __future__ import annotations

from harness.schema.parts import Schema, by_name, choice, flag, maybe, number, record, text, whole

GRAPH_BYTES = maybe(whole("Captured graphs: their pool, and the logits they write.", "B"))
_GRAPHS = record(
    "Decode steps that were captured as graphs; null: none.",
    {
        "attention": text(
            "How a decode step's queries look at their rows: sdpa (torch's), products (two products"
            " and a softmax), by length (a kernel that ends where each row ends), or the model's"
            " own."
        ),
        "attention_us": by_name(
            "What the ways that work here took in one layer, at load: a batch of one row and one of"
            " eight, half-way to the longest text.",
            number("Time.", "us"),
        ),
        "captured_at_load": whole("Graphs captured at load."),
        "captured_later": whole("Graphs captured at their first step, in the warm-up."),
        "seconds": number("Time that capturing took, all together.", "s"),
        "bytes": whole("Their pool of memory, and the logits they write.", "B"),
    },
)

OF_DECODING: dict[str, Schema] = {
    "prefill": text(
        "How prompts of one step share a pass: padded, or packed, with the attention that is told"
        " their borders (flash) or called for each of them (by prompt)."
    ),
    "prefill_tokens": whole("Most prompt tokens fed in a step.", "tokens"),
    "prefill_tokens_per_s": by_name(
        "What was measured at load, by prompt tokens fed in a step; empty: nothing was.",
        number("Rate.", "tokens/s"),
    ),
    "decode_step": text(
        "How decode steps are computed: graph lean, graph classes, eager lean, eager classes or"
        " static batches (lean: few operations of our own; classes: the model's own). Older runs"
        " say lean, or the model's own classes."
    ),
    "stepping": choice(
        "Whether the next decode step is launched before the tokens of the last are read, as long"
        " as the device is slower than its host.",
        "ahead",
        "in turn",
    ),
    "graphs": maybe(_GRAPHS),
    "cudnn_attention": flag("Whether torch may choose the attention of cuDNN, on a GPU."),
}
