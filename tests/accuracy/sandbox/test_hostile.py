"""What can a program do that does not want to be tested? Each is counted, named and gone.

These run behind walls alone: a program that kills all it can see looks first whether it is in there
(process numbers begin at 1), and where this system has no walls the tests are skipped.
"""

import os
import platform
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from accuracy.sandbox import pool
from accuracy.sandbox.programs import Limits, Program
from harness.kernel.clock import monotonic_s
from harness.kernel.errors import BadInput
from tests import ROOT

LIMITS = Limits(seconds=4, memory_bytes=256 << 20, disk_bytes=8 << 20)
INSIDE = "import os\nassert os.getpid() < 10\n"
FINE = "def f(): return 1\n"
TEST = "assert f() == 1"
RUNNER = "The program's side of the sandbox"  # in the command line of a program
SECRET = Path.home() / ".touchstone-test-secret"

# name -> (program, outcomes that are fine, what its reason says)
HOSTILE = {
    "ends before the test": (INSIDE + "os._exit(0)", "error", "exit code 0 before its test"),
    "ends as if all were well": ("import sys\ndef f(): sys.exit(0)", "error", "SystemExit"),
    "claims to be right": (
        INSIDE + 'os.write(3, b\'{"outcome": "right", "token": "x"}\\n\')\nos._exit(0)',
        "error",
        "exit code 0 before its test",
    ),
    "never ends": ("def f():\n while True: pass", "timeout", "4 s"),
    "never ends in C": (
        "import re\ndef f(): return re.match('(a|aa)+$', 'a' * 200 + 'b')",
        "timeout",
        "4 s",
    ),
    "ignores SIGTERM": (
        "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: 0)\ntime.sleep(1e6)",
        "timeout",
        "4 s",
    ),
    "stops itself": (INSIDE + "os.kill(os.getpid(), 19)\n" + FINE, "timeout", "4 s"),
    "forks for ever": (
        INSIDE + "while True:\n try: os.fork()\n except OSError: pass",
        "timeout",
        "4 s",
    ),
    "forks more than it may": (
        INSIDE + "while True:\n if os.fork() == 0:\n  import time; time.sleep(1e6)",
        "error",
        "temporarily unavailable",
    ),
    "leaves a daemon": (
        INSIDE + "import time\n"
        "if os.fork() == 0:\n os.setsid()\n if os.fork() == 0: time.sleep(1e6)\n os._exit(0)\n"
        + FINE,
        "right",
        "",
    ),
    "grows": ("rows = []\nwhile True: rows.append(' ' * 2**20)", "memory", "MemoryError"),
    "maps too much": ("import mmap\nmmap.mmap(-1, 1 << 40)", "memory", "Cannot allocate"),
    "closes all files": (INSIDE + "os.closerange(0, 64)\nwhile True: pass", "timeout", "4 s"),
    "prints for ever": ("while True: print('x' * 10_000)", "timeout", "4 s"),
    "writes into its report": (
        INSIDE + "while True: os.write(3, b'x' * 10_000)",
        "error",
        "report of its verdict",
    ),
    "kills its parent": (INSIDE + "os.kill(os.getppid(), 9)\n" + FINE, "right error", ""),
    "kills all it sees": (INSIDE + "os.kill(-1, 9)\n" + FINE, "right error", ""),
    "crashes": ("import ctypes\nctypes.string_at(0)", "error", "SIGSEGV"),
    "recurses": ("def f(): return f()", "error", "RecursionError"),
    "recurses without a limit": (
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(): return f()",
        "memory error timeout",
        "",
    ),
    "nests too deeply": ("x = " + "(" * 5000 + ")" * 5000, "no answer memory error", ""),
    "is no Python": ("def f(:", "no answer", "SyntaxError"),
    "holds a null byte": ("x = '\0'", "no answer", "null byte"),
    "reads the users' names": ("open('/etc/passwd')", "error", "No such file"),
    "reads the home folder": (f"open({str(SECRET)!r})", "error", "No such file"),
    "writes a large file": (
        "with open('x', 'wb') as file:\n while True: file.write(b'x' * 2**20)",
        "error",
        "File too large",
    ),
    "writes many files": (
        "for i in range(10**6):\n with open(f'{i}', 'wb') as file: file.write(b'x' * 2**20)",
        "error",
        "No space left",
    ),
    "writes elsewhere": ("open('/usr/lib/touchstone', 'w')", "error", "Read-only"),
    "looks for keys": (INSIDE + "assert 'KEY' not in str(os.environ)\n" + FINE, "right", ""),
    "mounts": (
        "import ctypes\nassert ctypes.CDLL(None).mount(b'x', b'/tmp', b'tmpfs', 0, 0) < 0\n" + FINE,
        "right",
        "",
    ),
    "follows a link out of its folder": (
        "import os\nos.symlink('/../../../etc/passwd', 'x')\nopen('x')",
        "error",
        "No such file",
    ),
    "writes through a link": (
        "import os\nos.symlink(os.__file__, 'x')\nopen('x', 'a')",
        "error",
        "Error",
    ),
    "leaves its root folder": (INSIDE + "os.chroot('/tmp')", "error", "not permitted"),
    "becomes root": (INSIDE + "os.setuid(0)", "error", "not permitted"),
    "raises what cannot be shown": (
        "class Odd(Exception):\n def __str__(self): raise Odd\nraise Odd",
        "error",
        "cannot be shown",
    ),
}

