"""What settings.json holds: what a run was asked to do, and what that came to. And what study.json
and rows.jsonl hold: what a study is to measure, and how far it has come.
"""

from __future__ import annotations

from harness.options.run_options import OPTIONS
from harness.options.settings import RunConfig
from harness.schema.of_task.task import DRAWS
from harness.schema.parts import (
    Schema,
    anything,
    by_name,
    choice,
    file,
    flag,
    many,
    maybe,
    number,
    open_record,
    record,
    text,
    whole,
)
from harness.schema.shared import SCENARIO, SUBSET

RUN = record(
    "The settings as the scenario and the driver got them: no defaults are open any more.",
    {
        "scenario": SCENARIO,
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
        "ttft_limit_ns": whole("Limit of the judged TTFT percentile, if `use_tokens`.", "ns"),
        "tpot_limit_ns": whole("Limit of the judged TPOT percentile, if `use_tokens`.", "ns"),
        "use_tokens": flag(
            "Whether server is judged by TTFT and TPOT (else by the whole latency), and whether "
            "the MLPerf logs count tokens."
        ),
        "max_new_tokens": whole("Maximum length of an answer.", "tokens"),
        "sample_timeout_ns": whole(
            "Time without progress after which a sample is given up: of the whole system while "
            "the sample waits, of the sample itself once it has begun.", "ns",
        ),
        "drain_timeout_ns": whole("Time that open samples get after Ctrl-C.", "ns"),
        "lag_limit_ns": whole("p99 issue lag above which the driver fell behind.", "ns"),
        "equal_issue": flag("Whether each sample is issued equally often."),
        "official_min_duration_ns": whole("MLPerf's minimum duration.", "ns"),
        "accuracy_samples": maybe(whole("Samples of an accuracy run; null: all.", "samples")),
        "issue": choice(
            "How samples are drawn: at random, each at most once, or one sample throughout. "
            "`equal_issue` holds besides.", "random", "unique", "same",
        ),
        "same_index": whole("Position in the loaded set of the one sample of `same`."),
        "target_latency_ns": whole(
            "Limit of the whole latency, judged in server unless `use_tokens`; 0: none.", "ns"
        ),
        "inferred_tokens_per_sample": maybe(whole(
            "Tokens assumed per sample where none are counted; null: none are assumed.", "tokens"
        )),
        "accuracy_log_probability": number("Share of answers that are logged.", "0 to 1"),
        "accuracy_log_target": whole("Approximate number of answers that are logged.", "answers"),
        "accuracy_log_seed": whole("Seed that selects them."),
        "own_limits": flag(
            "Whether samples have lengths of their own, of which max_new_tokens is the highest."
        ),
        "load": text("When queries come in server; missing in older runs, which had poisson."),
    },
    optional=("own_limits", "load"),
)  # fmt: skip

_TASK = record(
    "The task that asks them; missing without --task.",
    {
        "name": text("The task."),
        "shots": whole("Examples before each question.", "examples"),
        "shots_from": text("The file that they were taken from; empty without examples."),
        "shots_sha256": text("Its SHA-256; empty where it is no file."),
        "scorers": many("Scorers, the one that decides first.", text("A name.")),
        "chat": flag("Whether prompts were put into the model's chat template."),
        "repeated": whole("Questions that stand in the file a second time.", "questions"),
        "draws": DRAWS,
    },
    optional=("draws",),
)
DATASET = record(
    "Where the samples came from.",
    {
        "name": text("As it was asked for; `none` without a dataset."),
        "file": text("Name of the file."),
        "format": text("Format that it was read as."),
        "sha256": text("SHA-256 of the file."),
        "licence": text("Licence, as far as it is known."),
        "rows": whole("Samples that the run has.", "samples"),
        "subset": SUBSET,
        "task": _TASK,
        "load": open_record(
            "The file that --load named.",
            {
                "file": text("Its name."),
                "sha256": text("SHA-256 of the file."),
                "samples": whole("Samples that were made of it.", "samples"),
                "format": text("Shape of a trace."),
                "without_answer": whole("Requests of a trace that were left out.", "requests"),
                "conversations": whole("Conversations that were read.", "conversations"),
            },
        ),
    },
    optional=("file", "format", "sha256", "licence", "subset", "task", "load"),
)

_IDLE_LINE = record("Such a line.", {
    "number": whole("Its number in the file, from 1."),
    "text": text("The line as it stands."),
    "reason": choice(
        "Why: it names another model, a model LoadGen does not know, or another scenario; a more "
        "specific or later line, or a later file, sets the same; or LoadGen does not read it here.",
        "other_model", "unknown_model", "other_scenario", "overridden", "later_file", "not_read",
    ),
    "detail": text("More on the reason, in words; empty if there is no more to say."),
    "other": text(
        "What the reason refers to: the line's model or scenario, the known model that may be "
        "meant, the line or the file that wins; empty if nothing."
    ),
})  # fmt: skip
CONF_FILES = many(
    "LoadGen configuration files that were read, in the order in which they apply.",
    record("A file.", {
        "name": text("Its name, without the folder."),
        "kind": choice("What it was read as: mlperf.conf, user.conf or audit.config.",
                       "mlperf", "user", "audit"),
        "model": text("LoadGen's name of the model whose lines were looked for; `*`: any."),
        "scenario": choice("LoadGen's name of the scenario whose lines were looked for.",
                           "SingleStream", "MultiStream", "Server", "Offline"),
        "lines": whole("Lines that set something.", "lines"),
        "applied": whole("How many of them apply to this run.", "lines"),
        "idle": many("The lines that do not.", _IDLE_LINE),
    }),
)  # fmt: skip

