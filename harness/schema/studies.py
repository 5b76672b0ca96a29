"""What compare.json, gate.json and perplexity.json hold, field by field."""

from __future__ import annotations

from harness.schema.parts import (
    Schema,
    anything,
    by_name,
    choice,
    file,
    flag,
    many,
    maybe,
    number,
    open_record,
    record,
    same_as,
    text,
    whole,
)

_FOLDER = text("Folder of this file.")
_LABEL = text("How the row is called: its variant, with its model where these differ.")
_RUN = text("Folder of its run, from here; empty if there is none.")
_ENDED = {
    "interrupted": flag("Whether Ctrl-C ended the series."),
    "not_run": many("What was not begun.", text("A variant.")),
    "folder": _FOLDER,
}

# ---- compare.json

_RATIO = "as a share of the reference's"
COMPARE_ROW = record(
    "A variant; figures that are not known are null.",
    {
        "label": _LABEL,
        "model": text("Model without its owner or folder."),
        "variant": text("Precision, or the SUT where no model runs."),
        "status": choice(
            "Verdict of its run, or why there is none.",
            "VALID", "INVALID", "INTERRUPTED", "ERROR", "FAILED", "OOM",
        ),
        "reason": text("Why, in words."),
        "run": _RUN,
        "parameters": maybe(whole("Number of parameters.")),
        "trainable_parameters": maybe(whole("Parameters that training would change.")),
        "disk_bytes": maybe(whole("Files that were read.", "B")),
        "weights_bytes": maybe(whole("Weights in memory.", "B")),
        "kv_cache_bytes": maybe(whole("Key-value cache.", "B")),
        "peak_bytes": maybe(whole("Peak memory: of the GPU, else of the process.", "B")),
        "eval_loss": maybe(number("Loss on the reference answers.", "nats per token")),
        "perplexity": maybe(number("exp(eval_loss).")),
        "token_accuracy": maybe(number("Reference tokens predicted right.", "0 to 1")),
        "eval_samples_per_s": maybe(number("Speed of that evaluation.", "answers/s")),
        "rouge1": maybe(number("ROUGE-1 against the reference answers.", "of 100")),
        "rouge2": maybe(number("ROUGE-2, the same way.", "of 100")),
        "rougeL": maybe(number("ROUGE-L, the same way.", "of 100")),
        "tokens_per_s": maybe(number("Output tokens.", "tokens/s")),
        "samples_per_s": maybe(number("Completed samples.", "samples/s")),
        "ttft_p50_ms": maybe(number("Median time to first token.", "ms")),
        "tpot_p50_ms": maybe(number("Median time per output token.", "ms")),
        "joules_per_token": maybe(number("Energy per output token.", "J/token")),
        "conditions": by_name("What must be equal for a comparison.", text("In words.")),
        "speed_ratio": maybe(number(f"tokens_per_s {_RATIO}.")),
        "weights_ratio": maybe(number(f"weights_bytes {_RATIO}.")),
        "rouge_ratio": maybe(number(f"The least of ROUGE-1, -2, -L {_RATIO}.")),
    },
)  # fmt: skip
COMPARE = file(
    "compare.json",
    record("Runs side by side; the first is the reference.", {
        "schema": choice("Version of this layout.", "touchstone.compare/1"),
        "comparable": flag("Whether all ran under the same conditions."),
        "differences": many("Conditions that differ.", text("In words.")),
        "verdict": record("Who stands out.", {
            "reference": text("Label of the reference."),
            "fastest": maybe(text("Label of the most tokens per second.")),
            "smallest": maybe(text("Label of the smallest weights.")),
            "best": maybe(text("Label of the best quality.")),
            "best_by": choice("Figure that decides it.", "eval_loss", "rougeL"),
            "rouge_kept": by_name("Who keeps so many percent of the ROUGE.",
                                  many("Labels.", text("A label."))),
            "rouge_lost": many("Who keeps less than 99 %.", text("A label.")),
            "failed": many("Who has no figures.", text("A label.")),
        }),
        "rows": many("The variants, in order.", COMPARE_ROW),
        **_ENDED,
    }),
)  # fmt: skip

# ---- gate.json