CALL = (
    "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    "def refused(name, *arguments):\n"
    " return getattr(libc, name)(*arguments) < 0 and ctypes.get_errno() == 1\n"
)
# what the filter of system calls refuses, where this machine has one
FILTERED = {
    "makes a user namespace": CALL + "assert refused('unshare', 0x10000000)\n" + FINE,
    "clones into namespaces": CALL + "assert refused('syscall', 56, 0x50000011, 0, 0, 0, 0)\n"
    "assert libc.syscall(435, 0, 0) < 0\n" + FINE,
    "talks to the host of this machine": "import socket\ntry: socket.socket(40, 1)\n"
    "except OSError as fault: assert fault.errno == 97\nelse: assert False\n" + FINE,
    "hides memory in a file": CALL + "assert refused('memfd_create', b'x', 0)\n" + FINE,
    "hides memory in System V": CALL + "assert refused('shmget', 0, 1 << 20, 0o1600)\n" + FINE,
    "looks into its watcher": CALL + "import os\n"
    "assert refused('process_vm_readv', os.getppid(), 0, 0, 0, 0, 0)\n"
    "assert refused('ptrace', 16, os.getppid(), 0, 0)\n" + FINE,
    "opens a ring": CALL + "assert refused('syscall', 425, 4, b' ' * 200)\n" + FINE,
    "keeps a key": CALL + "assert refused('syscall', 248, b'user', b'x', b'y', 1, -3)\n" + FINE,
    "starts a thread": "import threading\nran = []\n"
    "one = threading.Thread(target=ran.append, args=(1,))\none.start()\none.join()\n"
    "import socket\nsocket.socketpair()[0].close()\ndef f(): return len(ran)",
}


def running():
    """The programs that run now, whoever started them."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or ()
        if any(RUNNER in word or "accuracy.sandbox.warden" in word for word in words):
            found.append(process.pid)
    return found


def gone(pids, within_s=10):
    """Wait until none of these processes is there."""
    end_s = monotonic_s() + within_s
    while monotonic_s() < end_s and any(map(psutil.pid_exists, pids)):
        psutil.wait_procs([], timeout=0)
    return not any(map(psutil.pid_exists, pids))


@pytest.fixture(scope="module")
def server():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture(scope="module")
def ran(server):
    try:
        pool.check("sandboxed", LIMITS)
    except BadInput as missing:
        pytest.skip(str(missing))
    call = f"import socket\nsocket.create_connection({server.getsockname()!r}, 1)"
    HOSTILE["asks a server"] = (call, "error", "unreachable")
    if platform.machine() == "x86_64":
        HOSTILE.update({name: (answer, "right", "") for name, answer in FILTERED.items()})
    before, folders = set(running()), set(Path("/tmp").glob("touchstone-code-*"))
    SECRET.write_text("a secret")
    os.environ["MY_API_KEY"] = "a secret"
    try:
        programs = [Program(answer, TEST) for answer, _, _ in HOSTILE.values()]
        results = dict(pool.run_all(programs, "sandboxed", LIMITS))
    finally:
        SECRET.unlink()
        del os.environ["MY_API_KEY"]
    assert gone(set(running()) - before)
    assert set(Path("/tmp").glob("touchstone-code-*")) <= folders
    return dict(zip(HOSTILE, (results[i] for i in range(len(results))), strict=True))


@pytest.mark.parametrize("name", [*HOSTILE, *FILTERED, "asks a server"])
def test_a_hostile_program_is_counted_named_and_gone(ran, name):
    if name not in ran:
        pytest.skip("there is no filter for this machine")
    _, outcomes, why = HOSTILE[name]
    assert ran[name].outcome in (outcomes.split() if "no " not in outcomes else outcomes), ran[name]
    assert why in ran[name].detail
    if outcomes == "right":
        assert "no network" in ran[name].protections


def test_nothing_of_a_program_outlives_whoever_started_it(ran):
    del ran
    code = (
        "from accuracy.sandbox import pool\n"
        "from accuracy.sandbox.programs import Limits, Program\n"
        "pool.run(Program('while True: pass', ''), 'sandboxed', Limits(seconds=60))"
    )
    before = set(running())
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as parent:
        end_s = monotonic_s() + 60
        while monotonic_s() < end_s and len(set(running()) - before) < 4:
            assert parent.poll() is None
        started = set(running()) - before
        assert len(started) >= 4  # warden, overseer, watcher, program
        parent.send_signal(signal.SIGKILL)
    assert gone(started)
