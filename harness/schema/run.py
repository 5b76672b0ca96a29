"""What the files of a run folder hold, field by field: result.json and its parts, settings.json,
environment.json.
"""

from __future__ import annotations

import typer

from harness.cli import app
from harness.schema.parts import (
    Schema,
    anything,
    by_name,
    choice,
    empty_or,
    file,
    flag,
    many,
    maybe,
    number,
    open_record,
    record,
    same_as,
    text,
    whole,
)
from harness.settings import RunConfig
from reports.scores import SCORES

STATUSES = ("VALID", "INVALID", "INTERRUPTED", "ERROR")
SCENARIOS = ("single-stream", "multi-stream", "server", "offline")
MODES = ("performance", "accuracy", "submission", "find-peak")


def helps(command: str) -> dict[str, str]:
    """What each option of a command does, as its help says it."""
    found = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    return {param.name: param.help for param in found.params}


# ---- parts that several files share

SUMMARY_MS = record(
    "Summary of a set of times. Percentiles are values that occurred, without interpolation; null "
    "if there were none.",
    {
        "mean": maybe(number("Mean.", "ms")),
        **{name: maybe(number(f"{name[1:]}th percentile.", "ms")) for name in
           ("p50", "p90", "p95", "p97", "p99", "p99.9")},
        "max": maybe(number("Maximum.", "ms")),
        "n": whole("Number of values.", "values"),
    },
)  # fmt: skip

VERDICT = record(
    "One condition: what was measured, what was allowed, who is to blame, what to do.",
    {
        "rule": text("Name of the condition."),
        "status": choice("Whether it holds.", "PASS", "FAIL", "UNDECIDED", "SKIPPED"),
        "measured": maybe(number("What was measured, in `unit`.")),
        "limit": maybe(number("What was allowed, in `unit`.")),
        "unit": text("Unit of `measured` and `limit`."),
        "detail": text("What was seen, in words."),
        "evidence": many("Ids of the samples to blame, worst first.", whole("Sample id.")),
        "remedy": text("What to do about it, in words."),
        "loadgen": flag("Whether LoadGen's own verdict rests on this condition too."),
        "margin": maybe(number("Room left, as a share of the limit; negative if missed.")),
        "over": maybe(whole("Number of samples over the limit.", "samples")),
        "allowed": maybe(whole("Number over the limit that would still pass.", "samples")),
        "more_queries": maybe(whole("Further queries under the limit that would decide.")),
    },
)

MEMORY = record(
    "Memory of the system under test.",
    {
        "weights_bytes": maybe(whole("Weights: parameters, buffers, quantisation states.", "B")),
        "kv_cache_bytes": maybe(whole("Key-value cache that was allocated.", "B")),
        "peak_bytes": maybe(whole("Peak above what the process held before loading.", "B")),
        "rss_peak_bytes": maybe(whole("Peak resident set of the process.", "B")),
        "gpu_peak_bytes": maybe(whole("Peak of torch's allocator on the GPU.", "B")),
        "source": text("How these were read."),
        "kv_used_bytes": maybe(whole("Most of the key-value cache in use at once.", "B")),
        "gpu_reserved_bytes": maybe(whole("Most that torch's allocator reserved.", "B")),
        "gpu_process_bytes": maybe(whole("What the driver books on the process.", "B")),
    },
    optional=("kv_used_bytes", "gpu_reserved_bytes", "gpu_process_bytes"),
)

ACCURACY = empty_or(
    record(
        "Scores of the answers; only those that the dataset allows.",
        {name: number(f"{s.meaning[0].upper()}{s.meaning[1:]}.", s.unit)
         for name, s in SCORES.items()},
    )
)  # fmt: skip

# ---- settings.json

