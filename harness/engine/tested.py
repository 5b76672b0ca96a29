"""With which versions of its libraries did the tests pass? Read from constraints.txt beside this
file, which `make lock` renews and `make test` installs; nobody lists a version a second time.

A library that is newer than that, or older than pyproject.toml allows, may be right all the same:
nobody has tried. So a run goes on and says so (`untested`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

FILE = Path(__file__).parents[1] / "constraints.txt"
_PROJECT = "touchstone-harness"


class Untested(NamedTuple):
    """A library outside the versions that were tested. `oldest` is empty where nobody says."""

    package: str
    installed: str
    oldest: str
    newest: str

    @property
    def range(self) -> str:
        return f"{self.oldest} to {self.newest}" if self.oldest else self.newest

    def __str__(self) -> str:
        return f"{self.package} {self.installed} (tested: {self.range})"


@cache
def versions() -> Mapping[str, str]:
    """Return name -> version that was tested on this platform; empty if the file is missing."""
    try:
        lines = FILE.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return dict(_pinned(lines))


def untested(installed: Mapping[str, str]) -> list[Untested]:
    """Return those of the installed libraries that lie outside the versions that were tested."""
    newest, oldest = versions(), _oldest()
    found = []
    for package, version in installed.items():
        name = canonical(package)
        if name not in newest:
            continue
        least = oldest.get(name, "")
        if not _within(version, least, newest[name]):
            found.append(Untested(package, version, least, newest[name]))
    return found


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pinned(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    here = {name: str(value) for name, value in default_environment().items()}
    for line in lines:
        text = line.partition("#")[0].strip()
        if not text:
            continue
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate(here):
            yield canonical(requirement.name), str(requirement.specifier).removeprefix("==")


@cache
def _oldest() -> Mapping[str, str]:
    """Return name -> lower bound of each requirement of the installed package; empty in a bare
    checkout.
    """
    try:
        texts = metadata.requires(_PROJECT) or []
    except metadata.PackageNotFoundError:
        return {}
    found = {}
    for text in texts:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:  # of a later packaging standard
            continue
        for bound in requirement.specifier:
            if bound.operator in (">=", "=="):
                found[canonical(requirement.name)] = bound.version
    return found


def _within(version: str, oldest: str, newest: str) -> bool:
    """Tell whether a version is the tested one: `torch 2.13.0+cpu` is a build of 2.13.0."""
    try:
        ours = Version(Version(version).public)
        return (not oldest or Version(oldest) <= ours) and ours <= Version(newest)
    except InvalidVersion:
        return False
