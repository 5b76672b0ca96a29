"""What perplexity.json says of its subjects beside one another: pairs, places, sizes, gains and
divergences.
"""

from __future__ import annotations

from harness.schema.parts import (
    Schema,
    choice,
    empty_or,
    flag,
    many,
    maybe,
    number,
    record,
    same_as,
    text,
    whole,
)

DECISIONS = ("better", "worse", "tie", "same", "open")
_BY = ("perplexity", "bits_per_byte")
_OF_WHICH = (
    "better or worse: the whole interval is on one side of zero; tie: it holds zero; same: no loss "
    "differs; open: fewer than five texts"
)
_LABELS = text("A label.")

TOKEN_FIELDS: dict[str, Schema] = {
    "text_id": text("Id of its text."),
    "position": whole("Its place among the scored tokens of the text, from 0.", "token"),
    "token_id": whole("Its id."),
    "start": whole("Where it begins in the text.", "character"),
    "end": whole("Where it ends, exclusive.", "character"),
    "nll_nats": number("Negative log-likelihood (NLL) of the token.", "nats"),
    "correct": flag("Whether the model would have chosen it itself."),
}

# ---- pairs and places

_PAIR_FIGURES = {
    "eval_loss": ("loss", "nats per token"),
    "bits_per_byte": ("bits per byte", "bits/byte"),
    "token_accuracy": ("share of tokens predicted right", "0 to 1"),
    "mean_kld": ("mean divergence from the reference of both", "nats"),
}


def _less(words: str, unit: str) -> Schema:
    return record(f"First less second: {words}.", {
        "value": number("The difference.", unit),
        "low": maybe(number("Lower end of its interval over texts.", unit)),
        "high": maybe(number("Upper end.", unit)),
        "decision": choice(f"What it decides of the first ({_OF_WHICH}).", *DECISIONS),
    })  # fmt: skip


PAIRS = many(
    "Every subject that was measured, held against every later one on the texts of all.",
    record("A pair. Figures that the two do not share are missing.", {
        "first": text("Label of one."),
        "second": text("Label of the other."),
        **{name: _less(*words) for name, words in _PAIR_FIGURES.items()},
    }, optional=tuple(_PAIR_FIGURES)),
)  # fmt: skip

RANKING = many(
    "The subjects, best first; empty where there are not two to compare.",
    record("A subject.", {
        "model": text("Its label."),
        "figure": same_as("estimate", "The figure that ranks."),
        "place": whole("One more than the number of subjects that are decidedly better."),
        "behind": maybe(same_as(
            "estimate",
            "How much worse than the first: nats per token by perplexity, else bits per byte; "
            "null for the first.",
        )),
        "ratio": maybe(same_as(
            "estimate", "Perplexity as a multiple of the first's; null by bits per byte."
        )),
        "decision": maybe(choice(f"Against the first ({_OF_WHICH}); null for it.", *DECISIONS)),
        "tied_with": many("Subjects that it ties with.", _LABELS),
        "by": choice("Which figure ranks.", *_BY),
    }),
)  # fmt: skip

# ---- sizes

