"""What compare.json holds: runs side by side, and who stands out."""

from __future__ import annotations

from harness.schema.of_compare import best
from harness.schema.of_compare.effects import EFFECTS, LIMITS
from harness.schema.of_result.self_check import OF_ROW
from harness.schema.of_task.task import ATTEMPTS
from harness.schema.parts import (
    anything,
    by_name,
    choice,
    file,
    flag,
    many,
    maybe,
    number,
    record,
    same_as,
    text,
    whole,
)
from harness.schema.shared import ENDED, ESTIMATE, LABEL, RUN

_RATIO = "as a share of the reference's"
_KEEPS = (
    "Whether at least {} % of the reference's ROUGE-1, -2 and -L is kept, and 90 to 110 % of its "
    "length, by the gate's own rule; null for the reference and where it was not judged."
)
_LATENCIES = {
    "ttft": "Time to first token", "tpot": "Time per output token", "latency": "Latency",
}  # fmt: skip
_WORDS = ("PASS", "FAIL", "UNDECIDED")
COMPARE_ROW = record(
    "A variant; figures that are not known are null.",
    {
        "label": LABEL,
        "model": text("Model without its owner or folder."),
        "variant": text("Precision, or the SUT where no model runs."),
        "precision": maybe(text("What the variant's name does not tell, such as gptq-int4-g128.")),
        "status": choice(
            "Verdict of its run, or why there is none.",
            "VALID", "INVALID", "INTERRUPTED", "ERROR", "FAILED", "OOM",
        ),
        "reason": text("Why, in words."),
        "run": RUN,
        "tokenizer": maybe(text("First 16 digits of a hash of the tokenizer.")),
        "prompts": maybe(record(
            "Which prompts the model got; null where the SUT does not say.",
            {name: anything("As in the facts of its run (result.json).") for name in (
                "prompts_sha256", "chat_template_sha256", "template_date", "truncated_samples")},
        )),
        "weights": maybe(record("Which weights it had; null where the SUT does not say.", {
            "model": text("Model as it was named."),
            **{name: anything("As in the facts of its run (result.json).") for name in (
                "files_digest", "tensors_digest")},
        })),
        "parameters": maybe(whole("Number of parameters.")),
        "trainable_parameters": maybe(whole(
            "Parameters that training this variant would change: all, or its adapter's."
        )),
        "disk_bytes": maybe(whole("Files that were read.", "B")),
        "weights_bytes": maybe(whole("Weights in memory.", "B")),
        "kv_cache_bytes": maybe(whole("Key-value cache.", "B")),
        "peak_bytes": maybe(whole(
            "Peak memory while loading and serving: of the GPUs, else of the whole process; the "
            "last one known where memory ran out.", "B",
        )),
        "loading_peak_bytes": maybe(whole("The same while loading.", "B")),
        "serving_peak_bytes": maybe(whole("The same during the warm-up and the run.", "B")),
        "evaluation_peak_bytes": maybe(whole(
            "The same while the reference answers were scored.", "B"
        )),
        "eval_loss": maybe(number("Loss on the reference answers.", "nats per token")),
        "perplexity": maybe(number("exp(eval_loss).")),
        "token_accuracy": maybe(number("Reference tokens predicted right.", "0 to 1")),
        "eval_samples_per_s": maybe(number("Speed of that evaluation.", "answers/s")),
        "rouge1": maybe(number("ROUGE-1 against the reference answers.", "of 100")),
        "rouge2": maybe(number("ROUGE-2, the same way.", "of 100")),
        "rougeL": maybe(number("ROUGE-L, the same way.", "of 100")),
        "tokens_per_s": maybe(number("Output tokens.", "tokens/s")),
        "samples_per_s": maybe(number("Completed samples.", "samples/s")),
        **{
            f"{what}_{percentile}_ms": maybe(number(f"{words}, {percentile}.", "ms"))
            for what, words in _LATENCIES.items()
            for percentile in ("p50", "p90", "p99")
        },
        "inference_s": maybe(number("Mean time of a sample, from when it was due.", "s")),
        "joules_per_token": maybe(number("Energy per output token.", "J/token")),
        "conditions": by_name("What must be equal for a comparison.", text("In words.")),
        "speed_ratio": maybe(number(f"tokens_per_s {_RATIO}.")),
        "weights_ratio": maybe(number(f"weights_bytes {_RATIO}.")),
        "rouge_ratio": maybe(number(
            f"The least of ROUGE-1, -2, -L {_RATIO}, over the questions that both answered where "
            "the answers are known."
        )),
        "tokens_ratio": maybe(number(f"Mean length of an answer, in tokens, {_RATIO}.")),
        "keeps_99": maybe(choice(_KEEPS.format("99"), *_WORDS)),
        "keeps_99.9": maybe(choice(_KEEPS.format("99.9"), *_WORDS)),
        "keeps_reasons": by_name("Why, by target in percent.", text("In words.")),
        "not_judged": text("Why the answers were not judged beside the reference's; else empty."),
        "edited": text("What was edited after the run was measured; missing if nothing was."),
        "seal": choice("Whether its raw files are sealed; missing if they are.", "not sealed"),
        "figures": by_name("Figures declared outside the package.", anything("Its value.")),
        "percentiles": by_name(
            "Latencies at the percentiles of --percentiles, by name: ttft_p99.9_ms.",
            maybe(number("Its value.", "ms")),
        ),
        "self_check": record(
            "Its decode steps beside the limit of the device; missing where that is not known.",
            OF_ROW,
        ),
        "attempts": ATTEMPTS,
        **best.OF_ROW,
    },
    optional=(
        "attempts",
        "figures", "percentiles", "prompts", "weights", "edited", "seal", "self_check",
        *best.OF_ROW,
    ),
)  # fmt: skip

