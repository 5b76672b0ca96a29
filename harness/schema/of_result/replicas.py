"""What result.json tells of copies of a model that ran side by side (--replicas)."""

from __future__ import annotations

from harness.schema.parts import many, maybe, number, record, text, whole

REPLICAS = record(
    "Copies that ran side by side (--replicas); missing where there was one. Lists have an entry "
    "for each copy.",
    {
        "count": whole("How many."),
        "places": many("The part of the machine that each had.", text("GPUs or processors.")),
        "samples": many("What each was given in the timed part.", whole("Number.", "samples")),
        "tokens": many("What each answered.", whole("Number.", "tokens")),
        "balance": maybe(number("The fewest of these tokens over the most; null without any.")),
        "memory": many(
            "What each held; null for one that was gone by then.",
            maybe(record("A copy.", {
                "weights_bytes": maybe(whole("Its weights.", "B")),
                "kv_cache_bytes": maybe(whole("Its key-value cache.", "B")),
                "rss_peak_bytes": maybe(whole("Peak resident set of its process.", "B")),
                "gpu_peak_bytes": maybe(whole("Peak of torch's allocator.", "B")),
            })),
        ),
    },
    optional=("samples", "tokens", "balance", "memory"),  # of a run that was cut short
)  # fmt: skip
