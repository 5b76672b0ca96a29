"""Commands that serve until they are stopped: a model, the pages of runs, or this machine as a
client of drivers elsewhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.commands.arguments.shared import Flags, with_sut_options
from harness.options.flags import SERVE, a_path, takes
from harness.options.option import SERVER
from harness.screen import people


@takes(SERVE)
def serve(
    flags: Flags,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen at; 0.0.0.0 lets other machines in.", rich_help_panel=SERVER
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            help="Port to listen at; 0 takes a free one.",
            min=0,
            max=65535,
            rich_help_panel=SERVER,
        ),
    ] = 8000,
    alias: Annotated[
        list[str] | None,
        typer.Option(
            help="Another name that clients may call the model by; may be given several times, and"
            " * takes any name.",
            metavar="NAME",
            rich_help_panel=SERVER,
        ),
    ] = None,
    api_key_env: Annotated[
        str | None,
        typer.Option(
            help="Environment variable that holds the API key that clients must send. Default: no"
            " key is asked for.",
            metavar="NAME",
            rich_help_panel=SERVER,
        ),
    ] = None,
    max_queue: Annotated[
        int,
        typer.Option(
            help="Maximum number of answers that wait for their turn; more are refused with status"
            " 429.",
            min=0,
            rich_help_panel=SERVER,
        ),
    ] = 1024,
    max_len: Annotated[
        int | None,
        typer.Option(
            help="Maximum number of tokens of prompt and answer together. Default: 2048, or the"
            " model's context where that is shorter.",
            min=1,
            rich_help_panel=SERVER,
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one JSON object on stdout once clients are answered.",
            rich_help_panel="Output",
        ),
    ] = False,
) -> None:
    """Offer a model at an address that speaks the OpenAI API, until stopped. With --sut simulated
    there is no model: known tokens come at known times (--sut-option ttft_ms=200).
    """
    with people(as_json) as (console, say):
        from harness.serve.serve import serve as serve_model
        from harness.serve.settings import settings

        asked = settings(
            with_sut_options(flags),
            api_key_env,
            host=host,
            port=port,
            aliases=tuple(alias or ()),
            most_waiting=max_queue,
            max_len=max_len,
        )
        code = serve_model(asked, say, lambda words: console.print(words, soft_wrap=True), as_json)
    raise typer.Exit(code)


def view(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", parser=a_path, help="Folder with runs and studies in it."),
    ] = Path("runs"),
    port: Annotated[
        int,
        typer.Option(help="Port to listen at on 127.0.0.1; 0 takes a free one.", min=0, max=65535),
    ] = 8321,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one JSON object on stdout once the pages can be opened.",
            rich_help_panel="Output",
        ),
    ] = False,
) -> None:
    """Show the runs and studies of a folder in a browser of this machine, until stopped: list,
    filter, open and compare them. Nothing is written.
    """
    with people(as_json) as (console, _):
        from harness.view.server import view as view_folder

        code = view_folder(
            folder, port, lambda words: console.print(words, soft_wrap=True), as_json
        )
    raise typer.Exit(code)


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
