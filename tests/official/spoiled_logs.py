"""Logs and scores that are not as they should be."""

from __future__ import annotations

from reports.mlperf.files import SUMMARY
from tests.official.spoiling import Spoiled, event, gone, path
from tests.package_helpers import replaced


def timed() -> list[Spoiled]:
    """The performance log of llama3.1-8b in the server scenario."""
    log, offline = (path("llama3.1-8b", name, "timed") for name in ("Server", "Offline"))
    first_token = "result_first_token_99.00_percentile_latency_ns"
    per_token = "result_time_per_output_token_99.00_percentile_ns"
    rate, tokens = "result_completed_samples_per_sec", "result_completed_tokens_per_second"
    rows = {
        "another QSL seed": event(log, "effective_qsl_rng_seed", 1),
        "another sample seed": event(log, "effective_sample_index_rng_seed", 1),
        "another schedule seed": event(log, "effective_schedule_rng_seed", 1),
        "too few samples loaded": event(log, "effective_performance_sample_count", 13367),
        "599.999 s asked for": event(log, "effective_min_duration_ms", 599_999),
        "offline: a query too small": event(offline, "effective_samples_per_query", 13367),
        "offline: no query": event(offline, "effective_min_query_count", 0),
        "offline: no size of the query": event(offline, "effective_samples_per_query", "null"),
        "early stopping not met": event(log, "early_stopping_met", "false"),
        "tokens not timed": event(log, "requested_use_token_latencies", "false"),
        "TTFT at the limit": event(log, first_token, 2_000_000_000),
        "TPOT at the limit": event(log, per_token, 100_000_000),
        "TTFT missing": replaced(log, first_token, "x"),
        "a target latency above 20 s": event(log, "effective_target_latency_ns", 20_000_000_001),
        "no target latency": replaced(log, "effective_target_latency_ns", "x"),
        "no tokens per second": replaced(log, tokens, "x"),
        "no samples per second": replaced(log, rate, "x"),
        "0 tokens per second": event(log, tokens, 0),
        "tokens per second undefined": event(log, tokens, "null"),
        "tokens per second in words": event(log, tokens, '"many"'),
        "offline: no tokens per second": replaced(offline, "result_tokens_per_second", "x"),
        "an offline log in the folder Server": event(log, "effective_scenario", '"Offline"'),
        "a server log in the folder Offline": event(offline, "effective_scenario", '"Server"'),
        "a broken line": replaced(log, '"qsl_name", "value": ', '"qsl_name", "value": "'),
        "a first line of somebody's": replaced(log, "^", "hello\n"),
        "an empty log": replaced(log, "(?s).+", ""),
        "no log": gone(log),
        "an event without a key": replaced(log, '"key": "qsl_name"', '"name": "qsl_name"'),
        "an event without metadata": replaced(log, '"metadata": ', '"data": '),
        "bytes that are no text": replaced(log, "Touchstone local", "Touchstone \udcff"),
    }
    return [Spoiled(name, "llama3.1-8b", change) for name, change in rows.items()]