_STEP = record("From one size to the next larger one.", {
    "smaller": number("Smaller size.", "parameters"),
    "larger": number("Larger size.", "parameters"),
    "smaller_models": many("Subjects of the smaller size.", _LABELS),
    "larger_models": many("Subjects of the larger size.", _LABELS),
    "gain": same_as("estimate", "Loss saved per doubling, in `unit`; negative if it grows."),
    "texts": whole("Texts behind it.", "texts"),
    "texts_better": whole("Texts that the larger models predict better.", "texts"),
    "decision": choice(f"What it decides of the larger ({_OF_WHICH}).", *DECISIONS),
})  # fmt: skip
_CURVE = record("Points of the law, to draw it.", {
    "parameters": many("Sizes.", number("Number of parameters.")),
    "loss_nats": many("Its loss there.", maybe(number("Loss.", "nats per token"))),
    "bits_per_byte": many("Its loss there.", maybe(number("Loss.", "bits/byte"))),
    "low": many("Lower ends of its interval over texts.", maybe(number("Loss."))),
    "high": many("Upper ends.", maybe(number("Loss."))),
}, optional=("loss_nats", "bits_per_byte"))  # fmt: skip
_LAW = record("loss = coefficient * parameters^-exponent + floor.", {
    "measured": many("Loss of each model.", same_as("estimate", "A model.")),
    "coefficient": same_as("estimate", "Coefficient; its interval is over texts."),
    "exponent": same_as("estimate", "Exponent; its interval is over texts."),
    "floor": maybe(same_as("estimate", "Floor; null where none was fitted.")),
    "exponent_models": same_as("estimate", "Exponent; its interval is from the models' scatter."),
    "residuals": many("Each model's loss over the law's, less 1.", number("A model.", "share")),
    "notes": many("Reasons to read it with caution.", text("A note.")),
    "curve": _CURVE,
})  # fmt: skip
SCALING = record("What a larger model gains, family by family.", {
    "by": choice("Kind of loss.", "loss_nats", "bits_per_byte"),
    "unit": text("Unit of that loss."),
    "variant": maybe(text("Variant whose models are compared; null if nothing was measured.")),
    "families": many(
        "Models of one tokenizer and one architecture, in several sizes.",
        record("A family.", {
            "architecture": maybe(text("Kind of model, as its configuration names it.")),
            "models": many("Its models, smallest first.", _LABELS),
            "sizes": many("Sizes of the models.", number("Number of parameters.")),
            "steps": many("From each size to the next.", _STEP),
            "law": maybe(_LAW),
            "no_law": text("Why there is no law; else empty."),
            "diminishing": record("Whether each doubling saves less than the one before.", {
                "answer": choice("The answer.", "yes", "no", "cannot tell"),
                "why": text("Why."),
            }),
        }),
    ),
    "alone": many("Subjects that belong to no family.", _LABELS),
    "why_none": text("Why there is no family; empty if there is one, or with a single model."),
})  # fmt: skip

GAINS = record("Where the largest model gains most over the smallest of its tokenizer.", {
    "smaller": text("Label of the smallest."),
    "larger": text("Label of the largest."),
    "tokens": many("Tokens, largest gain first.", record("A token, as the smallest scored it.", {
        **TOKEN_FIELDS, "gain_nats": number("NLL of the smallest less the largest's.", "nats"),
    })),
})  # fmt: skip

# ---- divergence

_DIVERGENCES = {
    "mean_ppl_q": "Its perplexity",
    "mean_ppl_base": "The reference's perplexity",
    "mean_ppl_ratio": "Its perplexity as a share of the reference's",
    "mean_ln_ppl_ratio": "Its loss less the reference's, in nats per token",
    "mean_ppl_difference": "Its perplexity less the reference's",
    "cor_ln_ppl": "Correlation of the losses of single tokens",
    "cor_ln_ppl_texts": "Correlation of the losses of whole texts",
    "mean_kld": "Mean KL divergence from the reference, in nats",
    "median_kld": "Median KL divergence of a token, in nats",
    "p90_kld": "90th percentile of the same",
    "p95_kld": "95th percentile of the same",
    "p99_kld": "99th percentile of the same",
    "p99_9_kld": "99.9th percentile of the same",
    "maximum_kld": "Maximum of the same",
    "mean_kld_at_least": "Lower bound of the mean KL divergence, in nats",
    "mean_kld_at_most": "Upper bound of the mean KL divergence, in nats",
    "mean_kld_error": "Standard error that sampling the tail adds to it, in nats",
    "same_top_p": "Share of the tokens where both rank the same token first, 0 to 1",
    "mean_dp": "Mean change of the right token's probability, in percentage points",
    "rms_dp": "Root mean square of that change, in percentage points",
}
DIVERGENCE = empty_or(record(
    "How far its distributions are from the reference's; only `refused` where that was asked for "
    "and cannot be told. Names are those of llama-perplexity.",
    {
        "refused": text("Why it cannot be told."),
        "reference": text("Variant of the reference."),
        "reference_model": text("Model of the reference."),
        "exact": flag("Whether whole distributions were compared."),
        "kept_tokens": whole("Likeliest tokens of each distribution that were kept.", "tokens"),
        "vocabulary": whole("Tokens of a whole distribution.", "tokens"),
        "share_of_logits": number("Size of what was kept, against float32 logits.", "share"),
        "rest_share": maybe(number(
            "The reference's mass on tokens that a server does not tell.", "share"
        )),
        "note": text("The same, in words."),
        **{name: same_as("estimate", f"{words}.") for name, words in _DIVERGENCES.items()},
    },
))  # fmt: skip
