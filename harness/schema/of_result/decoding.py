"""How are decode steps computed, and what do captured ones take?"""

from __future__ import annotations

from harness.schema.parts import Schema, choice, flag, maybe, number, record, text, whole

GRAPH_BYTES = maybe(whole("Captured graphs: their pool, and the logits they write.", "B"))
_GRAPHS = record(
    "Decode steps that were captured as graphs; null: none.",
    {
        "captured_at_load": whole("Graphs captured at load."),
        "captured_later": whole("Graphs captured at their first step, in the warm-up."),
        "seconds": number("Time that capturing took, all together.", "s"),
        "bytes": whole("Their pool of memory, and the logits they write.", "B"),
    },
)

OF_DECODING: dict[str, Schema] = {
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
