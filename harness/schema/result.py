"""What result.json holds, with its parts that are files too: verdicts, memory, scores, the steps of
a search.
"""

from __future__ import annotations

from harness.schema.environment import ENVIRONMENT_PART
from harness.schema.of_result.capacity import CAPACITY, GOODPUT
from harness.schema.of_result.client import CLIENT
from harness.schema.of_result.decoding import GRAPH_BYTES, OF_DECODING
from harness.schema.of_result.doubts import DOUBTS
from harness.schema.of_result.gpus import ENERGY, GPUS
from harness.schema.of_result.replicas import REPLICAS
from harness.schema.of_result.search import STEP
from harness.schema.of_result.self_check import SELF_CHECK
from harness.schema.of_result.served import OF_SERVER, SERVED
from harness.schema.of_result.steady import STEADY
from harness.schema.of_task.task import TASK
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
from harness.schema.settings import SETTINGS_FIELDS
from harness.schema.shared import ADAPTER, REPEATED, SCENARIO, STATUSES, STORED, TRAINABLE
from reports.scores import SCORES

MODES = ("performance", "accuracy", "submission", "find-peak")

SUMMARY_MS = record(
    "Summary of a set of times. Percentiles are values that occurred, without interpolation; null "
    "if there were none. Those of --percentiles have a name of the same kind, such as p99.99.",
    {
        "mean": maybe(number("Mean.", "ms")),
        **{name: maybe(number(f"{name[1:]}th percentile.", "ms")) for name in
           ("p50", "p90", "p95", "p97", "p99", "p99.9")},
        "max": maybe(number("Maximum.", "ms")),
        "n": whole("Number of values.", "values"),
    },
)  # fmt: skip

SUMMARY_MS["patternProperties"] = {"^p[0-9.]+$": maybe(number("A percentile.", "ms"))}

VERDICT = record(
    "One condition: what was measured, what was allowed, who is to blame, what to do.",
    {
        "rule": text("Name of the condition."),
        "status": choice(
            "Whether it holds; UNDECIDED with an `error` where it could not be judged.",
            "PASS", "FAIL", "UNDECIDED", "SKIPPED",
        ),
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
        "more_queries": maybe(whole(
            "Further queries under the limit that would decide it.", "queries"
        )),
        "error": text(
            "Why the rule itself broke, so that nothing was judged and the run is not VALID; else "
            "empty."
        ),
    },
)  # fmt: skip

_OF_PHASE = "of torch's allocator on the GPUs, else of the whole process"
MEMORY = record(
    "Memory of the system under test; null where it is not known.",
    {
        "weights_bytes": maybe(whole("Weights: parameters, buffers, quantisation states.", "B")),
        "kv_cache_bytes": maybe(whole("Key-value cache that was allocated.", "B")),
        "peak_bytes": maybe(whole(
            "Peak while loading and serving: of torch's allocator on the GPUs, else of the process "
            "above what it held before loading.", "B",
        )),
        "rss_peak_bytes": maybe(whole(
            "Peak resident set of the process while loading and serving.", "B"
        )),
        "gpu_peak_bytes": maybe(whole(
            "Peak of torch's allocator on all GPUs while loading and serving.", "B"
        )),
        "loading_peak_bytes": maybe(whole(
            f"Peak while the weights were read, converted and packed: {_OF_PHASE}.", "B"
        )),
        "serving_peak_bytes": maybe(whole(
            f"Peak during the warm-up and the run: {_OF_PHASE}.", "B"
        )),
        "evaluation_peak_bytes": maybe(whole(
            "Peak while the reference answers were scored (--evaluate), the same way.", "B"
        )),
        "system_peak_bytes": maybe(whole(
            "Peak resident set of the SUT's process as the system saw it; missing if it did not.",
            "B",
        )),
        "source": text("How these were read, and what a peak covers where it is not as said here."),
        "kv_used_bytes": maybe(whole("Most of the key-value cache in use at once.", "B")),
        "graph_bytes": GRAPH_BYTES,
        "gpu_reserved_bytes": maybe(whole(
            "Most that torch's allocator reserved while loading and serving.", "B"
        )),
        "gpu_process_bytes": maybe(whole(
            "GPU memory that NVML attributes to the process after the run.", "B"
        )),
    },
    optional=(
        "kv_used_bytes", "gpu_reserved_bytes", "gpu_process_bytes", "system_peak_bytes",
        "graph_bytes",
    ),
)  # fmt: skip

ACCURACY = empty_or(
    record(
        "Scores of the answers; only those that the dataset allows.",
        {name: number(f"{s.meaning[0].upper()}{s.meaning[1:]}.", s.unit)
         for name, s in SCORES.items()},
    )
)  # fmt: skip