_WORDS = ("PASS", "FAIL", "UNDECIDED")
CALL = record(
    "A verdict at one target.",
    {
        "status": choice("By the whole interval.", *_WORDS),
        "official": choice("By the figure alone, as MLPerf judges.", *_WORDS),
        "needed": maybe(whole("Samples that would decide it; null if none would.", "samples")),
    },
)
_RATIO_FIELDS: dict[str, Schema] = {
    "name": text("What is compared: a kind of ROUGE, or tokens."),
    "candidate": number("The candidate's figure."),
    "reference": number("The reference's figure."),
    "value": maybe(number("Candidate over reference; null if the reference has 0.", "share")),
    "low": maybe(number("Lower end of its interval.", "share")),
    "high": maybe(number("Upper end of its interval.", "share")),
    "n": whole("Samples behind it.", "samples"),
}
READING = record(
    "One way to read a candidate: against the dataset's answers, the reference's own texts, or "
    "MLPerf's published figures.",
    {
        "n": whole("Samples that were scored.", "samples"),
        "ratios": many("The ratios.", record("A ratio with its interval.", {
            **_RATIO_FIELDS, "calls": by_name("Verdict by target.", same_as("call", "A verdict.")),
        })),
        "verdicts": by_name("Verdict over all ratios by target.", same_as("call", "A verdict.")),
    },
)  # fmt: skip
GATE_ROW = record(
    "A candidate, or the control.",
    {
        "label": _LABEL,
        "model": text("Model without its owner or folder."),
        "variant": text("Precision."),
        "run": _RUN,
        "status": choice("Verdict at the target, by the whole interval.", *_WORDS),
        "official": choice("The same by the figure alone.", *_WORDS),
        "reason": text("Why, in words."),
        "failure": text("Kind of error if it could not be measured; else empty."),
        "needed": maybe(whole("Samples that would decide it.", "samples")),
        "n": whole("Samples that were answered.", "samples"),
        "rows_in_batch": maybe(whole("Requests in a batch.", "requests")),
        "empty": maybe(whole("Empty outputs.", "samples")),
        "identical": maybe(number("Outputs identical to the reference's.", "share")),
        "divergence_median": maybe(number("Median position of the first difference.", "token")),
        "divergence": many("First differences by position.", record("A range of positions.", {
            "first": whole("First position.", "token"),
            "last": maybe(whole("Last position.", "token")),
            "outputs": whole("Outputs that differ first there.", "samples"),
        })),
        "readings": by_name("By what it is read against.", READING),
        "labels": many("By kind of question.", record("A kind.", {
            "key": text("Column of the dataset."),
            "label": text("Its value."),
            "ratio": record("Mean ROUGE as a ratio.", _RATIO_FIELDS),
        })),
        "worst": many("The samples that lost most.", record("A sample.", {
            "index": whole("Its data index."),
            "prompt": text("Its prompt."),
            "labels": many("Its kinds.", text("A label.")),
            "answer": maybe(text("The dataset's answer.")),
            "candidate": number("Mean ROUGE of the candidate.", "share"),
            "reference": number("Mean ROUGE of the reference.", "share"),
            "diverges_at": maybe(whole("Position of the first difference.", "token")),
            "texts": by_name("Both texts, in pieces.", many("Pieces.", anything(
                "A piece, and whether it differs."))),
        })),
        "notes": many("What a reader must know.", text("A note.")),
    },
)  # fmt: skip
GATE = file(
    "gate.json",
    record("Whether faster variants keep enough of the reference's quality.", {
        "schema": choice("Version of this layout.", "touchstone.gate/1"),
        "status": choice("The worst verdict.", *_WORDS),
        "target": record("What had to be kept.", {
            "name": text("As it was asked for."),
            "share": number("Share of the reference.", "share"),
            "key": text("Key of the verdicts at it."),
            "published": by_name("MLPerf's figures, where one of its targets was asked for.",
                                 number("A figure.", "of 100")),
            "unjudged": many("Figures of that target which are not judged.", text("A name.")),
        }),
        "against": choice("Reading that decides.", "dataset", "reference", "published"),
        "why": text("Why that one."),
        "confidence": number("Confidence level of the intervals.", "%"),
        "resamples": whole("Bootstrap resamples."),
        "dataset": text("Dataset as it was named."),
        "answers": whole("Samples with an answer in the dataset.", "samples"),
        "conditions": by_name("What is equal for all runs.", text("In words.")),
        "reference": record("The reference.", {
            "label": _LABEL,
            "model": text("Model without its owner or folder."),
            "variant": text("Precision."),
            "run": _RUN,
            "problem": text("Why it cannot be judged against; else empty."),
            "n": whole("Samples that were answered.", "samples"),
            "rows_in_batch": maybe(whole("Requests in a batch.", "requests")),
            "empty": maybe(whole("Empty outputs.", "samples")),
            "tokens_per_sample": maybe(number("Mean length of an answer.", "tokens")),
            "rouge": by_name("Its own ROUGE.", maybe(number("F-measure.", "share"))),
        }),
        "control": maybe(same_as("row", "The reference again, in batches of another size.")),
        "rows": many("The candidates, in order.", same_as("row", "A candidate.")),
        "notes": many("What a reader must know.", text("A note.")),
        **_ENDED,
    }),
    {"row": GATE_ROW, "call": CALL},
)  # fmt: skip

