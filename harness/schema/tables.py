"""The columns of the Parquet files, which JSON Schema does not reach."""

from __future__ import annotations

from typing import NamedTuple


class Column(NamedTuple):
    """A column of a table."""

    name: str
    kind: str
    meaning: str
    unit: str = ""


_NEVER = "; -1 if never"

SAMPLES = (
    Column("sample_id", "int32", "Number of the sample in the run, from 0."),
    Column("query_id", "int32", "Number of its query, from 0."),
    Column("index", "int32", "Its place in the dataset."),
    Column("due_ns", "int64", "When it was due.", "ns from the start"),
    Column("issued_ns", "int64", f"When it was issued{_NEVER}.", "ns from the start"),
    Column("first_ns", "int64", f"When its first token came{_NEVER}.", "ns from the start"),
    Column("done_ns", "int64", f"When it was complete{_NEVER}.", "ns from the start"),
    Column("first_token", "int32", "Id that was reported first; -1 if none."),
    Column("reported_tokens", "int32", "Tokens that the SUT counted; -1 if it did not.", "tokens"),
    Column("finish", "int8", "0 unfinished, 1 eos, 2 length, 3 stop, 4 error."),
    Column("completion_rank", "int32", "Its place in the order of completion; -1 if never."),
    Column("tokens", "int32", "Tokens of the answer, as counted here.", "tokens"),
    Column(
        "done_delay_ns",
        "int64",
        "Part of `done_ns` that is the driver's own delay; not on a virtual clock.",
        "ns",
    ),
    Column("error", "large_string", "Why it failed; null otherwise."),
    Column("token_ids", "large_list<int32>", "Ids of the answer."),
    Column("token_ns", "large_list<int64>", "When each streamed token came.", "ns from the start"),
    Column(
        "token_delay_ns",
        "large_list<int64>",
        "Part of each that is the driver's own delay; not on a virtual clock.",
        "ns",
    ),
    Column("text", "large_string", "The answer as text; null if there is none."),
    # of a server that is asked over HTTP; -1 where it does not say
    Column("failure", "large_string", "How it failed, as a class (docs/failures.md); else null."),
    Column("first_content_ns", "int64", "When its first visible token came.", "ns from the start"),
    Column("chunks", "int64", "Pieces of the stream that carried tokens.", "pieces"),
    Column("prompt_tokens", "int64", "Tokens of the prompt.", "tokens"),
    Column("cached_tokens", "int64", "Of them, what the server had computed before.", "tokens"),
    Column("queue_ns", "int64", "Time in its queue, as the server says.", "ns"),
    Column("retry_after_ns", "int64", "When it is to be asked again, as the server says.", "ns"),
    Column("retries", "int64", "How often it was sent again (accuracy mode only)."),
    Column("token_source", "string", "Who counted its tokens."),
)


def _of_gpus(*columns: Column) -> tuple[Column, ...]:
    """Return columns of all GPUs of a run, each followed by the one with a value per GPU."""
    pairs = (
        (column, Column(f"{column.name}_each", f"list<{column.kind}>", _EACH, column.unit))
        for column in columns
    )
    return tuple(column for pair in pairs for column in pair)