SUT_FACTS = open_record(
    "What the system under test says of itself. A SUT may add facts of its own.",
    {
        "model": text("Path that was loaded; `simulated` or `null` where no model runs."),
        "variant": text("Precision."),
        "parameters": whole("Number of parameters."),
        "trainable_parameters": TRAINABLE,
        "trainable": text("Which parameters these are, in words."),
        "repeated_parameters": REPEATED,
        "adapter": ADAPTER,
        "disk_bytes": whole("Size of the files that were read.", "B"),
        "load_s": number("Time to load.", "s"),
        **STORED,
        "weights_on": by_name("Weights by device.", whole("Size.", "B")),
        "dtype": text("Type of the activations."),
        "device": text("Device that the model runs on."),
        "gpus": many(
            "GPUs that it uses, as nvidia-smi numbers them; null: one that the driver does not "
            "list.",
            maybe(whole("Number.")),
        ),
        "attention": text("Implementation of attention."),
        "context": maybe(whole("Context of the model; null: no limit.", "tokens")),
        "eos_ids": many("Ids that end an answer.", whole("Token id.")),
        "tokenizer_sha256": text("First 16 digits of a hash of the tokenizer."),
        "prompts_sha256": text(
            "First 16 digits of a hash of all prompts: of each sample its index and token ids."
        ),
        "chat_template": flag("Whether prompts are put into a chat template."),
        "chat_template_sha256": maybe(text("First 16 digits of a hash of the template.")),
        "template_date": maybe(text(
            "Date that the chat template was told, ISO 8601; null: it does not ask."
        )),
        "end_ids_left_out": many(
            "Ids that the tokenizer closes a text with, left out of the prompts.",
            whole("Token id."),
        ),
        "unknown_tokens": whole("Tokens of the prompts that stand for unknown text."),
        "generation_defaults_not_applied": by_name(
            "Settings of the model's generation_config.json that answers here do not follow.",
            anything("Its value."),
        ),
        "max_batch": whole("Most requests in a batch.", "requests"),
        "batching": text("How requests are batched (docs/architectures.md explains the words)."),
        "packed_layers": whole("Linear layers whose weights are packed for the CPU."),
        "trial_s": number(
            "How long the model was tried at load, beside its own plain forward pass.", "s"
        ),
        **OF_DECODING,
        "threads": whole("Threads of torch.", "threads"),
        "omp": by_name("Variables of OpenMP.", text("Value.")),
        "replicas": REPLICAS,
        "truncated_samples": many("Samples whose prompts were cut.", whole("Data index.")),
        "notes": many("What a reader must know.", text("A note.")),
        **OF_SERVER,
        "texts_from": choice("Where the scored texts come from; empty: none.", "ids", "sut", ""),
    },
)  # fmt: skip

MISSING = many(
    "Parts of the result that could not be made, and why. The rest is valid.",
    record("A part.", {
        "kind": choice(
            "Kind of part.",
            "figure", "rule", "score", "texts", "evaluation", "log", "page", "picture", "file",
        ),
        "name": text("Name of the part; in a submission, with the name of the run it belongs to."),
        "reason": text("What went wrong."),
        "later": flag("Whether `harness report` can still make it."),
    }),
)  # fmt: skip

DIVISION = empty_or(record("Closed or open, and what differs; empty if it could not be told.", {
    "name": choice("The division.", "closed", "open"),
    "differs": many("Differences from the closed division.", record("A difference.", {
        "name": text("What differs: a setting, in most cases."),
        "value": anything("Its value in this run."),
        "asked": anything("The value that the closed division needs."),
        "unit": text("Unit of both."),
        "by": choice("What requires it.", "profile", "division"),
    })),
}))  # fmt: skip

