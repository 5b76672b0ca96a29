"""What is known of each deployment so far, and may it still be chosen? The runs of a deployment in,
its figures, costs and verdicts out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from accuracy.resampling import Estimate
from harness.cost.rates import Rates
from harness.cost.uncertain import Uncertain, combined
from harness.kernel.words.measure import Measure
from harness.study.decide.facts import Kept, estimates
from harness.study.decide.figures import Stage
from harness.study.decide.judged import Judged
from harness.study.decide.quality import USUAL_SHARE, Quality, quality
from harness.study.decide.wanted import Wanted, is_held, is_limit

# Figures that move together have one interval between them.
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
        elif stage == "speed":
            self.doubts.append(said)  # of the other stages the requirements speak

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
        """Return what costs rest on; without an offline run the speed at the valid rate."""
        figures = self.figures
        per_sample = next(
            (
                told.kept["tokens_per_sample"]
                for stage, told in self.runs.items()
                if stage != "quality" and told.kept.get("tokens_per_sample")
            ),
            None,
        )
        speed, qps = figures.get("tokens_per_s"), figures.get("qps")
        if speed is None and qps is not None and per_sample:
            speed = combined(lambda rate: rate * per_sample, qps)
        return Rates(
            tokens_per_s=speed,
            tokens_per_sample=per_sample,
            prompt_tokens=next(
                (told.kept["prompt_tokens"] for told in self.runs.values()
                 if told.kept.get("prompt_tokens")), None,
            ),
            valid_qps=qps,
            latency_s=figures.get("latency_mean"),
            tpot_s=figures.get("tpot_p50"),
            joules_per_token=figures.get("joules_per_token"),
        )  # fmt: skip

    def _limits(self, wanted: Wanted) -> Mapping[str, bool]:
        """Return the latencies that its search for the valid rate held, and whether one was
        found.
        """
        told = self.runs.get("rate")
        if told is None or told.folder is None or not told.kept["valid_rate"]["is_searched"]:
            return {}
        limits = told.kept["limits"]
        held = [one for one in wanted.requirements if is_limit(one) and is_held(one, limits)]
        return {one.measure.name: "qps" in self.figures for one in held}


def _size(estimate: Estimate) -> float:
    return estimate.value or 0.0
