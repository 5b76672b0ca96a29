"""Which limits is a run judged by, and how are its answers kept?"""

# Annotations are read as they stand, so they are not deferred here.

from harness.options.kinds import CountOrNone, Percent, PositiveSeconds, Probability, Seconds, Seed
from harness.options.option import JUDGE, Loadgen, option
from harness.options.slo import Slo


def _seconds(ms: float) -> float:
    return ms / 1000


class LimitOptions:
    # fmt: off


    ttft_limit: PositiveSeconds | None = option(
        JUDGE, None, "Limit on the judged TTFT percentile, for example 2s.", unit="s",
        judged="tokens", by_profile="ttft_limit_s", closed="at most",
        loadgen=Loadgen("ttft_latency", _seconds),
        commands="run plan compare whatif",
    )
    tpot_limit: PositiveSeconds | None = option(
        JUDGE, None, "Limit on the judged TPOT percentile, for example 200ms.", unit="ms",
        judged="tokens", by_profile="tpot_limit_s", closed="at most",
        loadgen=Loadgen("tpot_latency", _seconds),
        commands="run plan compare whatif",
    )
    target_latency: PositiveSeconds | None = option(
        JUDGE, None,
        "Limit on the latency of whole answers, judged instead of TTFT and TPOT (server only).",
        unit="s", held=lambda run: run.target_latency_ns / 1e9 or None, judged="latency",
        by_profile="target_latency_s", closed="at most",
        commands="run plan compare whatif",
    )
    use_token_latencies: bool | None = option(
        JUDGE, None,
        "Judge TTFT and TPOT (server only); --no-use-token-latencies judges the latency of whole "
        "answers.",
        held=lambda run: run.use_tokens, by_profile="use_tokens", closed="same",
        commands="run plan compare whatif",
    )
    percentile: Percent | None = option(
        JUDGE, None, "Percentile that is judged, for example 90, 99 or 99.9.", unit="%",
        held=lambda run: 100 * run.percentile, by_profile="tail", closed="at least",
        loadgen=Loadgen("target_latency_percentile"),
        commands="run plan compare whatif",
    )
    slo: Slo | None = option(
        JUDGE, None,
        "Limits that each answer should keep, such as ttft:2s,latency:9s. They "
        "define the goodput and change no verdict. Default: the limits that are judged, if any.",
        metavar="LIST", commands="run plan compare whatif",
    )
    infer_tokens: CountOrNone | None = option(
        JUDGE, None,
        "Number of tokens to assume per sample when none are counted, or 0 for none (LoadGen's "
        "infer_token_latencies).",
        held=lambda run: run.inferred_tokens_per_sample, by_profile="inferred_tokens_per_sample",
    )
    accuracy_log_target: CountOrNone = option(
        JUDGE, 0,
        "Number of answers, approximately, that a performance run copies into "
        "mlperf_log_accuracy.json.",
        loadgen=Loadgen("accuracy_log_sampling_target"),
    )
    accuracy_log_probability: Probability = option(
        JUDGE, 0.0, "The same as a probability per answer, from 0 to 1.",
        loadgen=Loadgen("accuracy_log_probability", lambda percent: 0.01 * percent),
    )
    accuracy_log_seed: Seed = option(
        JUDGE, 0, "Random seed that selects those answers.",
        loadgen=Loadgen("accuracy_log_rng_seed"),
    )
    sample_timeout: PositiveSeconds = option(
        JUDGE, 120.0,
        "Give a sample up after this time without progress: of the whole system while the sample "
        "waits, of the sample itself once it has begun.",
        unit="s", commands="run plan compare gate",
    )
    drain_timeout: Seconds = option(
        JUDGE, 10.0, "How long to wait for unfinished samples after Ctrl-C. Default: 10s.",
        unit="s", commands="run compare gate",
    )

    # fmt: on
