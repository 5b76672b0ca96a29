"""An adapter on top of any base: which one, does it fit, and is it attached beside the weights or
merged into them?

Whether it fits is found out before the weights are read: peft builds the same adapter onto an empty
model, and names and shapes must agree with those in the file.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.kernel.errors import BadInput, HarnessError, SetupFailed
from harness.kernel.foreign.own_files import check_given, read_given
from harness.kernel.foreign.parsed import loads
from harness.kernel.places import expanded, wrong_path
from sut.model import digest, faults, findings
from sut.precision import adapter_kinds, bnb

Shapes = dict[str, tuple[int, ...]]
SHIPPED = {"smollm2-135m": Path(__file__).parents[1] / "adapters" / "smollm2-135m-qa"}


def find(path: str, adapter: str | Path | None) -> Path:
    """Return the adapter to use with the model at `path`: the given one, else the one shipped for
    it. Raises BadInput.
    """
    if adapter is not None:
        return expanded(Path(adapter))
    if shipped := SHIPPED.get(Path(path).name):
        return shipped
    known = ", ".join(SHIPPED)
    raise BadInput(
        "variant lora",
        f"no adapter is given for {path!r}",
        f"one is shipped for {known}",
        "Pass --adapter FOLDER.",
    )


def check_folder(adapter: Path) -> None:
    """Refuse what is no adapter by its files alone, before a model is loaded. Raises BadInput."""
    doing, names = f"--adapter {adapter}", ("adapter_config.json", "adapter_model.safetensors")
    fine = "expected a folder that peft wrote, with " + " and ".join(names)
    todo = "Check the path; one on the hub is downloaded first: hf download."
    if not adapter.is_dir():
        raise wrong_path(doing, adapter, fine, todo)
    if inner := sorted(path.parent for path in adapter.glob(f"*/{names[0]}")):
        todo = f"Pass one of its folders: --adapter {inner[0]}."
    for name in names:
        if not (adapter / name).is_file():
            if (adapter / "adapter_model.bin").is_file():
                todo = "Save it again with a newer peft, as safetensors."
            raise BadInput(doing, f"it has no {name}", fine, todo)
    check_given(doing, adapter)


def check(path: str, adapter: Path, **options: Any) -> dict[str, Any]:
    """Raise SetupFailed unless the adapter is whole and fits the model; else say what it is."""
    config, found = _read(adapter)
    adapter_kinds.refuse_options(_doing(adapter), config)
    _check_name(path, adapter, config.base_model_name_or_path)
    wanted, carried = _shapes_wanted(path, adapter, config, **options)
    wanted |= {name: carried[name] for name in found.keys() & carried.keys()}  # embeddings it saved
    doing, todo = _doing(adapter), "Use an adapter that was trained on this model."
    for name in sorted(wanted.keys() | found.keys()):
        there, needed = found.get(name), wanted.get(name)
        if there == needed:
            continue
        if needed is None:
            raise SetupFailed(
                doing, f"it is for another base model: this one has no place for {name}", "", todo
            )
        if there is None:
            raise SetupFailed(
                doing, f"it is for another base model: it has nothing for {name}", "", todo
            )
        raise SetupFailed(
            doing,
            f"it is for another base model: {name} is {there}",
            f"this one needs {needed}",
            todo,
        )
    return {
        "path": str(adapter),
        "rank": config.r,
        "trained_on": config.base_model_name_or_path,
        "parameters": sum(math.prod(shape) for shape in found.values()),
    }


def load(
    base: Callable[..., Any],
    variant: str,
    path: str,
    *,
    adapter: Path,
    merge_adapter: bool = False,
    **options: Any,
) -> Any:
    """Load a model with its adapter. `base` is the verb of another precision, `variant` its name.
    The result has peft's layers in place and is a transformers model still.
    """
    from sut.precision import attached

    config, _ = _read(Path(adapter))
    doing = _doing(Path(adapter))
    _refuse_on(doing, config, adapter_kinds.few_bits(variant), merge_adapter)
    model = base(path, **options)
    held = adapter_kinds.few_bits_of(model)
    _refuse_on(doing, config, held, merge_adapter)
    reads_weights = adapter_kinds.reads_base(config)
    fixed = bnb.keep_layout(model) if merge_adapter or reads_weights else []
    with without_notices(), _words_of_peft(doing, variant, merge_adapter):
        tuned = _tuned(model, adapter)
        fingerprint = digest.of_tensors(model)  # a first pass rearranges some of bitsandbytes' own
        made = attached.trial(doing, tuned, config)
        if not merge_adapter:
            served = tuned.get_base_model()
            attached.hold_attached(served, made)
            return _told(served, fingerprint, reads_weights)
        untied = attached.untie(tuned)
        served = tuned.merge_and_unload()
        _note_untied(served, untied)
        fingerprint = digest.of_tensors(served)
        attached.hold_merged(served, made, held)
        bnb.may_rearrange(fixed)
        return _told(served, fingerprint, reads_weights=False)


def _told(model: Any, fingerprint: str, reads_weights: bool) -> Any:
    """Return the model with what its facts and its packing need to know."""
    told = findings.of(model)
    told.facts["tensors_digest"] = fingerprint
    told.reads_weights = reads_weights
    return model


def _tuned(model: Any, adapter: str | Path) -> Any:
    """Return peft's own model: the base with the adapter attached, whose matrices have the type of
    the base's activations.
    """
    from peft import PeftModel

    tuned: Any = PeftModel.from_pretrained(
        model, str(adapter), autocast_adapter_dtype=False, torch_device="cpu"
    )
    for name, parameter in tuned.named_parameters():
        if ".lora_" in name and parameter.element_size() == 1:
            raise SetupFailed(
                _doing(Path(adapter)),
                "the base's weights are FP8, to which peft rounds the adapter as well",
                "expected a base in 16 bits or more, or --variant lora-fp8 of one",
                "Use lora-bf16 with the model that the base was made from.",
            )
        if ".lora_" in name:
            parameter.data = parameter.data.to(model.dtype)
    return tuned.eval()


def _refuse_on(doing: str, config: Any, held: str, merge_adapter: bool) -> None:
    """Raise SetupFailed for what cannot be done with weights that are held in few bits."""
    adapter_kinds.refuse_on(doing, config, held)
    if merge_adapter and held in (adapter_kinds.QUANTO, adapter_kinds.FP8):
        whose = "quanto's packed weights" if held == adapter_kinds.QUANTO else "FP8 weights"
        raise SetupFailed(
            "--merge-adapter",
            f"{whose} cannot take it",
            "",
            "Attach it, or merge into int8 or nf4.",
        )


def _note_untied(model: Any, untied: list[str]) -> None:
    """Say which layers have weights of their own since the adapter was merged into them."""
    if not untied:
        return
    model.config.get_text_config().tie_word_embeddings = False
    others = f" and {len(untied) - 1} more" if len(untied) > 1 else ""
    findings.of(model).notes.append(
        f"{untied[0].removesuffix('.token_adapter')}{others} shared weights with another layer and"
        " got its own, because the adapter was merged into it"
    )


@contextmanager
def _words_of_peft(doing: str, variant: str, merge_adapter: bool) -> Iterator[None]:
    """Turn what peft raises while it attaches or merges into a sentence about the adapter."""
    try:
        yield
    except HarnessError:
        raise
    except Exception as error:
        if faults.is_out_of_memory(error):
            raise
        found = f"peft cannot use it on {variant} ({type(error).__name__}: {_first_line(error)})"
        todo = "Use --variant lora, or another adapter."
        if merge_adapter:
            todo = "Leave out --merge-adapter."
        raise SetupFailed(doing, found, "", todo) from error


@contextmanager
def without_notices() -> Iterator[None]:
    """Silence the notices of peft: a name that transformers is about to lose, merging into few bits
    rounds, a matrix need not be transposed.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        warnings.filterwarnings("ignore", "Merge lora module to", UserWarning)
        warnings.filterwarnings("ignore", "fan_in_fan_out is set", UserWarning)
        warnings.filterwarnings("ignore", "Input and output embeddings are no longer", UserWarning)
        warnings.filterwarnings("ignore", "Careful, disabling adapter layers", UserWarning)
        warnings.filterwarnings(
            "ignore", "Model (with|has) `tie_word_embeddings=True`", UserWarning
        )
        yield


