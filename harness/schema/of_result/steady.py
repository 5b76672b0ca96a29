"""What does result.json say of the steady state?"""

from __future__ import annotations

from harness.schema.parts import choice, flag, maybe, number, record, same_as, whole

STEADY = record(
    "The run without its warm-up; it never changes the verdict. Missing in accuracy mode, offline, "
    "and in runs of fewer than 40 completed samples.",
    {
        "figure": choice("What it was found by, sample after sample as due.", "ttft", "latency"),
        "samples": whole("Samples that have this figure.", "samples"),
        "is_found": flag("False: it still changes after half of the run."),
        "is_warm_up_clear": flag(
            "Whether what is left out differs from the rest, beyond chance (p_value < 0.0003)."
        ),
        "p_value": maybe(number("Of equal levels before and after; null: nothing is left out.")),
        "from_ns": whole("When the steady part begins, by MSER-5.", "ns"),
        "kept_percent": number("Share of the samples that are in it.", "%"),
        "change": maybe(record("A change of level within it (p_value < 0.01); null: none seen.", {
            "at_ns": whole("When.", "ns"),
            "before_ms": number("Median before it.", "ms"),
            "after_ms": number("Median from then on.", "ms"),
            "p_value": number("Of one level throughout, by Pettitt's test."),
        })),
        "latency": record("Times over the completed samples that were due in the steady part.", {
            "ttft_ms": same_as("summary_ms", "Time to first token, from the due time."),
            "tpot_ms": same_as("summary_ms", "Time per output token, as MLPerf defines it."),
            "latency_ms": same_as("summary_ms", "Time to the last token, from the due time."),
        }),
        "throughput": record("Rates of what was completed in it; null if undefined.", {
            "samples_per_s": maybe(number("Completed samples.", "samples/s")),
            "tokens_per_s": maybe(number("Output tokens of completed samples.", "tokens/s")),
        }),
    },
)  # fmt: skip