CONFLICTS = many(
    "Settings that contradict each other, those that rule out VALID first.",
    record("A contradiction.", {
        "kind": choice(
            "Kind of contradiction.",
            "timeout_below_limit", "timeout_below_answer", "warmup_larger_than_run",
            "tpot_of_one_token",
            "accuracy_samples_beyond_library", "fewer_queries_than_needed",
            "shorter_than_min_duration", "longer_than_min_duration", "max_duration_below_plan",
            "max_queries_below_plan", "early_stopping_out_of_reach", "percentile_is_the_slowest",
            "search_steps_too_short",
        ),
        "settings": by_name(
            "The settings involved, by name, and what the plan makes of them (`queries`, "
            "`samples`, `limit`). Times are in seconds, the percentile in percent.",
            {"type": ["number", "string"], "description": "Value."},
        ),
        "certain": flag("Whether the run cannot be VALID, whatever the system does."),
        "detail": text("The contradiction, in words."),
        "remedy": text("What to do about it, in words."),
    }),
)  # fmt: skip


_NOT_SET_BY_USERS = {
    "origins": (
        "Where each setting that was given came from, by name: a flag, the TOML file, or a line of"
        " one of LoadGen's configuration files."
    ),
    "loadgens_percentile": (
        "Whether `percentile` was read from one of LoadGen's configuration files. It is then "
        "multiplied by 0.01, as LoadGen does, and not divided by 100."
    ),
}


def _config() -> Schema:
    """Describe what the user asked for: one field per setting, with its help."""
    known = RunConfig.model_json_schema(mode="serialization")["properties"]
    words = {name: option.help for name, option in OPTIONS.items()} | _NOT_SET_BY_USERS
    fields = {}
    for name, part in known.items():
        part.pop("title", None)
        fields[name] = CONF_FILES if name == "conf_files" else part | {"description": words[name]}
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
            "origin": text(
                "Where it comes from: a flag, a file or its line, a profile, the size of the "
                "library, the search, or a default."
            ),
        }),
    ),
    "conflicts": CONFLICTS,
    "sut": record(
        "What its SUT said of itself, for those who read the run without its code. Only of one "
        "that is not Touchstone's own.", {
            "isolated": flag("It runs in a process of its own."),
            "uses_dataset": flag("It is asked the questions of the dataset."),
            "runs_model": flag("It runs a model."),
            "asks_server": flag("It asks a server over HTTP."),
            "starts_server": flag("It starts that server itself."),
            "uses_gpu": flag("It may use a GPU."),
            "warms_up": flag("Its first query may be slower than the next."),
            "summary": text("What it is."),
            "real_time": text("Why it knows no virtual clock; empty if it does."),
            "evidence": many("What its answers may carry.",
                             choice("A kind of evidence.", "ids", "counts", "text")),
        },
    ),
}  # fmt: skip
SETTINGS = file(
    "settings.json of a run",
    record("What a run was asked to do.", SETTINGS_FIELDS, optional=("sut",)),
)

STUDY = file(
    "study.json",
    record("What a study measures, written before its first run or part begins.", {
        "schema": choice("Version of this layout.", "touchstone.study/1"),
        "kind": choice(
            "Kind of study.", "compare", "sweep", "gate", "find-peak", "submission", "audit",
            "decide",
        ),
        "started_at": text("When it was begun; UTC, ISO 8601."),
        "arguments": by_name(
            "What the kind needs to go on. compare: `varied`, the settings given as lists. gate: "
            "`asked`, how its candidates are judged, and `control`. sweep: `points`, the "
            "combinations, `places`, which (point, repeat) each cell is, `repeats` and "
            "`order_seed`. Of all three: `executor`, where the runs are made (here, child, or ray "
            "with the address of its cluster). audit: its companions, `looks` and "
            "`tokens_per_sample`. find-peak and submission: when the run began (`started_at`), its "
            "rate in queries/s and where that is from (`target_qps`, `target_qps_origin`).",
            anything("A value."),
        ),
        "cells": many(
            "Runs to be made, in order, or parts of one. A search has its first step here, and the "
            "rate of each further one follows from the rows.",
            record("A run, or a part of one.", {
                "name": text("Its name, unique in the study."),
                "needs": text(
                    "Name of the cell whose outputs complete its settings (the control of a gate "
                    "needs the reference); empty if there is none."
                ),
                "settings": by_name(
                    "All settings of the run, as `config` of settings.json has them.",
                    anything("A value."),
                ),
            }),
        ),
    }),
)  # fmt: skip

ROWS = file(
    "rows.jsonl",
    record("A line for each cell that has ended, appended as soon as it has.", {
        "cell": text("Name of the cell."),
        "run": text("Folder of its run, from here; `.` is this folder; empty if there is none."),
        "files": by_name(
            "Raw records of the run. If one has changed, the cell is measured again.",
            text("SHA-256 of the file."),
        ),
        "status": text("Verdict of the run; FAILED if none could be made."),
        "reason": text("Why, in words."),
        "failure": text("Exception that prevented the run; empty if there is a run."),
        "figures": by_name(
            "What the kind keeps of the run. compare: a row of compare.json without its label and "
            "ratios. sweep: the same, and its figures under load (`measured`), `device` and "
            "`devices`. find-peak: a step of find_peak.json. submission: the rate. gate: nothing, "
            "since the runs are read again.",
            anything("A figure."),
        ),
    }),
)  # fmt: skip
