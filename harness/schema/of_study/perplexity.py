"""What perplexity.json holds: how well each model and variant predicts given texts."""

from __future__ import annotations

from collections.abc import Mapping

from accuracy.likelihood.kinds import KINDS
from harness.likelihood.conditions import KINDS as CONDITION_KINDS
from harness.likelihood.conditions import NAMES as CONDITIONS
from harness.schema.of_study.perplexity_compared import (
    DIVERGENCE,
    GAINS,
    PAIRS,
    RANKING,
    SCALING,
    TOKEN_FIELDS,
)
from harness.schema.parts import (
    Schema,
    by_name,
    choice,
    empty_or,
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
from harness.schema.shared import ADAPTER, ESTIMATE, FOLDER, REPEATED, STORED, SUBSET, TRAINABLE

ENDS = ("DONE", "INTERRUPTED", "ERROR")


def _with_ends(name: str, words: str, unit: str) -> dict[str, Schema]:
    """Describe a figure and the ends of its interval, as three fields."""
    ends = {"": "", "_low": ", lower end of its interval", "_high": ", upper end of its interval"}
    return {f"{name}{end}": maybe(number(f"{words}{more}.", unit)) for end, more in ends.items()}


_FIGURES: dict[str, Schema] = {
    "tokens": whole("Tokens that were scored.", "tokens"),
    "texts": whole("Texts that they are of.", "texts"),
    "bytes": maybe(
        whole(
            "Bytes that they stand for; null (with bits per byte) where these are no whole texts.",
            "B",
        )
    ),
    **_with_ends("perplexity", "Perplexity", "ratio"),
    **_with_ends("eval_loss", "Mean loss", "nats per token"),
    **_with_ends("bits_per_byte", "Bits per byte", "bits/byte"),
    **_with_ends("token_accuracy", "Tokens predicted right", "0 to 1"),
}
FIGURES = record(
    "Figures over some tokens, each with the ends of its 95 % interval over texts: null with fewer "
    "than five texts.",
    _FIGURES,
)


def _figures(meaning: str, more: Mapping[str, Schema]) -> Schema:
    return record(meaning, {**more, **_FIGURES})


# ---- a subject

_COST = {
    "seconds": maybe(number("Time that scoring took.", "s")),
    "tokens_per_s": maybe(number("Scored tokens, conditions included.", "tokens/s")),
    "weights_bytes": maybe(whole("Weights in memory.", "B")),
    "peak_above_weights_bytes": maybe(whole("Peak memory above the weights.", "B")),
}
_SCORED = text("Which tokens are scored, in words.")
_GIVEN = text("What the model has read before the first of them, in words.")

_WORTH = ("base_figures", "gain_nats", "perplexity_ratio", "tokens_helped")
CONDITION = record(
    "The texts again with a context before them, or their ends without one; what that is worth.",
    {
        "kind": choice("Kind of condition.", *CONDITION_KINDS),
        "scored": _SCORED,
        "given": _GIVEN,
        "base": maybe(choice(
            "Its comparison with the base on the same tokens; null for a base itself.",
            "plain", "no context",
        )),
        **_FIGURES,
        "base_figures": same_as("figures", "The base over the same tokens."),
        "gain_nats": same_as("estimate", "Loss that the context saves, in nats per token."),
        "perplexity_ratio": same_as("estimate", "Perplexity as a share of the base's."),
        "tokens_helped": same_as("estimate", "Share of the tokens whose NLL fell, 0 to 1."),
    },
    optional=_WORTH,
)  # fmt: skip

_SPREAD = record("How the perplexities of single texts spread; each text weighs the same.", {
    "texts": whole("Texts with a scored token.", "texts"),
    "mean": same_as("estimate", "Mean perplexity."),
    "geometric_mean": same_as("estimate", "exp of the mean of their losses."),
    "median": maybe(number("Median perplexity.")),
    "deviation": maybe(number("Standard deviation of the perplexities.")),
    "quartiles": many("First and third quartile.", maybe(number("A perplexity."))),
    "lowest": maybe(number("Lowest perplexity.")),
    "highest": maybe(number("Highest perplexity.")),
    "loss_deviation_nats": maybe(number("Standard deviation of the losses.", "nats per token")),
    "between_categories": maybe(number(
        "Share of the losses' variance that goes with the category.", "0 to 1"
    )),
})  # fmt: skip

_LENGTH_TREND = record("Least squares of the texts' losses on log2 of their length.", {
    "texts": whole("Texts behind it.", "texts"),
    "at_bytes": number("Length to which losses are adjusted: the median.", "B"),
    "slope": same_as("estimate", "Change of the loss when a text is twice as long, in nats."),
    "within": same_as("estimate", "The same with the category held fixed."),
    "adjusted": by_name(
        "Mean loss of each category, in nats per token, at that length.",
        same_as("estimate", "A category."),
    ),
})  # fmt: skip

_BY_TEXT = record("A text.", {
    "id": text("Its id."),
    "category": text("Its category."),
    "perplexity": maybe(number("Its perplexity.")),
    "bits_per_byte": maybe(number("Its bits per byte.", "bits/byte")),
    "tokens": whole("Tokens that were scored.", "tokens"),
    "bytes": maybe(whole("Bytes that they stand for.", "B")),
})  # fmt: skip

_ALWAYS: dict[str, Schema] = {
    "model": text("Model as it was named."),
    "variant": text("Precision."),
    "label": text("Name of the subject."),
    "folder": text("Its folder, inside this one."),
    "status": choice("How its measurement ended.", *ENDS),
    "problem": text("Why it did not end well; else empty."),
    "failure": text("Kind of that error; else empty."),
    "against": maybe(text("Folder of the subject that its distributions are compared with.")),
    "exact": flag("Whether whole distributions are compared, both models being in memory."),
    "window": maybe(whole("Window that was asked for; null: the model's context.", "tokens")),
    "stride": maybe(whole("Step between windows; null: every text fits one.", "tokens")),
    "figures": empty_or(_figures("Over all texts; empty if none was scored.", _COST)),
    "divergence": maybe(DIVERGENCE),
    "beside": empty_or(record("Scores and speed of its run that --beside names; else empty.", {
        "run": text("Folder of that run."),
        **{name: number("Score of the run's answers.", "of 100") for name in (
            "rouge1", "rouge2", "rougeL", "exact_match", "token_f1", "number_match",
            "multiple_choice")},
        "answer_tokens_per_s": number("Output tokens of that run.", "tokens/s"),
    })),
}  # fmt: skip

_LEFT_OUT = {"text": text("Its id."), "reason": text("Why.")}
_CHECKED: dict[str, Schema] = {  # from the texts and the tokenizer, before the weights are read
    "tokenizer": text("First 16 digits of a hash of the tokenizer."),
    "ids_sha256": text("First 16 digits of a hash of the texts' ids, start tokens included."),
    "context": maybe(whole("Most tokens that a window has; null: no limit.", "tokens")),
    "bos": choice("Whether a start token stands before each text.", "added", "none"),
    "chat_template": flag("Whether the tokenizer has a chat template."),
    "excluded": many("Texts that are not scored.", record("A text.", _LEFT_OUT)),
    "left_out_of_conditions": many(
        "Texts that are scored plain but not under a kind of condition.",
        record("A text.", {
            "conditions": choice("Kind of condition.", *CONDITION_KINDS), **_LEFT_OUT,
        }),
    ),
    "in_windows": whole("Texts that are longer than a window.", "texts"),
    "no_divergence": text("Why distributions cannot be compared; empty if they can."),
    "passages": whole("Texts to be scored; one counts again under each condition."),
    "kept": whole("How many of these an earlier start had scored."),
    "tokens": whole("Tokens of the others.", "tokens"),
}  # fmt: skip
_LOADED: dict[str, Schema] = {
    "parameters": whole("Number of parameters."),
    "trainable_parameters": TRAINABLE,
    "trainable": text("Which parameters these are, in words."),
    "repeated_parameters": REPEATED,
    "architecture": text("Kind of model, as its configuration names it."),
    "weights_bytes": whole("Weights in memory.", "B"),
    "dtype": text("Type of the activations."),
    "device": text("Device that the model runs on."),
    "load_s": number("Time to load.", "s"),
    **STORED,
    "adapter": ADAPTER,
    "served": text("Name of the model at its server."),
    "way": choice(
        "How the server tells the log-probabilities of a prompt.", "prompt_logprobs", "echo"
    ),
    "named": whole("Likeliest tokens of a position that it tells.", "tokens"),
    "notes": many("What a reader must know.", text("A note.")),
    "peak_above_weights_bytes": maybe(whole("Peak memory above the weights.", "B")),
    "batch_tokens": maybe(
        whole(
            "Tokens that a batch held, padding included; the fewest, where that changed. Null "
            "for a model at a server.",
            "tokens",
        )
    ),
    "seconds": number("Time that scoring took.", "s"),
    "tokens_per_s": maybe(number("Scored tokens, conditions included.", "tokens/s")),
}
_MEASURED: dict[str, Schema] = {  # once a text is scored
    "scored": _SCORED,
    "given": _GIVEN,
    "spread": _SPREAD,
    "by_category": by_name("By category of text.", same_as("figures", "A category.")),
    "by_text": many("By text.", _BY_TEXT),
    "by_position": many("By place in the text.", _figures("A range of places.", {
        "first": whole("First place among the scored tokens of a text, from 0.", "token"),
        "last": whole("Last place.", "token"),
    })),
    "by_sentence": by_name(
        "By number of the sentence, from 1; 10 stands for all later ones too.",
        same_as("figures", "A sentence."),
    ),
    "by_kind": record(
        "By kind of token; those that occur.",
        {name: same_as("figures", f"Tokens of the kind {name}.") for name in KINDS},
        optional=KINDS,
    ),
    "by_length": many("By length of text, in up to three parts.", _figures("A part.", {
        "shortest_bytes": whole("Length of its shortest text.", "B"),
        "longest_bytes": whole("Length of its longest text.", "B"),
    })),
    "length_trend": _LENGTH_TREND,
    "hardest": many("The tokens with the highest NLL, highest first.", record("A token.", {
        **TOKEN_FIELDS, "word": text("The token as it stands in the text."),
    })),
    "extremes": record("The texts at both ends.", {
        "lowest": many("Lowest perplexity first.", text("Id of a text.")),
        "highest": many("Highest perplexity first.", text("Id of a text.")),
    }),
    "conditions": record(
        "What a context before the text gains, by condition.",
        {name: same_as("condition", f"With this context: {name}.") for name in CONDITIONS},
        optional=CONDITIONS,
    ),
}  # fmt: skip
SUBJECT = record(
    "A model in a variant. Fields of a step that it did not come to are missing.",
    {**_ALWAYS, **_CHECKED, **_LOADED, **_MEASURED},
    optional=(*_CHECKED, *_LOADED, *_MEASURED),
)

# ---- the file

_DATASET = record("The texts.", {
    "name": text("Dataset as it was named."),
    "file": text("Name of the file."),
    "sha256": text("SHA-256 of the file."),
    "texts": whole("Texts that were read.", "texts"),
    "text_column": text("Column of the texts."),
    "category_column": maybe(text("Column of their categories; null if there is none.")),
    "split": maybe(text("Split that was taken; null: all rows.")),
    "subset": SUBSET,
    "tokens": maybe(whole("Tokens of them that the first subject was scored on.", "tokens")),
    "categories": by_name("Texts by category.", whole("Number of texts.", "texts")),
}, optional=("subset",))  # fmt: skip


def _one_or_several(meaning: str, one: Schema) -> Schema:
    """Describe a value that may depend on the model."""
    several = {"type": "array", "items": one}
    return {"anyOf": [one, several, {"type": "null"}], "description": meaning}


_SETTINGS = record("What was asked for, and what it came to.", {
    "window": maybe(whole("Window; null: the model's context.", "tokens")),
    "stride": maybe(whole("Step between windows; null: every text must fit one.", "tokens")),
    "batch_tokens": maybe(whole("Tokens in a batch; null: by the device.", "tokens")),
    "conditions": many("Kinds of condition.", choice("A kind.", *CONDITION_KINDS)),
    "reference": maybe(text("Variant or model that others are compared with; null: the first.")),
    "exact": flag("Whether whole distributions are compared."),
    "top_k": maybe(whole(
        "Likeliest tokens of a distribution that are kept; null: by the size of the vocabulary.",
        "tokens",
    )),
    "bos": _one_or_several(
        "Whether a start token stands before each text; a list where models differ.",
        choice("Whether it does.", "added", "none"),
    ),
    "context": _one_or_several(
        "Most tokens that a window has; a list where models differ.",
        whole("Number of tokens.", "tokens"),
    ),
    "bos_asked": choice("What was asked for.", "auto", "always", "never"),
    "confidence": number("Confidence level of the intervals.", "%"),
    "resamples": whole("Bootstrap resamples, at most."),
})  # fmt: skip

PERPLEXITY = file(
    "perplexity.json",
    record("How well each model and variant predicts given texts.", {
        "schema": choice("Version of this layout.", "touchstone.perplexity/2"),
        "status": choice("How the measurement ended.", *ENDS),
        "run_id": text("Name of the folder."),
        "started_at": maybe(text("When it began, UTC, ISO 8601.")),
        "dataset": _DATASET,
        "settings": _SETTINGS,
        "subjects": many("Models and variants, in order.", SUBJECT),
        "comparable": record("Whether perplexities compare between the models.", {
            "by_perplexity": flag("Whether they compare: all have one tokenizer."),
            "reason": text("Why, or why not."),
            "groups": many("Labels by tokenizer.", many("Those of one.", text("A label."))),
        }),
        "ranking": RANKING,
        "pairs": PAIRS,
        "scaling": SCALING,
        "gains": maybe(GAINS),
        "not_run": many("What was not started.", text("A subject.")),
        "notes": many("What a reader must know.", text("A note.")),
        "folder": FOLDER,
    }),
    {"figures": FIGURES, "estimate": ESTIMATE, "condition": CONDITION},
)  # fmt: skip