def timed_stricter() -> list[Spoiled]:
    log, page = path("llama3.1-8b", "Server", "timed"), path("llama3.1-8b", "Server", "summary")
    interactive = path("llama2-70b", "Interactive", "timed")
    figure = '(\n:::MLLOG {"key": "result_completed_tokens_per_second"[^\n]*)'
    rows = {
        "INVALID": (event(log, "result_validity", '"INVALID"'), "an INVALID run is no result"),
        "no verdict": (replaced(log, "result_validity", "x"), "an INVALID run is no result"),
        "too short": (event(log, "result_min_duration_met", "false"), "LoadGen calls it INVALID"),
        "too few queries": (event(log, "result_min_queries_met", "false"), "LoadGen says INVALID"),
        "an error in the log": (
            replaced(log, r'(?s)"is_error": false(.*)', r'"is_error": true\1'),
            "LoadGen's errors are in plain sight",
        ),
        "not issued equally often": (
            event(log, "effective_sample_concatenate_permutation", "false"),
            "mlperf.conf sets it for every language model",
        ),
        "each sample once": (
            event(log, "effective_performance_issue_unique", "true"),
            "only compliance runs may",
        ),
        "one sample only": (
            event(log, "effective_performance_issue_same", "true"),
            "only compliance runs may",
        ),
        "an accuracy run's log": (
            event(log, "effective_test_mode", '"AccuracyOnly"'),
            "it was not timed",
        ),
        "no model ran": (
            replaced(log, '"Touchstone local llama bf16"', '"Touchstone simulated"'),
            "nothing was measured",
        ),
        "no summary": (gone(page), "it belongs to the logs"),
        "a summary that says INVALID": (
            replaced(page, "Result is : VALID", "Result is : INVALID"),
            "the two logs are of one run",
        ),
        "a figure twice": (replaced(log, figure, r"\1\1"), "LoadGen writes one line"),
        "a rate below 0": (
            event(log, "result_completed_tokens_per_second", -3),
            "there is no such rate",
        ),
        "a rate that is no number": (
            event(log, "result_completed_tokens_per_second", "NaN"),
            "there is no such rate",
        ),
    }
    found = [Spoiled(name, "llama3.1-8b", *row[:1], "ours", row[1]) for name, row in rows.items()]
    why = "the official checker applies the limits of Server"
    key = "result_first_token_99.00_percentile_latency_ns"
    slow = "result_time_per_output_token_99.00_percentile_ns"
    return [
        *found,
        Spoiled("interactive TTFT 450 ms", "llama2-70b", event(interactive, key, 450_000_000),
                "ours", why),
        Spoiled("interactive TPOT 40 ms", "llama2-70b", event(interactive, slow, 40_000_000),
                "ours", why),
        Spoiled("interactive TTFT 2 s", "llama2-70b", event(interactive, key, 2_000_000_000)),
    ]  # fmt: skip


def accuracy() -> list[Spoiled]:
    log, text = (path("llama3.1-8b", "Server", name) for name in ("scored", "scores"))
    answers, page = path("llama3.1-8b", "Server", "answers"), path("llama3.1-8b", "Offline", "")
    count = "effective_accuracy_sample_count"
    rows = {
        "accuracy: a sample too few": event(log, count, 13367),
        "accuracy: a sample too many": event(log, count, 13369),
        "accuracy: an error in the log": replaced(
            log, r'(?s)"is_error": false(.*)', r'"is_error": true\1'
        ),
        "accuracy: no log": gone(log),
        "accuracy: a broken line": replaced(log, '"sut_name", ', '"sut_name" '),
        "accuracy: no answers": gone(answers),
        "accuracy: answers not cut": replaced(answers, "$", "0" * 10241),
        "accuracy: no scores": gone(text),
        "accuracy: an empty page": replaced(text, "(?s).+", ""),
        "accuracy: no hash": replaced(text, "hash=", "#"),
        "accuracy: a hash with a blank": replaced(text, r"hash=\w+", "hash=ab cd"),
        "ROUGE-1 too low": replaced(text, r"('rouge1': )[\d.]+", r"\g<1>38.3914"),
        "ROUGE-Lsum too low": replaced(text, r"('rougeLsum': )[\d.]+", r"\g<1>35.435"),
        "gen_len too short": replaced(text, r"('gen_len': )[\d.]+", r"\g<1>7350879"),
        "gen_len too long": replaced(text, r"('gen_len': )[\d.]+", r"\g<1>8984409"),
        "no ROUGE-2": replaced(text, "'rouge2'", "'rogue2'"),
        "gen_len in quotes": replaced(text, r"('gen_len': )([\d.]+)", r"\g<1>'\2'"),
        "gen_len behind two blanks": replaced(text, "'gen_len': ", "'gen_len':  "),
        "a number with two points": replaced(text, r"('rouge1': )[\d.]+", r"\g<1>38.7.8"),
        "a low score before a good one": replaced(text, "^", "'rouge1': 1.0\n"),
    }
    unseen = {
        "accuracy: a performance run's log": (
            event(log, "effective_test_mode", '"PerformanceOnly"'),
            "it asked a part of the samples, and some twice",
        ),
        "accuracy: no summary": (
            gone(f"{page}accuracy/{SUMMARY}"),
            "it belongs to the logs",
        ),
        "a low score after a good one": (
            replaced(text, r"\Z", "'rouge1': 1.0\n"),
            "the official checker stops reading at the hash",
        ),
    }
    found = [Spoiled(name, "llama3.1-8b", change) for name, change in rows.items()]
    return found + [
        Spoiled(name, "llama3.1-8b", change, "ours", why) for name, (change, why) in unseen.items()
    ]
