"""The command that lends this machine to the drivers of others."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.screen import people


def client(
    listen: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT",
            help="Address to listen at; 0.0.0.0:7711 lets other machines in, and needs a key in "
            "TOUCHSTONE_CLIENT_KEY, the same as theirs.",
        ),
    ] = "127.0.0.1:7711",
) -> None:
    """Send requests for runs on other machines, which name this one with --client.

    Each driver that connects gets a worker process of its own. Ctrl-C ends the command.
    """
    with people(as_json=False):
        from harness.kernel.process.streams import tell
        from sut.served.client.remote.address import place
        from sut.served.client.remote.listening import Listener

        where = place(listen, "--listen")
        listener = Listener(where)
        tell(f"listening at {where._replace(port=listener.port)}; Ctrl-C ends it")
        try:
            listener.serve()
        finally:
            listener.close()