RESULT_FIELDS: dict[str, Schema] = {
    "schema": choice("Version of this layout.", "touchstone.result/1"),
    "run_id": text("Name of the run folder; of a part, with the part's name."),
    "started_at": text("When the program started, UTC, ISO 8601."),
    "scenario": SCENARIO,
    "mode": choice("What was run.", *MODES),
    "profile": text("Profile whose defaults held."),
    "model": text("Model as it was named, or the SUT where no model runs."),
    "variant": text("Precision of the weights; empty where no model runs."),
    "dataset": text("Dataset as it was named."),
    "sut": text("System under test: local, simulated or null."),
    "status": choice("Verdict.", *STATUSES),
    "status_reason": text("Why, in words."),
    "official": flag("Whether the figures may be set beside MLPerf's."),
    "official_lacks": many(
        "What that would take besides a VALID run: the names of `division.differs`, or `profile` "
        "where the profile is not one of MLPerf's.",
        text("A name."),
    ),
    "division": DIVISION,
    "loadgen_valid": maybe(
        flag("LoadGen's verdict on the same times; null where it has no such scenario.")
    ),
    "loadgen": open_record(
        "Figures of the official LoadGen under its own keys; empty where it was not the driver.",
        {
            "loadgen_version": text("Its version."),
            "result_validity": choice("Its verdict.", "VALID", "INVALID"),
            "errors": many("What it logged as errors.", text("An error.")),
            "warnings": many("What it logged as warnings.", text("A warning.")),
        },
    ),
    "result": record("Headline figure of the scenario; of a search, the peak rate.", {
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
    "driver_error": by_name(
        "By how much the driver's own delays (a query issued late, an event heard late) raised "
        "each statistic of a latency; negative where they lowered it. Empty where they are not "
        "known: on a virtual clock, and in runs of older versions.",
        same_as("summary_ms", "Measured less what it is without the delays."),
    ),
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
        "failed": whole("Samples that failed, those that timed out among them.", "samples"),
        "timed_out": whole(
            "Samples that were given up after --sample-timeout without progress.", "samples"
        ),
        "unfinished": whole("Samples still open at the end.", "samples"),
        "tokens": whole("Output tokens of completed samples.", "tokens"),
        "single_token_samples": whole("Answers of one token, without TPOT.", "samples"),
    }),
    "goodput": GOODPUT,
    "capacity": CAPACITY,
    "task": TASK,
    "memory": MEMORY,
    "sut_facts": SUT_FACTS,
    "accuracy": ACCURACY,
    "energy": ENERGY,
    "gpus": GPUS,
    "driver": open_record("The harness itself.", {
        "issue_lag_p99_ms": maybe(number("p99 issue lag.", "ms")),
        "error_percent": maybe(number(
            "Most that the driver's own delays changed a judged figure.", "% of what was measured"
        )),
        "client_cpu_percent": maybe(number("Processor time of the driver.", "% of one core")),
        "channel_roundtrip_us": maybe(number("Round trip to the SUT's process.", "us")),
        "load_s": maybe(number("First load of the SUT, weights included.", "s")),
        "prepare_s": maybe(number("Load of the prompts just before the clock started.", "s")),
        "read_back_s": maybe(number("Time that the SUT took to decode its answers.", "s")),
        "committed_ids": maybe(number("Ids that the SUT decoded before the run and after it.")),
        "client": CLIENT,
        "silent_tokens": maybe(number("Tokens that decode to nothing, last ones left out.")),
    }),
    "served": SERVED,
    "self_check": SELF_CHECK,
    "steady": STEADY,
    "load": empty_or(record(
        "Who used the processors during the timed part; empty on a virtual clock, where the system "
        "does not tell, and in runs of older versions.",
        {
            "wall_s": number("Time between the two readings.", "s"),
            "cpus": whole("Processors that this run may use.", "processors"),
            "own_cpus": number("Processors that the run itself kept busy.", "processors"),
            "foreign_cpus": number("Processors that others kept busy.", "processors"),
            "steal_cpus": number("Processors that other machines took.", "processors"),
            "driver_involuntary_switches": whole("Times the driver had to leave a processor."),
            "load_before": number("Load average of a minute, before."),
            "load_after": number("Load average of a minute, after."),
            "pressure_percent": number(
                "Time that some program of the machine waited for a processor.", "% of the time"
            ),
            "driver_wait_s": number(
                "Time that a thread of the driver was ready and had no processor: the longest.", "s"
            ),
            "sut_wait_s": number("The same of the system under test's own process.", "s"),
        },
        optional=("sut_wait_s",),
    )),
    "verdicts": many("The conditions, in order.", same_as("verdict", "A condition.")),
    "notes": many("What a reader must know.", text("A note.")),
    "settings": record("settings.json, and where the rate came from.", {
        **SETTINGS_FIELDS, "target_qps_origin": text("Where the rate came from."),
    }, optional=("sut",)),
    "environment": ENVIRONMENT_PART,
    "files": by_name("Files of the run folder, by name.", text("File name in the folder.")),
    "search": many("Steps of a find-peak search; empty otherwise.", STEP),
    "percentiles": many(
        "Percentiles that tables show in place of the usual ones (--percentiles).",
        number("A percentile, above 0 and below 100.", "%"),
    ),
    "doubts": DOUBTS,
    "seal": empty_or(record(
        "Whether the raw files are those that were measured: a SHA-256 over them is noted apart "
        "from the run folder.", {
            "status": choice(
                "What the seal says of the files as they are.", "sealed", "not sealed", "edited",
            ),
            "sha256": text("Seal of the raw files as they are, in hexadecimal."),
            "edited": many("Raw files that are not as they were sealed.", text("Name.")),
            "noted": text("Seal that was noted when the run was measured; empty if none was."),
            "files": by_name("SHA-256 of each raw file when it was sealed.", text("SHA-256.")),
        },
    )),
    "missing": MISSING,
}  # fmt: skip

DEFS = {"summary_ms": SUMMARY_MS, "verdict": VERDICT}
RESULT = file(
    "result.json of a run",
    record(
        "The summary of a run, for programs.",
        RESULT_FIELDS,
        optional=(
            "goodput",
            "capacity",
            "task",
            "served",
            "gpus",
            "self_check",
            "doubts",
            "steady",
        ),
    ),
    DEFS,
)
VERDICTS = file("verdicts.json", many("The verdicts of result.json.", VERDICT))
MEMORY_FILE = file("memory.json", MEMORY)
SCORES_FILE = file("scores.json", ACCURACY)