RUN = record(
    "The settings as the scenario and the driver got them: no defaults are open any more.",
    {
        "scenario": choice("Load pattern.", *SCENARIOS),
        "mode": choice("Part that was run.", "performance", "accuracy"),
        "seeds": record("Random seeds.", {
            "qsl": whole("Which samples are loaded."),
            "sample_index": whole("In which order they are issued."),
            "schedule": whole("When they are issued."),
        }),
        "num_samples": whole("Samples in the library.", "samples"),
        "performance_samples": whole("Samples that a performance run draws from.", "samples"),
        "target_qps": number("Arrival rate in server, expected rate elsewhere.", "queries/s"),
        "samples_per_query": whole("Samples in a query of multi-stream; 1 elsewhere.", "samples"),
        "min_queries": whole("Minimum number of queries.", "queries"),
        "min_duration_ns": whole("Minimum duration.", "ns"),
        "max_queries": maybe(whole("Maximum number of queries.", "queries")),
        "max_duration_ns": maybe(whole("Time after which nothing more is issued.", "ns")),
        "percentile": number("Percentile that is judged, as a share: 0.99."),
        "ttft_limit_ns": whole("Limit of the judged TTFT percentile.", "ns"),
        "tpot_limit_ns": whole("Limit of the judged TPOT percentile.", "ns"),
        "use_tokens": flag("Whether TTFT and TPOT are judged, and tokens counted."),
        "max_new_tokens": whole("Maximum length of an answer.", "tokens"),
        "sample_timeout_ns": whole("Time after which a sample fails.", "ns"),
        "drain_timeout_ns": whole("Time that open samples get after Ctrl-C.", "ns"),
        "lag_limit_ns": whole("p99 issue lag above which the driver fell behind.", "ns"),
        "equal_issue": flag("Whether each sample is issued equally often."),
        "official_min_duration_ns": whole("MLPerf's minimum duration.", "ns"),
        "accuracy_samples": maybe(whole("Samples of an accuracy run; null: all.", "samples")),
        "issue": choice("How samples are drawn.", "random", "unique", "same"),
        "same_index": whole("Position in the loaded set of the one sample of `same`."),
        "target_latency_ns": whole("Limit of the whole latency; 0: TTFT and TPOT.", "ns"),
        "inferred_tokens_per_sample": maybe(whole("Tokens assumed per sample.", "tokens")),
        "accuracy_log_probability": number("Share of answers that are logged.", "0 to 1"),
        "accuracy_log_target": whole("Number of answers that are logged.", "answers"),
        "accuracy_log_seed": whole("Seed that selects them."),
    },
)  # fmt: skip

DATASET = record(
    "Where the samples came from.",
    {
        "name": text("As it was asked for; `none` without a dataset."),
        "file": text("Name of the file."),
        "format": text("Format that it was read as."),
        "sha256": text("SHA-256 of the file."),
        "licence": text("Licence, as far as it is known."),
        "rows": whole("Samples that were read.", "samples"),
        "where": by_name("Values that rows were selected by.", text("Value of the column.")),
    },
    optional=("file", "format", "sha256", "licence", "where"),
)


def _config() -> Schema:
    """What the user asked for: one field per option, described by its help."""
    known = RunConfig.model_json_schema(mode="serialization")["properties"]
    words = helps("run") | {"sut_options": "Options of the simulated SUT, by name."}
    words |= {"origins": "Where each setting that was given came from: a flag, or a file's line."}
    fields = {}
    for name, part in known.items():
        part.pop("title", None)
        fields[name] = {**part, "description": words[name]}
    meaning = "What the user asked for; null where the profile decides. Times are in seconds."
    return record(meaning, fields)


SETTINGS_FIELDS = {
    "config": _config(),
    "run": RUN,
    "dataset": DATASET,
    "effective": many(
        "Every setting as it holds, in the order of the options.",
        record("A setting.", {
            "name": text("Its name."),
            "value": anything("Its value."),
            "unit": text("Its unit."),
            "origin": text("Who said so: a flag, a file's line, a profile, or a default."),
        }),
    ),
}  # fmt: skip
SETTINGS = file("settings.json of a run", record("What a run was asked to do.", SETTINGS_FIELDS))

# ---- environment.json