# ---- perplexity.json

ESTIMATE = record(
    "A figure with its interval over texts; null where there are too few.",
    {
        "value": maybe(number("The figure.")),
        "low": maybe(number("Lower end.")),
        "high": maybe(number("Upper end.")),
    },
)
_ENDS = {"": "", "_low": ", lower end of its interval", "_high": ", upper end of its interval"}
FIGURES = open_record(
    "Figures over some tokens, each with the ends of its interval over texts.",
    {
        "tokens": whole("Tokens that were scored.", "tokens"),
        "texts": whole("Texts that they are of.", "texts"),
        "bytes": maybe(whole("Bytes of text that they stand for.", "B")),
        **{f"perplexity{end}": maybe(number(f"Perplexity{words}."))
           for end, words in _ENDS.items()},
        **{f"eval_loss{end}": maybe(number(f"Mean loss{words}.", "nats per token"))
           for end, words in _ENDS.items()},
        **{f"bits_per_byte{end}": maybe(number(f"Bits per byte{words}.", "bits/byte"))
           for end, words in _ENDS.items()},
        **{f"token_accuracy{end}": maybe(number(f"Tokens predicted right{words}.", "0 to 1"))
           for end, words in _ENDS.items()},
    },
)  # fmt: skip
SUBJECT = open_record(
    "A model in a variant. Parts that do not apply are missing or null.",
    {
        "model": text("Model as it was named."),
        "variant": text("Precision."),
        "label": text("How it is called."),
        "folder": text("Its folder, inside this one."),
        "status": choice("How its measurement ended.", "DONE", "INTERRUPTED", "ERROR"),
        "problem": text("Why it did not end well; else empty."),
        "failure": text("Kind of that error; else empty."),
        "parameters": whole("Number of parameters."),
        "context": whole("Context of the model.", "tokens"),
        "bos": text("Start token before each text."),
        "tokenizer": text("First 16 digits of a hash of the tokenizer."),
        "figures": same_as("figures", "Over all texts."),
        "divergence": maybe(open_record("How far its distributions are from the reference's.", {})),
        "by_category": by_name("By category of text.", same_as("figures", "A category.")),
        "by_sentence": by_name("By sentence.", same_as("figures", "A sentence.")),
        "by_kind": by_name("By kind of token.", same_as("figures", "A kind.")),
        "by_text": many("By text.", open_record("A text.", {
            "id": text("Its id."),
            "category": text("Its category."),
            "perplexity": maybe(number("Its perplexity.")),
            "bits_per_byte": maybe(number("Its bits per byte.", "bits/byte")),
            "tokens": whole("Tokens that were scored.", "tokens"),
            "bytes": maybe(whole("Its length.", "B")),
        })),
        "conditions": by_name("What a context before the text is worth.",
                              same_as("figures", "With this context.")),
        "beside": open_record("ROUGE and speed of its runs.", {}),
    },
)  # fmt: skip
PERPLEXITY = file(
    "perplexity.json",
    open_record("How well each model and variant predicts given texts.", {
        "schema": choice("Version of this layout.", "touchstone.perplexity/1"),
        "status": choice("How the measurement ended.", "DONE", "INTERRUPTED", "ERROR"),
        "run_id": text("Name of the folder."),
        "started_at": maybe(text("When it began, UTC, ISO 8601.")),
        "dataset": open_record("The texts.", {
            "name": text("Dataset as it was named."),
            "texts": whole("Texts that were read.", "texts"),
            "tokens": maybe(whole("Tokens that were scored.", "tokens")),
        }),
        "settings": open_record("What was asked for, and what it came to.", {}),
        "subjects": many("Models and variants, in order.", SUBJECT),
        "comparable": open_record("Whether perplexities compare between the models.", {
            "by_perplexity": flag("They do."),
            "reason": text("Why, or why not."),
        }),
        "ranking": anything("The subjects, best first, with what separates them."),
        "scaling": anything("The law of size, or why there is none."),
        "gains": anything("Tokens where the largest model gains most over the smallest."),
        "not_run": many("What was not begun.", text("A subject.")),
        "notes": many("What a reader must know.", text("A note.")),
        "folder": _FOLDER,
    }),
    {"figures": FIGURES, "estimate": ESTIMATE},
)  # fmt: skip
