"""The golden server in a process of its own, for tests of clients.

    def test_something(golden):
        golden.set(tokens=8, ttft_ms=20, per_token_ms=5, faults={"3": "cut", "10+": "busy"})
        ... requests to golden.url ...
        rows = golden.stamps()

The fixtures `golden` and `golden_tls` are there for all tests. One server lives as long as the
module; `set` begins anew: what is not named has its
default, queries count from 0, stamps are empty. A server that has died is started again.
"""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.kernel.machine import waits
from harness.kernel.process.children import Child
from sut.golden.answers.settings import Settings
from sut.golden.stamps import Row


class GoldenServer:
    """A handle. `folder` is where a certificate is kept; None = no TLS."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._child: Child | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        """Start it, on a new port."""
        words = ["{}", *(("--tls", str(self._folder)) if self._folder else ())]
        self._child = Child("sut.golden.server", *words, stdout=subprocess.PIPE, text=True)
        line = next(waits.lines(self._child, waits.READYING), "")
        assert line.startswith("ready"), f"the golden server did not start: {line!r}"
        self.port = int(line.split()[1])

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    @property
    def root(self) -> str:
        return f"{'https' if self._folder else 'http'}://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The base URL, as --base-url takes it."""
        return f"{self.root}/v1"

    @property
    def ca_file(self) -> str:
        """Its certificate, as --ca-file takes it."""
        assert self._folder is not None
        return str(self._folder / "cert.pem")

    def set(self, **settings: Any) -> None:
        """Begin anew with these settings (sut.golden.answers.settings.Settings)."""
        body = msgspec.json.encode(Settings(**settings))
        try:
            self.get("/golden/settings", body)
        except (OSError, http.client.HTTPException):
            self.stop()
            self.start()
            self.get("/golden/settings", body)

    def stamps(self) -> list[Row]:
        """Return what was sent, and when, a row per request in the order they came."""
        return msgspec.json.decode(self.get("/golden/stamps"), type=list[Row])

    def get(self, path: str, body: bytes | None = None) -> bytes:
        """Return a page; POST where there is a body."""
        status, said = self.fetch(path, body)
        assert status == 200, said
        return said

    def ask(self, path: str = "/completions", **fields: Any) -> bytes:
        """Return the body that a POST of these fields to the API gets, for tests of one answer."""
        return self.get(f"/v1{path}", json.dumps(fields).encode())

    def fetch(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Return the status and the body of a response."""
        with closing(self._connection()) as connection:
            connection.request("GET" if body is None else "POST", path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()

    def _connection(self) -> http.client.HTTPConnection:
        if self._folder is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        context = ssl.create_default_context(cafile=self.ca_file)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=context)

    def stop(self) -> None:
        if self._child is not None:
            with self._child:
                self._child.let_go()
                waits.leave(self._child)
            if self._child.stdout:
                self._child.stdout.close()
            self._child = None


@pytest.fixture(scope="module")
def _golden() -> Iterator[GoldenServer]:
    server = GoldenServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def _golden_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoldenServer]:
    server = GoldenServer(tmp_path_factory.mktemp("tls"))
    yield server
    server.stop()


@pytest.fixture
def golden(_golden: GoldenServer) -> GoldenServer:
    """A golden server with its default settings."""
    _golden.set()
    return _golden


@pytest.fixture
def golden_tls(_golden_tls: GoldenServer) -> GoldenServer:
    """The same behind TLS, with a certificate that nobody vouches for."""
    _golden_tls.set()
    return _golden_tls
