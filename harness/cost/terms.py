"""What does a server cost, and what is asked of it? The user's words in, checked numbers out.

Prices are in US dollars by name only: any currency does, as long as it is one. A price, and a cost
that is paid once, may differ between deployments: `2.5`, or `fp32=4,int8=2.5`, or `2.5,int8=2`,
whose number without a name is for all others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from harness.kernel.errors import BadInput, unknown

HOURS_PER_MONTH = 730.0  # a twelfth of a year
OUTPUT_WEIGHT = 4.0


@dataclass(frozen=True, slots=True)
class Named:
    """A number for each deployment; `others` is for those that have none of their own."""

    others: float | None = None
    own: Mapping[str, float] = field(default_factory=dict)

    def of(self, *names: str) -> float | None:
        """Return the number of the deployment that goes by these names."""
        return next((self.own[name] for name in names if name in self.own), self.others)

    def to_json(self) -> dict[str, float]:
        """Return the numbers by name; the empty name stands for all others."""
        return dict(self.own) | ({} if self.others is None else {"": self.others})

    def __bool__(self) -> bool:
        return self.others is not None or bool(self.own)


@dataclass(frozen=True, slots=True)
class Terms:
    """All that was said on prices and needs; None where nothing was."""

    per_hour: Named = Named()  # of one server
    once: Named = Named()  # of bringing a deployment into service
    per_kwh: float | None = None
    need_qps: float | None = None
    margin: float = 0.0  # share of the needed rate that must stay free
    output_weight: float = OUTPUT_WEIGHT  # price of an output token over that of an input token
    prompt_tokens: float | None = None  # of a query, where the run does not tell
    job_samples: float | None = None
    months: float | None = None  # that a deployment stays in service

    def check_names(self, known: Iterable[str]) -> None:
        """Refuse a price of a deployment that is none. Raises BadInput."""
        names = list(known)
        for flag, given in (("--price-per-hour", self.per_hour), ("--one-off", self.once)):
            for name in given.own:
                if name not in names:
                    raise unknown(flag, name, names)


def terms(
    price_per_hour: str | None = None,
    one_off: str | None = None,
    *,
    price_per_kwh: float | None = None,
    need_qps: float | None = None,
    margin: float = 0.0,
    output_weight: float = OUTPUT_WEIGHT,
    prompt_tokens: float | None = None,
    job_samples: float | None = None,
    months: float | None = None,
) -> Terms:
    """Check every number. `margin` is in percent. Raises BadInput."""
    _check("--price-per-kwh", price_per_kwh, "0.30", least=0)
    _check("--need-qps", need_qps, "500")
    _check("--margin", margin, "20", least=0)
    _check("--output-weight", output_weight, "4")
    _check("--prompt-tokens", prompt_tokens, "512")
    _check("--job-samples", job_samples, "100000")
    _check("--months", months, "12")
    return Terms(
        per_hour=_named("--price-per-hour", price_per_hour, "2.5, or fp32=4,int8=2.5"),
        once=_named("--one-off", one_off, "2000, or int8=2000"),
        per_kwh=price_per_kwh,
        need_qps=need_qps,
        margin=margin / 100,
        output_weight=output_weight,
        prompt_tokens=prompt_tokens,
        job_samples=job_samples,
        months=months,
    )


def _named(flag: str, text: str | None, example: str) -> Named:
    if text is None:
        return Named()
    others: float | None = None
    own = dict[str, float]()
    for part in text.split(","):
        name, _, number = part.strip().rpartition("=")
        value = _number(flag, number, part.strip(), example)
        if name in own or (not name and others is not None):
            found = f"{name or 'a price for all'} is given twice in {text!r}"
            raise BadInput(flag, found, "expected each once", f"For example: {flag} {example}.")
        if name:
            own[name.strip()] = value
        else:
            others = value
    return Named(others, own)


def _number(flag: str, number: str, part: str, example: str) -> float:
    try:
        value = float(number.strip().lstrip("$"))
    except ValueError:
        fine, todo = "expected a number", f"For example: {flag} {example}."
        raise BadInput(flag, f"{part!r} is no price", fine, todo) from None
    _check(flag, value, example, least=0)
    return value


def _check(flag: str, value: float | None, example: str, least: float | None = None) -> None:
    """Refuse a number that is not finite, and one that is not above zero (or below `least`)."""
    if value is None:
        return
    is_fine = value > 0 if least is None else value >= least
    if math.isfinite(value) and is_fine:
        return
    fine = "expected a number above 0" if least is None else "expected 0 or more"
    raise BadInput(flag, f"it is {value:g}", fine, f"For example: {flag} {example}.")
