"""What does a deployment cost? Rates of one server and prices in, costs with intervals out.

    tokens        price of an hour / output tokens of an hour: everything is charged to the output
    both          input and output tokens each have a price, of which that of an output token is
                  `output_weight` times the other's; together they pay for the hour exactly
    job           samples / (samples per second), on one server
    energy        joules of a token, at the price of a kilowatt hour
    fleet         servers = needed rate x (1 + margin) / valid rate of one, rounded up; their hour;
                  what a million output tokens cost when the needed rate is served, no more

Per user: the median time per output token at the valid rate, as tokens per second; how many users
are served at a time is Little's law (rate x mean latency).
"""

from __future__ import annotations

import numpy as np

from harness.cost.rates import Rates
from harness.cost.terms import HOURS_PER_MONTH, Terms
from harness.cost.uncertain import Uncertain, combined, exactly

MILLION, HOUR_S, JOULES_PER_KWH = 1e6, 3600.0, 3.6e6
_ROUNDING = 1e-9  # 500 / 25 are 20 servers, whatever the last bit says
Costs = dict[str, Uncertain]


def costs(rates: Rates, terms: Terms, *names: str) -> Costs:
    """Return all that follows from what is known; `names` are those of the deployment."""
    price = terms.per_hour.of(*names)
    found = Costs()
    if rates.tokens_per_s is not None and price is not None:
        found |= _per_token(rates, terms, price)
    if rates.tokens_per_s is not None and terms.job_samples is not None:
        found |= _job(rates, terms, price)
    if rates.joules_per_token is not None:
        found |= _energy(rates.joules_per_token, terms)
    if rates.valid_qps is not None:
        found |= _fleet(rates, terms, price)
    return found


def _per_token(rates: Rates, terms: Terms, price: float) -> Costs:
    assert rates.tokens_per_s is not None
    per_s = price / HOUR_S
    found = {
        "usd_per_m_tokens": combined(lambda speed: MILLION * per_s / speed, rates.tokens_per_s)
    }
    prompt = rates.prompt_tokens or terms.prompt_tokens
    if prompt is None or not rates.tokens_per_sample:
        return found
    inputs = prompt / rates.tokens_per_sample  # for each output token
    weight = terms.output_weight

    def per_input(speed: float) -> float:
        return MILLION * per_s / (speed * (inputs + weight))

    found["usd_per_m_input_tokens"] = combined(per_input, rates.tokens_per_s)
    found["usd_per_m_output_tokens"] = combined(
        lambda speed: weight * per_input(speed), rates.tokens_per_s
    )
    return found


def _job(rates: Rates, terms: Terms, price: float | None) -> Costs:
    assert rates.tokens_per_s is not None
    if not rates.tokens_per_sample or terms.job_samples is None:
        return {}
    tokens = terms.job_samples * rates.tokens_per_sample
    hours = combined(lambda speed: tokens / speed / HOUR_S, rates.tokens_per_s)
    found = {"job_hours": hours}
    if price is not None:
        found["job_usd"] = combined(lambda hours: hours * price, hours)
    return found


def _energy(joules: Uncertain, terms: Terms) -> Costs:
    found = {"kwh_per_m_tokens": combined(lambda j: MILLION * j / JOULES_PER_KWH, joules)}
    if (price := terms.per_kwh) is not None:
        found["energy_usd_per_m_tokens"] = combined(
            lambda kwh: kwh * price, found["kwh_per_m_tokens"]
        )
    return found


def _fleet(rates: Rates, terms: Terms, price: float | None) -> Costs:
    assert rates.valid_qps is not None
    found = _users(rates)
    if (need := terms.need_qps) is None:
        return found
    servers = servers_for(need, rates.valid_qps, terms.margin)
    found["servers"] = servers
    found["load_per_server"] = combined(lambda n, qps: need / n / qps, servers, rates.valid_qps)
    if rates.tokens_per_sample:
        found["system_tokens_per_s"] = exactly(need * rates.tokens_per_sample)
    if price is None:
        return found
    found["usd_per_hour"] = combined(lambda n: n * price, servers)
    found["usd_per_month"] = combined(lambda n: n * price * HOURS_PER_MONTH, servers)
    if rates.tokens_per_sample:
        tokens = need * rates.tokens_per_sample * HOUR_S
        found["usd_per_m_tokens_needed"] = combined(
            lambda hour: MILLION * hour / tokens, found["usd_per_hour"]
        )
    return found


def _users(rates: Rates) -> Costs:
    """Return what one server does at its valid rate: for each user, and for all of them."""
    assert rates.valid_qps is not None
    found = Costs()
    if rates.tpot_s is not None and rates.tpot_s.value > 0:
        found["user_tokens_per_s"] = combined(lambda tpot: 1 / tpot, rates.tpot_s)
    if rates.latency_s is not None:
        found["users_at_once"] = combined(
            lambda qps, latency: qps * latency, rates.valid_qps, rates.latency_s
        )
    if per_sample := rates.tokens_per_sample:
        found["served_tokens_per_s"] = combined(lambda qps: qps * per_sample, rates.valid_qps)
    return found


def servers_for(need_qps: float, valid_qps: Uncertain, margin: float = 0.0) -> Uncertain:
    """Return how many servers carry a rate: 500 queries/s at 5 each are 100, at 25 each 20."""
    return combined(lambda qps: np.ceil(need_qps * (1 + margin) / qps - _ROUNDING), valid_qps)
