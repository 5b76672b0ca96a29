"""A certificate that nobody vouches for, made at the start by the `openssl` program."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

from harness.kernel.errors import SetupFailed

_FOR = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"
_LIMIT_S = 60


def context(folder: Path) -> ssl.SSLContext:
    """Return what serves TLS with a new certificate, kept as `folder`/cert.pem. Raises
    SetupFailed.
    """
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-addext", _FOR]
    command += ["-keyout", str(key), "-out", str(certificate)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=_LIMIT_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise SetupFailed("making a certificate", str(error), "", "Install openssl.") from None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate, key)
    return made
