"""Every flag that describes a run, once: its type, its help, where it stands. Commands name those
they take.

Flags use the field's words and mean the same in every command. A flag that was not given is None:
the profile decides.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

_LOAD, _JUDGE, _MODEL, _OUT = "Load", "Limits and rules", "Model and data", "Output"


def _flag(kind: Any, help: str, panel: str, *names: str, metavar: str | None = None) -> Any:
    return Annotated[
        kind | None, typer.Option(*names, help=help, rich_help_panel=panel, metavar=metavar)
    ]


def _switch(name: str, help: str, panel: str) -> Any:
    return Annotated[bool | None, typer.Option(name, help=help, rich_help_panel=panel)]


FLAGS: dict[str, Any] = {
    "scenario": _flag(str, "single-stream, multi-stream, server or offline.", _LOAD),
    "mode": _flag(str, "performance, accuracy, submission (both), or find-peak (server).", _LOAD),
    "profile": _flag(
        str, "quick, mlperf or a model of MLPerf: defaults for length and limits.", _LOAD
    ),
    "target_qps": _flag(
        str, "Queries per second, or auto.", _LOAD, "--target-qps", "--request-rate"
    ),
    "samples_per_query": _flag(int, "Multi-stream: samples in a query.", _LOAD),
    "min_duration": _flag(str, "90, 90s, 1.5m.", _LOAD, metavar="TIME"),
    "max_duration": _flag(str, "Stop issuing after it.", _LOAD, metavar="TIME"),
    "min_queries": _flag(int, "Issue at least so many.", _LOAD),
    "max_queries": _flag(int, "Issue at most so many.", _LOAD),
    "seeds": _flag(str, "A round (v6.1) or QSL,SAMPLE,SCHEDULE.", _LOAD),
    "issue": _flag(
        str, "random, unique, same, equal (each equally often), unique+equal or same+equal.", _LOAD
    ),
    "same_index": _flag(int, "With --issue same: which.", _LOAD),
    "performance_samples": _flag(int, "Samples that a performance run loads (0: all).", _LOAD),
    "accuracy_samples": _flag(int, "Samples that an accuracy run issues (0: all).", _LOAD),
    "warmup": _flag(int, "Samples before the run that do not count.", _LOAD),
    "driver": _flag(str, "touchstone, or mlcommons: the official LoadGen issues.", _LOAD),
    "clock": _flag(str, "real, or virtual (simulated only).", _LOAD),
    "ttft_limit": _flag(str, "Limit of the TTFT tail: 2s.", _JUDGE, metavar="TIME"),
    "tpot_limit": _flag(str, "Limit of the TPOT tail: 200ms.", _JUDGE, metavar="TIME"),
    "target_latency": _flag(
        str, "Server: judge the whole latency instead of TTFT and TPOT.", _JUDGE, metavar="TIME"
    ),
    "use_token_latencies": Annotated[
        bool | None,
        typer.Option(
            "--use-token-latencies/--no-use-token-latencies",
            help="Server: judge TTFT and TPOT, or the whole latency (--target-latency).",
            rich_help_panel=_JUDGE,
        ),
    ],
    "percentile": _flag(str, "The tail that is judged: 90, 99, 99.9.", _JUDGE),
    "infer_tokens": _flag(
        int, "Tokens that a sample is taken to have, 0: none (infer_token_latencies).", _JUDGE
    ),
    "accuracy_log_target": _flag(int, "Log about so many answers of a performance run.", _JUDGE),
    "accuracy_log_probability": _flag(float, "Log this share of them: 0 to 1.", _JUDGE),
    "accuracy_log_seed": _flag(int, "Which ones.", _JUDGE),
    "sample_timeout": _flag(
        str,
        "Give a sample up after so long without any progress: of the system while the sample"
        " waits, of the sample once it has begun.",
        _JUDGE,
        metavar="TIME",
    ),
    "drain_timeout": _flag(
        str, "After Ctrl-C, wait so long for open samples.", _JUDGE, metavar="TIME"
    ),
    "model": _flag(str, "Alias, hub id, folder or .gguf file.", _MODEL),
    "variant": _flag(str, "Precision: see harness list variants.", _MODEL),
    "dataset": _flag(str, "Embedded name, a file, or FORMAT:FILE.", _MODEL),
    "prompt_column": _flag(str, "Column of the prompts in a file.", _MODEL),
    "reference_column": _flag(str, "Column of the reference answers.", _MODEL),
    "num_samples": _flag(int, "Use the first N samples.", _MODEL, "--num-samples", "--num-prompts"),
    "max_new_tokens": _flag(int, "Longest answer, in tokens.", _MODEL),
    "max_concurrency": _flag(
        int, "Requests in a batch at most.", _MODEL, "--max-concurrency", "--concurrency"
    ),
    "sut": _flag(str, "System under test: local, simulated, null.", _MODEL),
    "sut_option": _flag(
        list[str], "For --sut simulated.", _MODEL, "--sut-option", metavar="KEY=VALUE"
    ),
    "device": _flag(str, "auto, cpu, cuda, cuda:1.", _MODEL),
    "device_map": _flag(str, "auto: accelerate places what does not fit one device.", _MODEL),
    "adapter": _flag(
        Path, "A LoRA adapter (peft) for the lora variants.", _MODEL, metavar="FOLDER"
    ),
    "merge_adapter": _switch("--merge-adapter", "Fold the adapter into the weights.", _MODEL),
    "kv_cache_gib": _flag(
        float, "The key-value cache may take so much (default: half of what is free).", _MODEL
    ),
    "truncate": _switch("--truncate", "Cut prompts that are too long.", _MODEL),
    "trust_remote_code": _switch(
        "--trust-remote-code", "Run code that a model brings along.", _MODEL
    ),
    "evaluate": _switch(
        "--evaluate", "Afterwards, score the reference answers: loss, perplexity.", _MODEL
    ),
    "in_process": _switch("--in-process", "Debugging: no process of its own.", _MODEL),
    "output_dir": _flag(Path, "Parent of the run folders.", _OUT),
    "config": _flag(Path, "Settings; flags win.", _OUT, metavar="FILE.toml"),
    "user_conf": _flag(
        list[Path],
        "A LoadGen user.conf; repeat it for audit.config and mlperf.conf, told by their names.",
        _OUT,
        "--user-conf",
        metavar="FILE",
    ),
    "conf_model": _flag(
        str, "LoadGen's name of the model whose lines count (default: the profile's).", _OUT
    ),
}
RUN = tuple(FLAGS)
_ONLY_RUNNING = {
    "driver", "clock", "drain_timeout", "device", "device_map",
    "kv_cache_gib", "truncate", "trust_remote_code", "evaluate", "in_process", "output_dir",
}  # fmt: skip
COMPARE = tuple(
    name for name in FLAGS if name not in ("variant", "evaluate", "sut", "sut_option", "clock")
)
GATE = (
    "profile", "seeds", "accuracy_samples", "sample_timeout", "drain_timeout", "model", "dataset",
    "prompt_column", "reference_column", "num_samples", "max_new_tokens", "max_concurrency",
    "device", "device_map", "adapter", "merge_adapter", "kv_cache_gib", "truncate",
    "trust_remote_code", "in_process", "output_dir", "config",
)  # fmt: skip
PERPLEXITY = (
    "model", "dataset", "num_samples", "device", "device_map", "adapter", "merge_adapter",
    "trust_remote_code", "in_process", "output_dir",
)  # fmt: skip
PLAN = tuple(name for name in FLAGS if name not in _ONLY_RUNNING)


def takes(names: tuple[str, ...]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The named flags join the command's own and reach it as its argument `flags`."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(function, include_extras=True)
        own = [
            p.replace(annotation=hints[p.name])
            for p in inspect.signature(function).parameters.values()
        ]
        added = [
            inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=FLAGS[n])
            for n in names
        ]
        parameters = sorted((p for p in (*own, *added) if p.name != "flags"), key=lambda p: p.kind)

        @wraps(function)
        def command(*args: Any, **given: Any) -> None:
            function(*args, flags={name: given.pop(name) for name in names}, **given)

        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        return command

    return decorate
