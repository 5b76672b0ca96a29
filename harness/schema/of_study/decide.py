"""What decide.json holds: which deployment is the answer, why, and how sure that is."""

from __future__ import annotations

from harness.schema.of_compare.best import best_of
from harness.schema.parts import (
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
from harness.schema.shared import ESTIMATE, FOLDER

_FIGURE = "Name of the figure (docs/decide.md)."
_LABEL = "Name of a deployment."
_STAGES = ("speed", "quality", "rate")
_JUDGED = record("A requirement of one deployment.", {
    "requirement": text("As it was asked for."),
    "figure": text(_FIGURE),
    "status": choice(
        "Whether the whole interval keeps the limit or misses it, reaches both sides, or there is "
        "no figure.",
        "PASS", "FAIL", "UNDECIDED", "UNKNOWN",
    ),
    "holds": flag("Whether the figure itself keeps the limit."),
    "has_interval": flag("Whether the figure has an interval."),
    "chance": number("Share of draws that keep the limit.", "of 1"),
    "missing": maybe(number(
        "By which share of the limit the figure misses it; negative: what it has to spare.", "of 1"
    )),
    "needed": maybe(whole("Samples that would decide it, by the gate.", "samples")),
    "reason": text("Why, in words, where the figure does not say it; else empty."),
    "value": maybe(number("The figure: seconds, bytes, a share of 1, or its own unit.")),
    "low": maybe(number("Lower end of its 95 % interval.")),
    "high": maybe(number("Upper end.")),
})  # fmt: skip
_MISS = record("A deployment and the requirements that it misses.", {
    "label": text(_LABEL),
    "missed": many("The furthest first.", same_as("judged", "One of them.")),
})  # fmt: skip
_CANDIDATE = record("A deployment.", {
    "label": text(_LABEL),
    "model": text("Model without its owner or folder."),
    "variant": text("Precision, or the SUT where no model runs."),
    "reference": text("Deployment that its quality is held against."),
    "status": choice(
        "Whether it keeps every requirement by its figures; SET ASIDE: surely worse than one that "
        "does, and not measured further; FAILED: a run broke.",
        "FITS", "MISSES", "SET ASIDE", "FAILED", "NOT MEASURED",
    ),
    "reason": text("Why it failed or was set aside; else empty."),
    "doubts": many("Why its figures may be wrong.", text("In words.")),
    "chance": number("Share of draws in which it is the answer.", "of 1"),
    "runs": by_name("Folder of each of its runs, by stage; empty if there is none.", text("Path.")),
    "not_run": many("Stages that were not needed.", choice("A stage.", *_STAGES)),
    "figures": by_name("Its figures by name, costs among them.", same_as("estimate", "A figure.")),
    "judged": many("Each requirement.", same_as("judged", "One of them.")),
})  # fmt: skip
_PRICES = "by deployment; the empty name stands for all others"
_TERMS = record("Prices and needs, as they were given.", {
    "usd_per_hour": by_name(f"Price of a server, {_PRICES}.", number("Price.", "USD/h")),
    "once_usd": by_name(f"What is paid once, {_PRICES}.", number("Price.", "USD")),
    "usd_per_kwh": maybe(number("Price of energy.", "USD/kWh")),
    "need_qps": maybe(number("Rate that all servers must carry.", "queries/s")),
    "margin": number("Share of it to spare.", "of 1"),
    "output_weight": number("Price of an output token over that of an input token."),
    "prompt_tokens": maybe(number("Mean prompt, as it was given.", "tokens")),
    "job_samples": maybe(number("Size of the job.", "samples")),
    "months": maybe(number("Time in service.", "months")),
})  # fmt: skip
BREAK_EVEN = record("From when on `label` is cheaper than `other`; null where it never is.", {
    "label": text(_LABEL),
    "other": text(_LABEL),
    "paid_once": flag("Whether anything is paid once."),
    "above_qps": maybe(same_as("estimate", "Rate above which it is never dearer, queries/s.")),
    "other_above_qps": maybe(same_as("estimate", "The same of the other one.")),
    "months": maybe(same_as(
        "estimate", "Months after which it has paid back what it costs more at once."
    )),
    "above_qps_within_months": maybe(same_as(
        "estimate", "Rate above which it pays that back within the months given, queries/s."
    )),
})  # fmt: skip
DECIDE = file(
    "decide.json",
    record("A choice between deployments, and what it rests on.", {
        "schema": choice("Version of this layout.", "touchstone.decide/1"),
        "answer": maybe(text("Deployment to use; null if none keeps every requirement.")),
        "sure": number("Share of draws that give the same answer.", "of 1"),
        "chances": by_name("How often each is the answer; the empty name stands for none.",
                           number("Share of draws.", "of 1")),
        "objective": record("What decides between those that keep every requirement.", {
            "figure": text(_FIGURE),
            "largest": flag("Whether the highest wins."),
            "is_default": flag("Whether nobody named it."),
        }),
        "requirements": many("What must be kept.", record("One of them.", {
            "figure": text(_FIGURE),
            "sign": choice("At least, or at most.", ">=", "<="),
            "limit": number("Limit: seconds, bytes, a share of 1, or the figure's own unit."),
            "text": text("As it was asked for."),
        })),
        "terms": _TERMS,
        "changes": record("What would change the answer.", {
            "shut_out": many("Better ones that miss a requirement.", same_as("miss", "One.")),
            "runner_up": maybe(text("The next of those that keep every requirement.")),
            "behind": maybe(number("By which share it would have to be better.", "of 1")),
            "tightest": maybe(same_as("judged", "Requirement that the answer keeps by the least.")),
        }),
        "nearest": maybe(same_as("miss", "Where nothing fits: what comes nearest.")),
        "break_even": maybe(same_as("break_even", "The answer beside the next one.")),
        "candidates": many("Every deployment.", same_as("candidate", "One of them.")),
        "best": best_of("A row for each deployment whose runs ended."),
        "limits": many("Limits of the valid rate that nobody asked for.", record("One.", {
            "what": choice("Latency.", "ttft", "tpot", "latency"),
            "limit_s": number("Limit.", "s"),
            "percentile": number("Percentile that must keep it.", "of 1"),
        })),
        "comparable": flag("Whether the runs of each stage were made under the same conditions."),
        "differences": many("Conditions that differ.", text("In words.")),
        "without_interval": many("Figures that it rests on without an interval.", text(_FIGURE)),
        "interrupted": flag("Whether Ctrl-C ended the measurements."),
        "folder": FOLDER,
    }),
    {
        "estimate": ESTIMATE,
        "judged": _JUDGED,
        "miss": _MISS,
        "candidate": _CANDIDATE,
        "break_even": BREAK_EVEN,
    },
)  # fmt: skip
