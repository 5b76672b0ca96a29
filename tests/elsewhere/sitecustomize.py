"""Loaded first by every process whose PYTHONPATH names this folder: takes away what Windows lacks.

Modules, descriptors that a child inherits, a `select` that knows more than sockets, sends that do
not wait. What remains of Linux is its file system and its processor.
"""

import builtins
import os
import select
import socket
import stat
import subprocess
import sys

OF_LINUX = ("psutil", "portalocker")  # libraries whose half for Linux needs it; they have another
ABSENT = ("fcntl", "resource", "pwd", "grp", "termios")
_import, _select, _popen = builtins.__import__, select.select, subprocess.Popen.__init__


def _without(name, asking=None, *arguments, **options):
    by = (asking or {}).get("__name__", "")
    if name in ABSENT and not by.startswith(OF_LINUX):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return _import(name, asking, *arguments, **options)


def _among_sockets(readers, writers, others, timeout=None):
    for thing in (*readers, *writers):
        number = thing if isinstance(thing, int) else thing.fileno()
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            raise OSError(10038, "an operation was attempted on something that is not a socket")
    return _select(readers, writers, others, timeout)


def _inheriting_nothing(self, *arguments, pass_fds=(), **options):
    assert not pass_fds, "pass_fds not supported on Windows."
    return _popen(self, *arguments, **options)


import psutil  # noqa: E402, F401 (its own needs are met now)

for _name in ABSENT:
    sys.modules.pop(_name, None)
builtins.__import__ = _without
select.select = _among_sockets
subprocess.Popen.__init__ = _inheriting_nothing
del socket.MSG_DONTWAIT
for _name in (
    "fork", "nice", "sched_setscheduler", "sched_getaffinity", "getloadavg", "set_blocking",
):  # fmt: skip
    delattr(os, _name)
