"""Which system is measured, and with which data?"""

# Annotations are read as they stand, so they are not deferred here.
from typing import Literal

from harness.options import names
from harness.options.kinds import Count, CountOrNone, Dataset, Folder, Gibibytes, Task
from harness.options.option import MODEL, option


class ModelOptions:
    # fmt: off


    model: str = option(
        MODEL, "smollm2-135m",
        "An alias (see harness list models), a model folder, a .gguf file, or a hub id such as "
        "owner/name. Default: smollm2-135m. With --base-url, the name that the server has for it; "
        "default: the only one it lists.",
        commands="run plan compare gate perplexity serve", needs="model", is_name=True,
        check=names.model, is_system=True,
    )
    variant: str = option(
        MODEL, "fp32", "Precision of the weights (see harness list variants). Default: fp32.",
        commands="run plan compare serve", needs="model", is_name=True, check=names.variant,
        by_sut=True, is_system=True,
    )
    dataset: Dataset = option(
        MODEL, "qa",
        "An embedded dataset (see harness list datasets), a file, or FORMAT:FILE. Default: qa "
        "(perplexity: stories).",
        commands="run plan compare gate perplexity", needs="dataset", check=names.dataset,
    )
    task: Task | None = option(
        MODEL, None,
        "A task to solve in place of a dataset: NAME:FILE, such as gsm8k:test.jsonl, or an embedded"
        " one (see harness list tasks). In gate several, with commas between them.",
        needs="dataset", check=names.task, commands="run plan compare gate",
    )
    shots: CountOrNone | None = option(
        MODEL, None, "Number of examples before each question of --task. Default: the task's own.",
        needs="dataset", commands="run plan compare gate",
    )
    shots_file: Folder | None = option(
        MODEL, None, "File that the examples of --task are taken from, such as its training part.",
        metavar="FILE", needs="dataset", commands="run plan compare gate",
    )
    chat: bool = option(
        MODEL, False, "Put the prompts of --task into the model's chat template. Default: the model"
        " continues them as plain text.", needs="dataset", commands="run plan compare gate",
    )
    run_code: Literal["off", "sandboxed", "unprotected"] = option(
        MODEL, "off", "Run the programs that a model writes for --task humaneval or mbpp, on this "
        "machine: sandboxed (no network, no files of yours; Linux), or unprotected (limits alone). "
        "off (the default): the answers are kept and not run.",
        needs="dataset", commands="run compare gate",
    )
    prompt_column: str | None = option(
        MODEL, None, "Column that holds the prompts.", commands="run plan compare gate",
    )
    reference_column: str | None = option(
        MODEL, None, "Column that holds the reference answers.", commands="run plan compare gate",
    )
    num_samples: Count | None = option(
        MODEL, None,
        "Number of samples to use from the dataset: each kind with its share, otherwise the first "
        "rows. Also --num-prompts.",
        also="--num-prompts", commands="run plan compare gate perplexity", of_library=True,
    )
    max_new_tokens: Count | None = option(
        MODEL, None, "Maximum length of an answer, in tokens.", unit="tokens",
        commands="run plan compare gate", by_profile="max_new_tokens", closed="same",
    )
    max_concurrency: Count | Literal["auto"] = option(
        MODEL, "auto",
        "Maximum number of requests in a batch. auto (the default): 32; for a model on a GPU as "
        "many as its cache has memory for, up to 256. Also --concurrency.", also="--concurrency",
        commands="run plan compare gate serve", is_load=True,
    )
    prefill_tokens: Count | None = option(
        MODEL, None, "Maximum number of prompt tokens fed in a step. Default: measured at load on a"
        " GPU, 512 on a CPU.", unit="tokens", commands="run compare gate serve", needs="model",
    )
    sut: str = option(
        MODEL, "local",
        "System under test: local (a model), served (a server at --base-url), simulated, null, that"
        " of a plug-in, or module:factory. Default: local, or served with --base-url.",
        is_name=True, check=names.sut, commands="run plan compare serve", is_system=True,
    )
    sut_options: dict[str, str | int | float | bool] = option(
        MODEL, {},
        "Option of the simulated SUT, for example ttft_ms=200; may be given several times.",
        first_flag="--sut-option", metavar="KEY=VALUE", commands="run plan compare serve",
        is_system=True,
    )
    device: str = option(
        MODEL, "auto", "Where the model runs: auto, cpu, cuda or cuda:1. Default: auto.",
        commands="run compare gate perplexity serve", needs="model", is_name=True,
        check=names.device, is_system=True,
    )
    device_map: str | None = option(
        MODEL, None, "Pass auto to let accelerate spread a model that does not fit on one device.",
        commands="run compare gate perplexity serve", needs="model",
    )
    replicas: Count = option(
        MODEL, 1, "Number of copies of the model that run side by side, each on a GPU of its own, "
        "or on a CPU on an equal share of the cores. Default: 1.", commands="run compare gate",
    )
    tf32: bool = option(
        MODEL, False, "Let GPUs multiply float32 in TF32: faster, 10 bits of mantissa, no"
        " reference. In gate for the candidates.",
        commands="run compare gate perplexity serve", needs="model", is_system=True,
    )
    adapter: Folder | None = option(
        MODEL, None, "LoRA adapter folder, as peft writes it, for the lora variants.",
        metavar="FOLDER", commands="run plan compare gate perplexity serve",
        check=names.adapter, needs="model", is_system=True,
    )
    merge_adapter: bool = option(
        MODEL, False, "Merge the adapter into the weights before running.",
        commands="run plan compare gate perplexity serve", needs="model", is_system=True,
    )
    kv_cache_gib: Gibibytes | None = option(
        MODEL, None,
        "Maximum size of the key-value cache, in GiB. Default: half the free memory; on a GPU, "
        "three quarters of it.", commands="run compare gate serve", needs="model",
    )
    truncate: bool = option(
        MODEL, False, "Cut prompts that exceed the model's context instead of refusing.",
        commands="run compare gate", needs="model",
    )
    trust_remote_code: bool = option(
        MODEL, False, "Allow Python code shipped with the model to run.",
        commands="run compare gate perplexity serve", needs="model",
    )
    evaluate: bool = option(
        MODEL, False,
        "After the run, score the reference answers: loss, perplexity, token accuracy.",
        commands="run",
    )
    in_process: bool = option(
        MODEL, False, "Run the model in the driver's own process (for debugging).",
        commands="run compare gate perplexity",
    )

    # fmt: on
