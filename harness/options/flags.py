"""Every flag that describes a run, once: its type, its help, where it stands. Commands name those
they take.

Flags use the field's words and mean the same in every command. A flag that was not given is None:
the profile decides.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from copy import copy
from functools import wraps
from pathlib import Path
from shutil import get_terminal_size
from types import NoneType
from typing import Annotated, Any, get_args, get_type_hints

import typer
from typer.core import TyperCommand

import scenarios

_BOXES_NEED = 80  # columns
_METAVARS = {str: "TEXT", int: "INTEGER", float: "FLOAT"}
_LOAD, _JUDGE, _MODEL, _OUT = "Load", "Limits and rules", "Model and data", "Output"


def a_path(text: str) -> Path:
    """Refuse an empty path: a shell makes one of a variable that is not set."""
    if not text:
        raise typer.BadParameter("it is empty; expected a path. Is a shell variable unset?")
    return Path(text)


def _flag(kind: Any, help: str, panel: str, *names: str, metavar: str | None = None) -> Any:
    parser = a_path if kind in (Path, list[Path]) else None
    option = typer.Option(*names, help=help, rich_help_panel=panel, metavar=metavar, parser=parser)
    return Annotated[kind | None, option]


def _switch(name: str, help: str, panel: str) -> Any:
    return Annotated[bool | None, typer.Option(name, help=help, rich_help_panel=panel)]


def _any_of(names: list[str]) -> str:
    """ "a, b or c"."""
    return f"{', '.join(names[:-1])} or {names[-1]}"


FLAGS: dict[str, Any] = {
    "scenario": _flag(str, f"Load to apply: {_any_of(scenarios.names())}.", _LOAD),
    "mode": _flag(
        str,
        "What to run: performance, accuracy, submission (accuracy, then performance) or find-peak "
        "(search for the highest rate; server only). Default: performance.",
        _LOAD,
    ),
    "profile": _flag(
        str,
        "Set of defaults for run length and limits: quick, mlperf, or an MLPerf benchmark such as "
        "llama3.1-8b. Default: quick.",
        _LOAD,
    ),
    "target_qps": _flag(
        str,
        "Queries per second: the arrival rate in server, the expected rate elsewhere. auto (the "
        "default) measures it during the warm-up. Also --request-rate.",
        _LOAD,
        "--target-qps",
        "--request-rate",
    ),
    "samples_per_query": _flag(
        int, "Samples in each query (multi-stream only). Default: 8.", _LOAD
    ),
    "min_duration": _flag(str, "Minimum run time, for example 90s or 1.5m.", _LOAD, metavar="TIME"),
    "max_duration": _flag(str, "Stop issuing queries after this time.", _LOAD, metavar="TIME"),
    "min_queries": _flag(int, "Minimum number of queries to issue.", _LOAD),
    "max_queries": _flag(int, "Maximum number of queries to issue.", _LOAD),
    "seeds": _flag(
        str, "Random seeds: an MLPerf round such as v6.1, or QSL,SAMPLE,SCHEDULE.", _LOAD
    ),
    "issue": _flag(
        str,
        "How samples are drawn: random, unique (each at most once), same (one sample throughout), "
        "equal (each equally often), unique+equal or same+equal.",
        _LOAD,
    ),
    "same_index": _flag(
        int, "Which loaded sample to repeat with --issue same, counting from 0.", _LOAD
    ),
    "performance_samples": _flag(
        int, "Number of samples a performance run draws from (0: all).", _LOAD
    ),
    "accuracy_samples": _flag(int, "Number of samples an accuracy run issues (0: all).", _LOAD),
    "warmup": _flag(
        int, "Number of samples to run before the measurement; they are not counted.", _LOAD
    ),
    "driver": _flag(
        str, "Who issues the queries: touchstone, or mlcommons (the official LoadGen).", _LOAD
    ),
    "clock": _flag(
        str,
        "Clock to run on: real, or virtual, which skips all waiting (simulated SUT only).",
        _LOAD,
    ),
    "ttft_limit": _flag(
        str, "Limit on the judged TTFT percentile, for example 2s.", _JUDGE, metavar="TIME"
    ),
    "tpot_limit": _flag(
        str, "Limit on the judged TPOT percentile, for example 200ms.", _JUDGE, metavar="TIME"
    ),
    "target_latency": _flag(
        str,
        "Limit on the latency of whole answers, judged instead of TTFT and TPOT (server only).",
        _JUDGE,
        metavar="TIME",
    ),
    "use_token_latencies": Annotated[
        bool | None,
        typer.Option(
            "--use-token-latencies/--no-use-token-latencies",
            help="Judge TTFT and TPOT (server only); --no-use-token-latencies judges the latency "
            "of whole answers.",
            rich_help_panel=_JUDGE,
        ),
    ],
    "percentile": _flag(str, "Percentile that is judged, for example 90, 99 or 99.9.", _JUDGE),
    "percentiles": _flag(
        str,
        "Percentiles to show of each latency, for example 50,99,99.99. They change no verdict.",
        _OUT,
        metavar="LIST",
    ),
    "infer_tokens": _flag(
        int,
        "Number of tokens to assume per sample when none are counted, or 0 for none (LoadGen's "
        "infer_token_latencies).",
        _JUDGE,
    ),
    "accuracy_log_target": _flag(
        int,
        "Number of answers, approximately, that a performance run copies into "
        "mlperf_log_accuracy.json.",
        _JUDGE,
    ),
    "accuracy_log_probability": _flag(
        float, "The same as a probability per answer, from 0 to 1.", _JUDGE
    ),
    "accuracy_log_seed": _flag(int, "Random seed that selects those answers.", _JUDGE),
    "sample_timeout": _flag(
        str,
        "Give a sample up after this time without progress: of the whole system while the sample "
        "waits, of the sample itself once it has begun.",
        _JUDGE,
        metavar="TIME",
    ),
    "drain_timeout": _flag(
        str,
        "How long to wait for unfinished samples after Ctrl-C. Default: 10s.",
        _JUDGE,
        metavar="TIME",
    ),
    "model": _flag(
        str,
        "An alias (see harness list models), a model folder, a .gguf file, or a hub id such as "
        "owner/name. Default: smollm2-135m.",
        _MODEL,
    ),
    "variant": _flag(
        str, "Precision of the weights (see harness list variants). Default: fp32.", _MODEL
    ),
    "dataset": _flag(
        str,
        "An embedded dataset (see harness list datasets), a file, or FORMAT:FILE. Default: qa "
        "(perplexity: stories).",
        _MODEL,
    ),
    "prompt_column": _flag(str, "Column that holds the prompts.", _MODEL),
    "reference_column": _flag(str, "Column that holds the reference answers.", _MODEL),
    "num_samples": _flag(
        int,
        "Number of samples to use from the dataset: each kind with its share, otherwise the first "
        "rows. Also --num-prompts.",
        _MODEL,
        "--num-samples",
        "--num-prompts",
    ),
    "max_new_tokens": _flag(int, "Maximum length of an answer, in tokens.", _MODEL),
    "max_concurrency": _flag(
        int,
        "Maximum number of requests in a batch. Default: 32. Also --concurrency.",
        _MODEL,
        "--max-concurrency",
        "--concurrency",
    ),
    "sut": _flag(
        str,
        "System under test: local (a model), simulated, null, that of a plug-in, or"
        " module:factory. Default: local.",
        _MODEL,
    ),
    "sut_option": _flag(
        list[str],
        "Option of the simulated SUT, for example ttft_ms=200; may be given several times.",
        _MODEL,
        "--sut-option",
        metavar="KEY=VALUE",
    ),
    "device": _flag(str, "Where the model runs: auto, cpu, cuda or cuda:1. Default: auto.", _MODEL),
    "device_map": _flag(
        str, "Pass auto to let accelerate spread a model that does not fit on one device.", _MODEL
    ),
    "adapter": _flag(
        Path,
        "LoRA adapter folder, as peft writes it, for the lora variants.",
        _MODEL,
        metavar="FOLDER",
    ),
    "merge_adapter": _switch(
        "--merge-adapter", "Merge the adapter into the weights before running.", _MODEL
    ),
    "kv_cache_gib": _flag(
        float, "Maximum size of the key-value cache, in GiB. Default: half the free memory.", _MODEL
    ),
    "truncate": _switch(
        "--truncate", "Cut prompts that exceed the model's context instead of refusing.", _MODEL
    ),
    "trust_remote_code": _switch(
        "--trust-remote-code", "Allow Python code shipped with the model to run.", _MODEL
    ),
    "evaluate": _switch(
        "--evaluate",
        "After the run, score the reference answers: loss, perplexity, token accuracy.",
        _MODEL,
    ),
    "in_process": _switch(
        "--in-process", "Run the model in the driver's own process (for debugging).", _MODEL
    ),
    "output_dir": _flag(
        Path, "Folder in which to create the run folder. Default: runs.", _OUT, metavar="FOLDER"
    ),
    "config": _flag(
        Path, "TOML file of settings; flags take precedence.", _OUT, metavar="FILE.toml"
    ),
    "user_conf": _flag(
        list[Path],
        "LoadGen configuration file: user.conf, audit.config or mlperf.conf, told apart by their "
        "names; may be given several times.",
        _OUT,
        "--user-conf",
        metavar="FILE",
    ),
    "conf_model": _flag(
        str, "LoadGen's name of the model whose lines apply. Default: the profile's.", _OUT
    ),
}
RUN = tuple(FLAGS)
_ONLY_RUNNING = {
    "driver", "clock", "drain_timeout", "device", "device_map",
    "kv_cache_gib", "truncate", "trust_remote_code", "evaluate", "in_process", "output_dir",
    "percentiles",
}  # fmt: skip
COMPARE = tuple(name for name in FLAGS if name not in ("evaluate", "percentiles"))
# Settings that `compare` takes several values of: choices and numbers. Not those whose own text may
# hold commas or that say where something is (seeds, paths, columns), nor switches.
LISTS = (
    "scenario", "mode", "profile", "target_qps", "samples_per_query", "min_duration",
    "max_duration", "min_queries", "max_queries", "issue", "same_index", "performance_samples",
    "accuracy_samples", "warmup", "driver", "ttft_limit", "tpot_limit", "target_latency",
    "percentile", "infer_tokens", "sample_timeout", "drain_timeout", "model", "variant",
    "num_samples", "max_new_tokens", "max_concurrency", "sut", "device", "kv_cache_gib",
)  # fmt: skip
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
REPORT = ("percentiles",)


class Command(TyperCommand):
    """A command whose help is never cut off, whatever the width of the terminal.

    Each option is shown by its first name (its text gives the others), and without boxes where
    there is no room for them.
    """

    def format_help(self, ctx: Any, formatter: Any) -> None:
        if get_terminal_size().columns < _BOXES_NEED:
            self.rich_markup_mode = None
        for param in self.params:
            others = [name for name in param.opts if name.startswith("--")][1:]
            param.opts = [name for name in param.opts if name not in others]
            told = str(getattr(param, "help", ""))
            param.secondary_opts = [name for name in param.secondary_opts if name not in told]
        super().format_help(ctx, formatter)


def _as_list(name: str) -> Any:
    """Return the flag as one that takes several values, with commas, as text."""
    kind, option = get_args(FLAGS[name])
    one = next(part for part in get_args(kind) if part is not NoneType)
    several = copy(option)
    several.metavar = f"{option.metavar or _METAVARS[one]},..."
    return Annotated[str | None, several]


def takes(
    names: tuple[str, ...], lists: tuple[str, ...] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the named flags to the command's own; they reach it as its argument `flags`. Those in
    `lists` may have several values.
    """
    annotations = {name: _as_list(name) if name in lists else FLAGS[name] for name in names}

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(function, include_extras=True)
        own = [
            p.replace(annotation=hints[p.name])
            for p in inspect.signature(function).parameters.values()
        ]
        added = [
            inspect.Parameter(
                n, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotations[n]
            )
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
