"""What do the server's processes use, where it runs on this machine? Those that listen on its port,
with all that they have started: vLLM's engine is a child of the process that answers.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from contextlib import suppress

import psutil

from harness.kernel.clock import monotonic_s

# They pass on what comes to the port; who answers runs elsewhere.
_PASSERS = ("docker-proxy", "rootlessport", "pasta", "slirp4netns", "ssh", "kubectl", "gvproxy")


def listening(host: str, port: int) -> list[psutil.Process]:
    """Return the processes of this machine that listen on that port; none where the host is
    another one, or where the system does not say.
    """
    if not _is_here(host):
        return []
    with suppress(psutil.Error, OSError):
        rows = psutil.net_connections("tcp")
        return _processes({row.pid for row in rows if _listens(row, port)})
    return []


def _listens(row: psutil._common.sconn, port: int) -> bool:
    return row.status == psutil.CONN_LISTEN and bool(row.laddr) and row.laddr.port == port


def _processes(pids: Iterable[int | None]) -> list[psutil.Process]:
    found = []
    for pid in sorted(filter(None, pids)):
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            if not process.name().startswith(_PASSERS):
                found.append(process)
    return found


def _is_here(host: str) -> bool:
    """Is it an address of this machine?"""
    own = {row.address.partition("%")[0] for rows in psutil.net_if_addrs().values() for row in rows}
    try:
        rows = socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return False
    found = {str(row[4][0]).partition("%")[0] for row in rows}
    return any(name in own or ipaddress.ip_address(name).is_loopback for name in found)


class Family:
    """Processes and their children, sampled together. Memory that they share counts in each."""

    def __init__(self, heads: Iterable[psutil.Process]) -> None:
        self._heads = list(heads)
        self._cpu_s: dict[int, float] = {}
        self._at_s = monotonic_s()
        self.sample()

    def __bool__(self) -> bool:
        return bool(self._heads)

    def pids(self) -> set[int]:
        """Return the numbers of those that run now."""
        return {process.pid for process in self._members()}

    def sample(self) -> dict[str, float | int | None]:
        """Return what they use now; None for all once they are gone."""
        rss, cpu_s, now_s = 0, dict[int, float](), monotonic_s()
        for process in self._members():
            with suppress(psutil.Error), process.oneshot():
                rss += process.memory_info().rss
                times = process.cpu_times()
                cpu_s[process.pid] = times.user + times.system
        used_s = sum(max(spent - self._cpu_s.get(pid, spent), 0.0) for pid, spent in cpu_s.items())
        passed_s, self._at_s, self._cpu_s = now_s - self._at_s, now_s, cpu_s
        if not cpu_s:
            return {"server_rss_bytes": None, "server_cpu_percent": None}
        return {
            "server_rss_bytes": rss,
            "server_cpu_percent": 100 * used_s / passed_s if passed_s > 0 else 0.0,
        }

    def _members(self) -> list[psutil.Process]:
        found: dict[int, psutil.Process] = {}
        for head in self._heads:
            with suppress(psutil.Error):
                found |= {one.pid: one for one in (head, *head.children(recursive=True))}
        return list(found.values())
