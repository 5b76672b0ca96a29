"""What has to be kept, and what answers are scored with: is that a question the gate can decide?"""

from __future__ import annotations

from accuracy.gate.metrics import METRICS
from accuracy.gate.ratios import PUBLISHED
from accuracy.gate.readings import READINGS, Criteria
from accuracy.tasks import of_name
from accuracy.tasks.scorers import OF_DATASETS, OF_TEXTS
from accuracy.tasks.scorers import TABLE as SCORERS
from harness.kernel import plugins
from harness.kernel.errors import BadInput, unknown

_MAX_RESAMPLES = 1_000_000


def checked(asked: Criteria) -> Criteria:
    """Return what is asked for, its target without a percent sign. Raises BadInput."""
    target = asked.target.strip().rstrip("%").strip()
    if asked.against not in (None, *READINGS):
        raise unknown("--against", str(asked.against), READINGS)
    check_metric(asked.metric)
    if target in PUBLISHED:
        is_other = asked.metric not in (None, "rouge")
        others = {"--against": asked.against == "reference", "--metric": is_other}
        if other := [name for name, is_given in others.items() if is_given]:
            value = asked.against if other[0] == "--against" else asked.metric
            raise BadInput(
                "gate",
                f"--target {target} and {other[0]} {value}",
                "MLPerf's figures are of ROUGE against the dataset's answers",
                "Leave one out.",
            )
    elif _is_number(target) and not _is_share(target):
        fine = "expected a share of the reference in percent: above 0, at most 100"
        raise BadInput("--target", f"it is {target}", fine, "99.9 is usual.")
    elif not _is_share(target):
        raise unknown(
            "--target",
            asked.target,
            PUBLISHED,
            "Or a share of the reference in percent, such as 99.9.",
        )
    if not 100 <= asked.resamples <= _MAX_RESAMPLES:
        raise BadInput(
            "--resamples",
            f"it is {asked.resamples}",
            f"expected 100 to {_MAX_RESAMPLES:,}",
            "10000 is usual.",
        )
    if not 50 <= asked.confidence < 100:
        raise BadInput(
            "--confidence",
            f"it is {asked.confidence:g}",
            "expected 50 to 99.99 percent",
            "95 is usual.",
        )
    return asked._replace(target=target)


def check_metric(name: str | None) -> None:
    """Refuse a name that nothing is scored with. Raises BadInput."""
    if name is None or name in METRICS or name in SCORERS:
        return
    if not is_plugged(name):
        added = [offer.name for offer in plugins.offers("metric")]
        raise unknown("--metric", name, [*METRICS, *SCORERS, *added])


def is_plugged(name: str) -> bool:
    """Tell whether an installed package adds this metric."""
    return any(offer.name == name for offer in plugins.offers("metric"))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_share(text: str) -> bool:
    try:
        return 0 < float(text) <= 100
    except ValueError:
        return False


def scorer_of(asked: Criteria, task: str | None) -> str:
    """Return the scorer that marks the answers to a task, or to a dataset (None); empty where the
    texts are compared with ROUGE. Raises BadInput where they cannot be marked so.
    """
    own = of_name(task).scorers if task else ()
    name = asked.metric or (own[0] if own else "")
    if name in METRICS or not name:
        return ""
    fitting = (*own, *OF_TEXTS) if task else (*OF_TEXTS, *OF_DATASETS)
    if name not in fitting and not is_plugged(name):
        fine = f"expected one of {', '.join(dict.fromkeys((*fitting, *METRICS)))}"
        of_what = f"answers to {task}" if task else "answers to a dataset"
        raise BadInput(f"--metric {name}", f"{of_what} are not marked so", fine, "")
    if asked.published:
        found = f"--target {asked.target} and answers that are marked right or wrong"
        fine = "MLPerf's figures are of ROUGE"
        raise BadInput("gate", found, fine, "Give --target as a share in percent, such as 99.")
    if asked.against == "reference":
        found = f"--against reference and --metric {name}"
        fine = "an answer is right by what the task expects, not by what the reference wrote"
        raise BadInput("gate", found, fine, "Leave one out, or pass --metric rouge.")
    return name
