"""A server of somebody else's that lives as long as the run: vLLM, SGLang or llama.cpp's
llama-server is started with the model, asked like any other (`sut.served.served`), and ended.

Its words are in sut.log, its command line and version among the facts, its memory is that of all
its processes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.kernel.protocols import Clock, Say
from harness.kernel.types import MemoryUse, SutFacts
from sut.served.served import Served
from sut.started import memory
from sut.started.order import Order
from sut.started.server import Server
from sut.started.table import row


class Started(Served):
    """`kind` is a row of `sut.started.table`, `notes` are those of the model's folder; `served`
    goes to Served as it is.

    Raises BadInput for what the server cannot be asked, SetupFailed where it does not come up.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        kind: str,
        order: Order,
        log: Path,
        say: Say,
        notes: Sequence[str],
        served: Mapping[str, Any],
    ) -> None:
        self.name = kind
        self._server, self._variant = Server(kind, order, log, say), order.variant
        own: dict[str, Any] = {"base_url": self._server.url, "model": self._server.model}
        own["notes"] = notes if row(kind).loads_path else ()
        try:
            super().__init__(clock, **own, **served)
        except BaseException:
            self._server.close()
            raise
        self._address = replace(self._address, key="")  # nobody else's is for this server

    def keep_log(self) -> None:
        """Copy what the server has written so far into sut.log."""
        self._server.keep_log()

    def memory(self) -> MemoryUse:
        return memory.of(self._server.pid)

    def facts(self) -> SutFacts:
        return super().facts() | {"variant": self._variant, "started": self._server.facts()}

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._server.close()