ENVIRONMENT_PART = record(
    "The machine and the software.",
    {
        "touchstone": text("Version of Touchstone."),
        "platform": text("Operating system."),
        "python": text("Version of Python."),
        "machine": record("The machine.", {
            "cpu": text("Processor."),
            "cpu_flags": many("Instruction sets that matter here.", text("Name.")),
            "cores_physical": maybe(whole("Physical cores.", "cores")),
            "cores_logical": maybe(whole("Logical cores.", "cores")),
            "cores_allowed": maybe(whole("Logical cores that the process may use.", "cores")),
            "memory_bytes": whole("Memory.", "B"),
            "load_average": maybe(many("Load of the last 1, 5 and 15 minutes.", number("Load."))),
            "governor": text("Frequency governor of the first core."),
        }),
        "gpus": many("NVIDIA GPUs.", record("A GPU.", {
            "name": text("Its name."),
            "memory_bytes": whole("Its memory.", "B"),
            "driver": text("Version of the driver."),
        })),
        "packages": by_name("Versions of the libraries.", text("Version.")),
        "variables": by_name("Environment variables that change speed.", text("Value.")),
        "git": maybe(record("Checkout of Touchstone; null outside one.", {
            "commit": text("Its commit."),
            "dirty": flag("Whether files were changed since."),
        })),
    },
    optional=("touchstone",),
)  # fmt: skip
ENVIRONMENT = file("environment.json", ENVIRONMENT_PART)

# ---- result.json

SUT_FACTS = open_record(
    "What the system under test says of itself. A SUT may add facts of its own.",
    {
        "model": text("Folder or hub id that was loaded."),
        "variant": text("Precision."),
        "parameters": whole("Number of parameters."),
        "trainable_parameters": whole("Number of parameters that training would change."),
        "adapter": anything("The LoRA adapter: path, rank, base model, whether it is merged."),
        "disk_bytes": whole("Size of the files that were read.", "B"),
        "load_s": number("Time to load.", "s"),
        "weights_on": by_name("Weights by device.", whole("Size.", "B")),
        "dtype": text("Type of the activations."),
        "device": text("Device that the model runs on."),
        "attention": text("Implementation of attention."),
        "context": whole("Context of the model.", "tokens"),
        "eos_ids": many("Ids that end an answer.", whole("Token id.")),
        "tokenizer_sha256": text("First 16 digits of a hash of the tokenizer."),
        "chat_template": flag("Whether prompts are put into a chat template."),
        "max_batch": whole("Most requests in a batch.", "requests"),
        "batching": text("How requests are batched."),
        "packed_layers": whole("Linear layers whose weights are packed for the CPU."),
        "decode_step": text("Implementation of a decode step."),
        "threads": whole("Threads of torch.", "threads"),
        "omp": by_name("Variables of OpenMP.", text("Value.")),
        "truncated_samples": many("Samples whose prompts were cut.", whole("Data index.")),
        "notes": many("What a reader must know.", text("A note.")),
        "texts_from": choice("Where the scored texts come from; empty: none.", "ids", "sut", ""),
        "slots": whole("Simulated SUT: requests served at once.", "requests"),
        "fault": text("Simulated SUT: the fault that was asked for."),
    },
)  # fmt: skip

