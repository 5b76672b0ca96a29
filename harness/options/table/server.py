"""How is a server reached, asked or started?"""

# Annotations are read as they stand, so they are not deferred here.
from pathlib import Path
from typing import Literal

from harness.options import names
from harness.options.kinds import Share
from harness.options.option import SERVER, option


class ServerOptions:
    # fmt: off


    base_url: str | None = option(
        SERVER, None,
        "Address of a server that speaks the OpenAI API, for example http://localhost:8000/v1.",
        metavar="URL", commands="run plan compare gate", check=names.base_url, is_system=True,
    )
    endpoint: Literal["auto", "chat", "completions"] = option(
        SERVER, "auto",
        "Which of the API's calls to use: chat, completions or auto. Default: auto.",
        commands="run plan compare gate", needs="server",
    )
    tokenizer: str | None = option(
        SERVER, None,
        "Tokenizer of the served model (a folder, an alias or a hub id), where the server sends no"
        " token ids.",
        commands="run plan compare gate perplexity", needs="server",
    )
    api_key_env: str | None = option(
        SERVER, None,
        "Environment variable that holds the API key. Default: TOUCHSTONE_API_KEY, then"
        " OPENAI_API_KEY.",
        metavar="NAME", commands="run compare gate perplexity", needs="server",
    )
    ca_file: Path | None = option(
        SERVER, None, "Certificates to trust, as a PEM file.", metavar="FILE.pem",
        commands="run compare gate perplexity", needs="server", check=names.certificates,
    )
    insecure: bool = option(
        SERVER, False, "Accept any certificate.", commands="run compare gate perplexity",
        needs="server",
    )
    shared_prefix: bool = option(
        SERVER, False,
        "Send the prompts as they are, so that the server's prefix cache may know them.",
        commands="run compare gate", needs="server",
    )
    error_budget: Share = option(
        SERVER, 0.0, "Percentage of samples that may fail in a valid run. Default: 0.", unit="%",
        commands="run compare gate", needs="server", closed="at most",
    )
    clients: tuple[str, ...] = option(
        SERVER, (),
        "Machine whose `harness client` sends the requests, instead of this one; may be given"
        " several times.",
        first_flag="--client", metavar="HOST:PORT", commands="run compare gate", needs="server",
        check=names.client,
    )
    server_python: Path | None = option(
        SERVER, None, "Python that has the server to be started (--sut vllm, sglang).",
        metavar="FILE", commands="run compare gate", needs="server",
    )
    server_args: tuple[str, ...] = option(
        SERVER, (), "Argument for the server to be started; may be given several times.",
        first_flag="--server-arg", metavar="ARG", commands="run compare gate", needs="server",
    )

    # fmt: on