_EACH = "The same of each GPU, where there are several, in the order of their numbers."
_WHO = "list<struct<gpu: int64, pid: int64, name: string, bytes: int64>>"
_REFUSED = "list<struct<gpu: int64, figure: string, reason: string>>"
GPU_COLUMNS = (
    *_of_gpus(
        Column("gpu_energy_mj", "int64", "Energy since the driver was loaded.", "mJ"),
        Column("gpu_watts", "double", "Power of all of them.", "W"),
        Column("gpu_memory_bytes", "int64", "Memory in use on the run's GPUs.", "B"),
        Column("gpu_utilisation_percent", "int64", "Utilisation of the busiest of them.", "%"),
        Column("gpu_sm_mhz", "int64", "Clock of the processors (SM) of the slowest.", "MHz"),
        Column("gpu_memory_mhz", "int64", "Clock of the memory of the slowest.", "MHz"),
        Column("gpu_celsius", "int64", "Temperature of the hottest.", "°C"),
        Column("gpu_slowdowns", "int64", "Reasons for lower clocks, as the driver's bits."),
    ),
    Column("gpu_read_ms", "double", "Time that reading these took.", "ms"),
    # once a second or less often
    *_of_gpus(
        Column("gpu_foreign_processes", "int64", "Compute processes that are not of this run."),
        Column("gpu_foreign_bytes", "int64", "Memory in use that is not of this run.", "B"),
        Column("gpu_pcie_sent_bytes_per_s", "int64", "Sent over PCIe.", "B/s"),
        Column("gpu_pcie_received_bytes_per_s", "int64", "Received over PCIe.", "B/s"),
    ),
    Column("gpu_foreign", _WHO, "These processes, where there are any."),
    Column(
        "gpu_refused",
        _REFUSED,
        "Figures that a GPU did not tell, when that begins: they are null from then on.",
    ),
)
TELEMETRY = (
    Column("t_ns", "int64", "When this was sampled.", "ns from the start"),
    Column("issued", "int64", "Samples issued so far.", "samples"),
    Column("done", "int64", "Samples complete so far.", "samples"),
    Column("driver_rss_bytes", "int64", "Resident set of the driver.", "B"),
    Column("driver_cpu_percent", "double", "Processor time of the driver.", "% of one core"),
    Column("sut_rss_bytes", "int64", "Resident set of the SUT's process.", "B"),
    Column("sut_cpu_percent", "double", "Processor time of the SUT's process.", "% of one core"),
    Column("replica_rss_bytes", "list<int64>", "The same of each replica, where it has some.", "B"),
    Column(
        "replica_cpu_percent",
        "list<double>",
        "The same of each replica, where it has some.",
        "% of one core",
    ),
    Column("machine_available_bytes", "int64", "Memory that is free for use.", "B"),
    # GPUs of the run, ten times a second; columns that end in _each have a value per GPU
    *GPU_COLUMNS,
    # of a server that is asked over HTTP, by its own /metrics; null where it does not say
    Column("server_running", "double", "Requests that the server computes.", "requests"),
    Column("server_waiting", "double", "Requests that wait in the server.", "requests"),
    Column("server_kv_share", "double", "Share of its KV cache in use.", "1"),
    Column("server_prompt_tokens", "double", "Prompt tokens since it started.", "tokens"),
    Column("server_generated_tokens", "double", "Generated tokens since it started.", "tokens"),
    Column("server_cached_tokens", "double", "Prompt tokens found in its cache.", "tokens"),
    Column("server_preemptions", "double", "Requests that it put back.", "requests"),
    Column("server_queued_s", "double", "Time that requests waited in it, in all.", "s"),
    Column("server_queued", "double", "Requests that this is the sum of.", "requests"),
    Column("server_scrape_ms", "double", "Time that its /metrics took.", "ms"),
    Column("server_rss_bytes", "int64", "Resident sets of its processes on this machine.", "B"),
    Column("server_cpu_percent", "double", "Their processor time.", "% of one core"),
)
MARKS = (
    Column("index", "int64", "Index of the question."),
    Column("attempt", "int64", "Which of its answers this is, from 0."),
    Column("scorer", "string", "Which scorer marked it."),
    Column("score", "double", "How good it is.", "from 0 to 1"),
    Column("outcome", "string", "`right`, `wrong` or `no answer`."),
    Column("answer", "string", "The final answer that was read; empty if none was."),
    Column("expected", "string", "What the scorer compared with."),
    Column("tokens", "int64", "Tokens of the answer.", "tokens"),
    Column("is_cut", "bool", "Whether the limit on new tokens ended it."),
    Column(
        "log_likelihood",
        "double",
        "Mean log-likelihood of its tokens under the model, where it was drawn; null if unknown.",
        "nats per token",
    ),
    Column("verifier", "double", "What --verifier said of it; null if it gave no number."),
    Column(
        "nll_nats",
        "list<double>",
        "Negative log likelihood of each choice; null where there are none.",
        "nats",
    ),
)  # and a column for each label of the questions, such as subject
TABLES = {"samples.parquet": SAMPLES, "telemetry.parquet": TELEMETRY, "scores.parquet": MARKS}