def _read(adapter: Path) -> tuple[Any, Shapes]:
    """Return its config and the shape of each of its tensors. Reads no tensor."""
    from peft import PeftConfig
    from safetensors import SafetensorError, safe_open

    check_folder(adapter)
    weights = adapter / "adapter_model.safetensors"
    try:
        kind = loads(read_given(adapter / "adapter_config.json").decode()).get("peft_type")
        adapter_kinds.refuse_kind(_doing(adapter), kind)
        config = PeftConfig.from_pretrained(str(adapter))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise SetupFailed(
            _doing(adapter),
            f"adapter_config.json: {_first_line(error)}",
            "",
            "Save it again with peft.",
        ) from error
    try:
        with safe_open(weights, "pt") as file:
            return config, {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        found = f"adapter_model.safetensors is damaged ({_first_line(error)})"
        raise SetupFailed(_doing(adapter), found, "", "Copy or save it again.") from error


def _shapes_wanted(path: str, adapter: Path, config: Any, **options: Any) -> tuple[Shapes, Shapes]:
    """Return names and shapes of the adapter's tensors if it had been made for this model, and
    those of the whole model with the adapter, of which peft may save the embeddings too.
    """
    import torch
    from peft import get_peft_model, get_peft_model_state_dict
    from transformers import AutoConfig, AutoModelForCausalLM

    own = copy.copy(config)
    own.base_model_name_or_path = None  # peft would complain of the other name
    adapter_kinds.plain_start(own)
    with torch.device("meta"), without_notices():
        own_config = AutoConfig.from_pretrained(path, **options)
        empty: Any = AutoModelForCausalLM.from_config(own_config, **options)  # type: ignore[no-untyped-call]
        try:
            tuned = get_peft_model(empty, own)
        except ValueError as error:
            targets = (
                ", ".join(sorted(config.target_modules or ()))
                if not isinstance(config.target_modules, str)
                else ""
            )
            found = (
                f"it is for another base model: its layers ({targets or config.target_modules}) are"
                " not in this one"
            )
            raise SetupFailed(
                _doing(adapter), found, "", "Use an adapter that was trained on this model."
            ) from error
    return {
        name: tuple(tensor.shape)
        for name, tensor in get_peft_model_state_dict(tuned, save_embedding_layers=False).items()
    }, {name: tuple(tensor.shape) for name, tensor in tuned.state_dict().items()}


def _check_name(path: str, adapter: Path, trained_on: str | None) -> None:
    """Refuse an adapter of another model: two hub ids of which neither begins like the other are
    two models, even if all shapes agree.
    """
    if (
        trained_on is None
        or Path(path).exists()
        or Path(trained_on).exists()
        or trained_on.count("/") != 1
    ):
        return
    ours, theirs = (name.rsplit("/", 1)[-1].lower() for name in (path, trained_on))
    if not (ours.startswith(theirs) or theirs.startswith(ours)):
        todo = (
            f"Use --model {trained_on}, or correct base_model_name_or_path in adapter_config.json."
        )
        raise SetupFailed(
            _doing(adapter), f"it was trained on {trained_on!r}", f"the model is {path!r}", todo
        )


def _doing(adapter: Path) -> str:
    return f"adapter {str(adapter)!r}"


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
