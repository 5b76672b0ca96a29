"""Tiny models made on the spot, so that the tests need no download; and the one real model, fetched
once.
"""

from __future__ import annotations

import functools
import gc
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest

from tests import ROOT
from tests.busy import patience
from tests.lanes import is_long, is_slow, seconds

if "PYTEST_XDIST_WORKER" in os.environ:
    # one of several workers: threads that wait for a core cost more than they bring
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    torch.set_num_threads(1)

hypothesis.settings.register_profile("touchstone", deadline=None)  # no test judges a wall clock
hypothesis.settings.load_profile("touchstone")
pytest_plugins = ["tests.golden_server"]
patience.pin_device()

WORDS = [*"abcdefghijklmnopqrstuvwxyz", "why", "is", "the", "sky", "blue", "what", "how", "sample"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow tests, and put the longest files first: none is left for one worker alone."""
    for item in items:
        if is_slow(item.nodeid):
            item.add_marker("slow")
        if is_long(item.nodeid):
            item.add_marker("long")
    items.sort(key=lambda item: -seconds(item.nodeid.partition("::")[0]))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let `--device auto` be the CPU, in programs that a test starts as well; tests marked `gpu`
    have the GPU, or are skipped before anything is made for them.
    """
    needs_gpu = item.get_closest_marker("gpu") is not None
    os.environ[patience.DEVICE] = "auto" if needs_gpu else "cpu"
    if needs_gpu and (missing := no_gpu()):
        pytest.skip(missing)


@functools.cache
def no_gpu() -> str:
    """Say why nothing can run on a GPU here; empty if it can."""
    import torch

    return "" if torch.cuda.is_available() else "torch finds no CUDA device"


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what a command notes of its user apart from whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOUCHSTONE_STATE", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def same_folder() -> Iterator[None]:
    """Let no test leave the folder it was started in: programs that later ones start look there."""
    before = os.getcwd()
    yield
    assert os.getcwd() == before


@contextmanager
def _no_garbage_is_collected() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@pytest.fixture(autouse=True)
def own_secrets() -> Iterator[None]:
    """Hide no words in a test because another one had them for a key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.kernel.privacy.secrets._also", set())
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_quiet() -> Iterator[None]:
    """Before a run the driver collects all garbage: half a second where torch is loaded, and
    thousands of the tests' runs take less than that.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.engine.driver.quiet", _no_garbage_is_collected)
        yield


@pytest.fixture(scope="session", autouse=True)
def busy_machine() -> Iterator[None]:
    """Let a verdict not depend on what the other workers do meanwhile: runs of a tenth of a second
    on shared cores lose more than a tenth of it. Tests of the referee itself set their own limits.
    """
    from tests.busy.patience import LIMITS

    with pytest.MonkeyPatch.context() as patch:
        for module, limits in LIMITS.items():
            for name, limit in limits.items():
                patch.setattr(f"{module}.{name}", limit)
        paths = filter(None, (str(ROOT / "tests" / "busy"), os.environ.get("PYTHONPATH", "")))
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        yield


@pytest.fixture(scope="module", autouse=True)
def pictures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave the pictures of all pages out: drawing them takes most of a short run. Modules that
    look at them are marked `pytest.mark.pictures`.
    """
    with pytest.MonkeyPatch.context() as patch:
        if request.node.get_closest_marker("pictures") is None:
            patch.setattr("reports.plots.style._saved", lambda figure: "<svg ></svg>")
        yield


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grouped-query attention and rotary positions; 2 layers, 64 tokens of context."""
    return tiny_llama_in(tmp_path_factory.mktemp("tiny") / "llama")


def tiny_llama_in(folder: Path) -> Path:
    """Save the tiny Llama there; tests that start whole programs make their own."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return _save(LlamaForCausalLM, config, folder)


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Learned positions and one key-value head per query head."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=64,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=64,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return _save(GPT2LMHeadModel, config, tmp_path_factory.mktemp("tiny") / "gpt2")


@pytest.fixture(scope="session")
def tiny_mamba(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recurrent state instead of a cache of keys and values."""
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        state_size=8,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return _save(MambaForCausalLM, config, tmp_path_factory.mktemp("tiny") / "mamba")


def _save(kind, config, folder: Path) -> Path:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    torch.manual_seed(7)
    model = kind(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(
            parameter, std=0.3
        )  # wide enough that the greedy token is never a near tie
    model.save_pretrained(folder)
    vocabulary = {word: i for i, word in enumerate(["<pad>", "<bos>", "<eos>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def smollm2() -> str:
    """The real model's alias, fetched if need be."""
    from sut.model.find import resolve

    resolve("smollm2-135m", lambda text: None)
    return "smollm2-135m"


@pytest.fixture(scope="session")
def dressed_runs(tmp_path_factory: pytest.TempPathFactory):
    """A performance and an accuracy run of the simulated SUT at MLPerf's length, dressed as runs of
    a model on the CPU.
    """
    from tests.package_helpers import dressed, make

    return tuple(
        dressed(make(tmp_path_factory.mktemp(mode), mode=mode))
        for mode in ("performance", "accuracy")
    )


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """What a submitter knows of the system, as --system-json takes it."""
    from tests.package_helpers import KNOWN

    path = tmp_path / "known.json"
    path.write_text(json.dumps(KNOWN))
    return path


@pytest.fixture
def packed(dressed_runs, known: Path, tmp_path: Path):
    """packed(timed=..., scored=..., **given) -> Package"""
    from tests.package_helpers import pack

    def call(timed=None, scored=None, **given):
        timed, scored = timed or dressed_runs[0], scored or dressed_runs[1]
        return pack(timed, scored, tmp_path / "out", **({"system_json": known} | given))

    return call


@pytest.fixture
def clean_tree(packed) -> dict[str, str]:
    """A submission without problems, as a mapping."""
    from reports.submission.places import read_tree

    return read_tree(packed().root)