_PLAIN_ONLY = "; null under a condition"
TEXTS = (
    Column("id", "string", "Id of the text."),
    Column("category", "string", "Its category; empty if there is none."),
    Column("text", "string", "The text."),
    Column("title", "string", "Its title, where the dataset has one."),
    Column("sentence_ends", "list<int32>", "Where each of the first three sentences ends; empty "
           "if nothing follows them. With --conditions sentences.", "characters"),
    Column("vague", "string", "Vague instruction, with --conditions instructions."),
    Column("specific", "string", "Specific instruction, the same way."),
    Column("paraphrased", "string", "Paraphrased instruction, the same way."),
)  # fmt: skip
TOKENS = (
    Column("text", "string", "Id of the text that the token is of."),
    Column("condition", "string", "Condition that it was scored under; `plain` without one."),
    Column("begins_at", "int32", "Where the scored part of the text begins.", "characters"),
    Column("position", "int32", "Place of the token in the text, from 0."),
    Column("token_id", "int32", "Its id."),
    Column("start", "int32", "Where it begins in the text.", "characters"),
    Column("end", "int32", "Where it ends, exclusive.", "characters"),
    Column("nll_nats", "float", "Negative log-likelihood (NLL) of the token.", "nats"),
    Column("correct", "bool", "Whether the model would have chosen it itself."),
    Column("kld", "float", f"KL divergence from the reference{_PLAIN_ONLY}.", "nats"),
    Column("kld_low", "float", f"Lower bound of `kld`{_PLAIN_ONLY}.", "nats"),
    Column("kld_high", "float", f"Upper bound of `kld`{_PLAIN_ONLY}.", "nats"),
    Column("kld_error", "float", f"Standard error of `kld`{_PLAIN_ONLY}.", "nats"),
    Column("same_top", "bool", f"Whether both rank the same token first{_PLAIN_ONLY}."),
    Column("p_reference", "float", f"The reference's probability of the token{_PLAIN_ONLY}."),
    Column("p", "float", f"The variant's probability of it{_PLAIN_ONLY}."),
    Column("nll_reference", "float", f"NLL of the token under the reference{_PLAIN_ONLY}.", "nats"),
)
STUDY_TABLES = {"texts.parquet": TEXTS, "tokens.parquet": TOKENS}  # of a perplexity folder

FILES = {
    "result.json": "The summary of the run, for programs.",
    "report.html": "The same for people, in one file without scripts.",
    "settings.json": "What the run was asked to do, written before it started.",
    "environment.json": "The machine and the software, written before it started.",
    "samples.parquet": "Every sample with its times, tokens and text: the raw record.",
    "telemetry.parquet": "Memory and processor, once a second; GPUs ten times.",
    "scores.parquet": "Of a task: a mark for each answer and scorer, with the groups it is of.",
    "memory.json": "`memory` of result.json.",
    "scores.json": "`accuracy` of result.json.",
    "verdicts.json": "`verdicts` of result.json.",
    "endpoints": "Of a server: the result files of MLPerf Endpoints, for its checker.",
    "mlperf_log_summary.txt": "LoadGen's summary for the same times.",
    "mlperf_log_detail.txt": "LoadGen's detail log for the same times.",
    "mlperf_log_accuracy.json": "LoadGen's log of answers.",
    "journal.bin": "What was measured so far, while a run is made; left if its driver was killed,"
    " until `harness report` has made the run of it.",
    "sut.log": "What the SUT's process wrote; only if it has one.",
    "loadgen.log": "What the official LoadGen's process wrote; with --driver mlcommons.",
    "find_peak.json": "The steps of a search; with --mode find-peak.",
    "accuracy/": "The accuracy part of a submission: a run folder of its own.",
    "step_01/": "A step of a search: a run folder of its own.",
    "more/": "Runs that harness audit made.",
    "study.json": "How a search or a submission began, and so how it goes on.",
    "rows.jsonl": "A line for each part of a search or a submission that has ended.",
    "set_aside/": "Parts that were unfinished or edited when the run went on; they do not count.",
}