LEAD = record("The best figure, and how the others stand to it.", {
    "label": text("Label with the best figure."),
    "tied": many("Labels that tie with it: their interval includes equality.", text("A label.")),
    "others": by_name(
        "The others beside it, by label, with 95 % intervals: ratios to it of speed and size, "
        "differences from it in loss (nats per token) and ROUGE-L (of 100).",
        same_as("estimate", "One of the others."),
    ),
    "judged": flag("Whether all of them have an interval; without one the figure alone decides."),
})  # fmt: skip

_DECIDED = "null if others tie with it or there is nothing to compare"
COMPARE = file(
    "compare.json",
    record("Runs side by side; the first is the reference.", {
        "schema": choice("Version of this layout.", "touchstone.compare/1"),
        "comparable": flag("Whether all ran under the same conditions."),
        "differences": many("Conditions that differ.", text("In words.")),
        "verdict": record("Which runs stand out.", {
            "reference": text("Label of the reference."),
            "fastest": maybe(text(f"Label of the most tokens per second; {_DECIDED}.")),
            "smallest": maybe(text(f"Label of the smallest weights; {_DECIDED}.")),
            "best": maybe(text(f"Label of the best quality; {_DECIDED}.")),
            "best_by": choice("Figure that decides it.", "eval_loss", "rougeL"),
            "unranked": choice(
                "Figure that is not ranked, since the tokenizers differ; else empty.",
                "", "eval_loss",
            ),
            "leads": record("The evidence for each; missing with fewer than two figures.", {
                name: LEAD for name in ("fastest", "smallest", "best")
            }, optional=("fastest", "smallest", "best")),
            "rouge_kept": by_name("Labels that keep this percentage (`keeps_...` is PASS).",
                                  many("Labels.", text("A label."))),
            "rouge_undecided": by_name("Labels for which that is UNDECIDED.",
                                       many("Labels.", text("A label."))),
            "rouge_lost": many("Labels that do not keep 99 % (FAIL).", text("A label.")),
            "failed": many("Labels without figures.", text("A label.")),
        }),
        "effects": EFFECTS,
        "limits": LIMITS,
        "best": best.BEST,
        "rows": many("The variants, in order.", COMPARE_ROW),
        "notes": many(
            "Runs that were edited after they were measured, runs without a seal, and runs with "
            "serious doubts; missing if there are none.", text("In words."),
        ),
        "slower": many(
            "Variants that are slower than FP32 although their weights are smaller, with the "
            "likely reasons; missing if there are none.", text("In words."),
        ),
        **ENDED,
        "price_per_hour": by_name(
            "Price of a server by name, as it was given; the empty name stands for all others; "
            "missing if there is none.", number("Price.", "USD/h"),
        ),
    }, optional=("notes", "slower", "limits", "price_per_hour")),
    {"estimate": ESTIMATE},
)  # fmt: skip