RESULT_FIELDS: dict[str, Schema] = {
    "schema": choice("Version of this layout.", "touchstone.result/1"),
    "run_id": text("Name of the run folder; of a part, with the part's name."),
    "started_at": text("When the program started, UTC, ISO 8601."),
    "scenario": choice("Load pattern.", *SCENARIOS),
    "mode": choice("What was run.", *MODES),
    "profile": text("Profile whose defaults held."),
    "model": text("Model as it was named, or the SUT where no model runs."),
    "variant": text("Precision of the weights; empty where no model runs."),
    "dataset": text("Dataset as it was named."),
    "sut": text("System under test: local, simulated or null."),
    "status": choice("Verdict.", *STATUSES),
    "status_reason": text("Why, in words."),
    "official": flag("Whether the figures may be set beside MLPerf's."),
    "official_lacks": many("What else than VALID that would take.", text("Name of a setting.")),
    "division": empty_or(record("Closed or open, and what differs.", {
        "name": choice("The division.", "closed", "open"),
        "differs": many("Differences from the closed division.", record("A difference.", {
            "name": text("Setting."),
            "value": anything("Its value in this run."),
            "asked": anything("The value that the closed division needs."),
            "unit": text("Unit of both."),
            "by": choice("Who asks for it.", "profile", "division"),
        })),
    })),
    "loadgen_valid": flag("The verdict that LoadGen gives for the same times."),
    "loadgen": open_record("Figures of the official LoadGen, where it was the driver.", {
        "loadgen_version": text("Its version."),
        "result_validity": choice("Its verdict.", "VALID", "INVALID"),
    }),
    "result": record("Headline figure of the scenario.", {
        "name": text("Its name."),
        "value": maybe(number("Its value, in `unit`; null if it is undefined.")),
        "unit": text("Its unit."),
        "n": whole("Number of values behind it.", "values"),
    }),
    "latency": record("Times over completed samples.", {
        "ttft_ms": same_as("summary_ms", "Time to first token, from the due time."),
        "tpot_ms": same_as("summary_ms", "Time per output token, as MLPerf defines it."),
        "itl_ms": same_as("summary_ms", "Gaps between the tokens of a sample, pooled."),
        "latency_ms": same_as("summary_ms", "Time to the last token, from the due time."),
        "issue_lag_ms": same_as("summary_ms", "Delay of the driver: issue after due time."),
    }),
    "throughput": record("Rates over the whole run; null if undefined.", {
        "samples_per_s": maybe(number("Completed samples.", "samples/s")),
        "queries_per_s": maybe(number("Queries whose samples all completed.", "queries/s")),
        "tokens_per_s": maybe(number("Output tokens of completed samples.", "tokens/s")),
        "scheduled_samples_per_s": maybe(number("Arrivals, server only.", "samples/s")),
        "duration_s": maybe(number("From the start to the last completion.", "s")),
    }),
    "counts": record("What was issued, and what became of it.", {
        "queries": whole("Queries issued.", "queries"),
        "samples": whole("Samples issued.", "samples"),
        "completed": whole("Samples completed.", "samples"),
        "failed": whole("Samples that failed.", "samples"),
        "unfinished": whole("Samples still open at the end.", "samples"),
        "tokens": whole("Output tokens of completed samples.", "tokens"),
        "single_token_samples": whole("Answers of one token, without TPOT.", "samples"),
    }),
    "memory": MEMORY,
    "sut_facts": SUT_FACTS,
    "accuracy": ACCURACY,
    "energy": empty_or(record("Energy, where power was sampled.", {
        "joules": maybe(number("Energy over the run.", "J")),
        "joules_per_token": maybe(number("Energy per output token.", "J/token")),
        "watts_mean": maybe(number("Mean power.", "W")),
        "source": text("How power was read."),
    })),
    "driver": open_record("The harness itself.", {
        "issue_lag_p99_ms": maybe(number("p99 issue lag.", "ms")),
        "client_cpu_percent": maybe(number("Processor time of the driver.", "% of one core")),
        "channel_roundtrip_us": maybe(number("Round trip to the SUT's process.", "us")),
    }),
    "verdicts": many("The conditions, in order.", same_as("verdict", "A condition.")),
    "notes": many("What a reader must know.", text("A note.")),
    "settings": record("settings.json, and where the rate came from.", {
        **SETTINGS_FIELDS, "target_qps_origin": text("Where the rate came from."),
    }),
    "environment": ENVIRONMENT_PART,
    "files": by_name("Files of the run folder, by name.", text("File name in the folder.")),
    "search": many("Steps of a find-peak search; empty otherwise.", record("A rate tried.", {
        "target_qps": number("The rate.", "queries/s"),
        "limits_kept": flag("Whether the latency limits were kept."),
        "status": choice("Verdict of its run.", *STATUSES),
        "folder": text("Folder of its run, inside the run folder."),
    })),
}  # fmt: skip

DEFS = {"summary_ms": SUMMARY_MS, "verdict": VERDICT}
RESULT = file(
    "result.json of a run", record("The summary of a run, for programs.", RESULT_FIELDS), DEFS
)
VERDICTS = file("verdicts.json", many("The verdicts of result.json.", VERDICT))
MEMORY_FILE = file("memory.json", MEMORY)
SCORES_FILE = file("scores.json", ACCURACY)
