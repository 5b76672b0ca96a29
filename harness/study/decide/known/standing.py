"""What is known of each deployment so far, and may it still be chosen? The runs of a deployment in,
its figures, costs and verdicts out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from accuracy.resampling import Estimate
from harness.cost.costs import costs
from harness.cost.rates import Rates
from harness.cost.uncertain import Uncertain, measured
from harness.kernel.words.measure import Measure
from harness.study.decide.known.facts import Kept, estimates
from harness.study.decide.known.judged import Judged, judge
from harness.study.decide.known.quality import USUAL_SHARE, Quality, quality
from harness.study.decide.wishes.figures import Stage
from harness.study.decide.wishes.wanted import Wanted, is_held, is_limit

# Figures that move together have one interval between them.
# Rules of how long a run must be: a short one has a wide interval, and is no less true.
_ONLY_SHORT = {"min_duration", "min_queries"}
_SIZES = ("memory", "weights", "disk")
_TOGETHER = {"samples_per_s": "tokens_per_s", "perplexity": "eval_loss"}


class Told(NamedTuple):
    """A run that ended: what is kept of it, and where it is (None: it could not be made)."""

    kept: Kept
    folder: Path | None


@dataclass
class Standing:
    """A deployment. `out` says why it cannot be chosen whatever its figures are, `set_aside` why it
    was not measured further, `doubts` why its figures may be wrong.
    """

    label: str
    reference: str
    runs: dict[Stage, Told] = field(default_factory=dict)
    out: str = ""
    set_aside: str = ""
    doubts: list[str] = field(default_factory=list)
    not_run: list[Stage] = field(default_factory=list)
    figures: dict[str, Uncertain] = field(default_factory=dict)
    quality: Quality | None = None
    judged: list[Judged] = field(default_factory=list)
    _told: dict[str, Estimate] = field(default_factory=dict)

    def add(self, stage: Stage, told: Told, measures: Sequence[Measure]) -> None:
        """Take in a run; one that broke, or whose figures cannot be trusted, puts it out."""
        self.runs[stage] = told
        if told.folder is not None:
            self._take(estimates(told.kept, told.folder, measures))
        status, reason = told.kept["status"], told.kept["reason"]
        if status == "VALID" or self.out:
            return
        said = f"its {stage} run is {status}: {reason}" if told.folder else reason
        if status != "INVALID" or (told.kept.get("valid_rate") or {}).get("problem"):
            self.out = said
        elif stage == "speed" and not set(told.kept["failed_rules"]) <= _ONLY_SHORT:
            self.doubts.append(said)  # of the other stages the requirements speak

    def has(self, stage: Stage) -> bool:
        """Was this stage measured?"""
        return stage in self.runs

    @property
    def row(self) -> Kept:
        """Return what is kept of its first run."""
        return next(iter(self.runs.values())).kept if self.runs else {}

    @property
    def fails(self) -> bool:
        """Has it certainly missed a requirement?"""
        return any(one.status == "FAIL" for one in self.judged)

    @property
    def is_open(self) -> bool:
        """May it still be chosen?"""
        return not (self.out or self.set_aside or self.fails)

    @property
    def fits(self) -> bool:
        """Do its figures keep every requirement?"""
        return self.is_open and all(one.holds for one in self.judged)

    def update(self, wanted: Wanted, reference: Standing) -> None:
        """Work out its figures, its costs and its verdicts from the runs that there are."""
        found = {name: one for name, one in self._told.items() if name != "valid_qps" or one.value}
        if "quality" in self.runs and self.quality is None:
            self.quality = self._quality(wanted, reference)
        if self.quality is not None:
            found["rouge"] = self.quality.kept
        self.figures = {
            name: measured(estimate, self.label, _TOGETHER.get(name, name))
            for name, estimate in found.items()
            if estimate.value is not None
        }
        self.figures |= costs(self._rates(), wanted.terms, *self.names)
        self.judged = judge(wanted.requirements, self.figures, self.quality, self._limits(wanted))

    @property
    def names(self) -> tuple[str, ...]:
        """Return what a price may call it."""
        return self.label, str(self.row.get("variant", "")), str(self.row.get("model", ""))

    def _take(self, found: Mapping[str, Estimate]) -> None:
        """Take in the figures of a run; of sizes the largest of all runs counts."""
        for name, estimate in found.items():
            if name in _SIZES and name in self._told:
                estimate = max(estimate, self._told[name], key=_size)
            self._told[name] = estimate

    def _quality(self, wanted: Wanted, reference: Standing) -> Quality:
        own, theirs = self.runs["quality"].folder, reference.runs.get("quality")
        if own is None or theirs is None or theirs.folder is None:
            problem = "there is no accuracy run of the reference"
            return Quality(Estimate(None), "UNDECIDED", problem, None, problem)
        return quality(theirs.folder, own, wanted.share or USUAL_SHARE)

    def _rates(self) -> Rates:
        """Return what costs rest on."""
        figures, prompt = self.figures, self.figures.get("prompt_tokens")
        per_sample = [
            told.kept["tokens_per_sample"]
            for stage, told in self.runs.items()
            if stage != "quality" and told.kept.get("tokens_per_sample")
        ]
        return Rates(
            tokens_per_s=figures.get("tokens_per_s"),
            tokens_per_sample=per_sample[0] if per_sample else None,
            prompt_tokens=prompt.value if prompt is not None else None,
            valid_qps=figures.get("valid_qps"),
            latency_s=figures.get("latency_mean"),
            tpot_s=figures.get("tpot_p50"),
            joules_per_token=figures.get("joules_per_token"),
        )

    def _limits(self, wanted: Wanted) -> Mapping[str, bool]:
        """Return the latencies that its search for the valid rate held, and whether one was
        found.
        """
        told = self.runs.get("rate")
        if told is None or told.folder is None or not told.kept["valid_rate"]["is_searched"]:
            return {}
        limits = told.kept["limits"]
        held = [one for one in wanted.requirements if is_limit(one) and is_held(one, limits)]
        return {one.measure.name: "valid_qps" in self.figures for one in held}


def _size(estimate: Estimate) -> float:
    return estimate.value or 0.0
