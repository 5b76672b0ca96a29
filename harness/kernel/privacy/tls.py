"""Whom does a TLS connection of ours trust? Whoever has a certificate of the system's authorities,
or of those in a file of the user's; anybody where the user says so.
"""

from __future__ import annotations

import ssl


def context(ca_file: str, is_checked: bool) -> ssl.SSLContext:
    """Return how the certificate of a server is checked, and that HTTP/1.1 is spoken; `ca_file` ""
    stands for the system's. Raises OSError for a file that holds none.
    """
    made = ssl.create_default_context(cafile=ca_file or None)
    if not is_checked:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    made.set_alpn_protocols(["http/1.1"])
    return made
