"""What keeps a program in? Linux namespaces, a root folder of its own, limits, another user.

    apart()            new namespaces for what this process starts: users (unless root), mounts,
                       processes, network, System V objects, host name
    enclose(limits)    in the first process in there: a root folder that holds Python's library,
                       the system's, /dev/null and an empty /tmp in memory, and nothing else
    confine(limits)    in the program's process, last of all: resource limits, no way to gain
                       privileges, and where we are root another user

Each raises Broken with what the system refused. clone(2), mount_setattr(2), pivot_root(2),
getrlimit(2), user_namespaces(7).
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path

from accuracy.sandbox.programs import Broken, Limits

_NEW = {"USER": 0x10000000, "NS": 0x20000, "PID": 0x20000000, "NET": 0x40000000}
_NEW |= {"IPC": 0x08000000, "UTS": 0x04000000}
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE = 442, -100, 0x8000
_ATTR_RDONLY, _ATTR_NOSUID = 1, 2
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_SET_CHILD_SUBREAPER = 1, 4, 38, 36
_SIGKILL = 9
_ROOT = "/sys"  # the new root folder hides this one: no library lies under it
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/nix/store", "/etc/ld.so.cache")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
_FIRST_UID = 0x40000000  # users that no system has; each program gets one of 65,536

FOLDER = "/tmp"  # the one folder, in memory, that a program can write to


@cache
def python() -> str:
    """Return the path of Python itself, outside of any virtual environment. It is asked for first
    where links can be followed: behind the walls there are none.
    """
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that started it ends."""
    _called("prctl", _PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of whatever this process's descendants leave behind."""
    _called("prctl", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def apart() -> None:
    """Give what this process starts namespaces of its own. Raises Broken."""
    uid, gid = os.geteuid(), os.getegid()
    names = [name for name in _NEW if name != "USER" or uid != 0]
    _called("unshare", sum(_NEW[name] for name in names), saying="new namespaces")
    if uid == 0:
        return
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    except OSError as fault:
        raise Broken(f"a user namespace: {fault.strerror}") from fault


def enclose(limits: Limits) -> None:
    """Leave all folders but the program's. Raises Broken."""
    _called("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)  # the program cannot look into this process
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    _mount("tmpfs", _ROOT, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1m,mode=755")
    for path in _shown():
        _show(path)
    Path(_ROOT + FOLDER).mkdir(exist_ok=True)
    os.chdir(_ROOT)
    _called("pivot_root", b".", b".", saying="a root folder of its own")
    _called("umount2", b".", _MNT_DETACH, saying="leaving the old root folder")
    os.chdir("/")
    _seal()
    options = f"size={limits.disk_bytes},nr_inodes=4096,mode=1777"
    _mount("tmpfs", FOLDER, "tmpfs", _MS_NOSUID | _MS_NODEV, options)
    os.chdir(FOLDER)


def _shown() -> list[str]:
    """Return the paths that Python needs, none of them inside another."""
    own = [python(), os.path.join(os.path.realpath(sys.base_prefix), "lib")]
    found = [path for path in (*_LIBRARIES, *_DEVICES) if os.path.lexists(path)]
    for path in own:
        if not any(path.startswith(f"{one}/") or path == one for one in found):
            found.append(path)
    return found


def _show(path: str) -> None:
    """Let a path be seen in the new root folder; a link stays the link that it is."""
    place = Path(_ROOT + path)
    place.parent.mkdir(parents=True, exist_ok=True)
    if os.path.islink(path):
        place.symlink_to(os.readlink(path))
        return
    if os.path.isdir(path):
        place.mkdir(exist_ok=True)
    else:
        place.touch()
    _mount(path, str(place), "", _MS_BIND | _MS_REC)


def _seal() -> None:
    """Let nothing be written to what is mounted so far (Linux 5.12)."""
    attributes = (ctypes.c_uint64 * 4)(_ATTR_RDONLY | _ATTR_NOSUID, 0, 0, 0)
    arguments = _MOUNT_SETATTR, _AT_FDCWD, b"/", _AT_RECURSIVE, attributes
    _called("syscall", *arguments, ctypes.sizeof(attributes), saying="folders made read-only")


def confine(limits: Limits) -> None:
    """Take from this process what it does not need; the program follows. Raises Broken."""
    import resource

    cpu_s = int(limits.seconds) + 1
    bounds = {
        "RLIMIT_CPU": (cpu_s, cpu_s + 1),
        "RLIMIT_AS": (limits.memory_bytes,) * 2,
        "RLIMIT_FSIZE": (limits.disk_bytes,) * 2,
        "RLIMIT_NOFILE": (64, 64),
        "RLIMIT_CORE": (0, 0),
        "RLIMIT_NPROC": (limits.processes + 1,) * 2,  # one more: who watches it
    }
    for name, (soft, hard) in bounds.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        most = resource.getrlimit(kind)[1]
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        try:
            resource.setrlimit(kind, (soft, hard))
        except (OSError, ValueError) as fault:
            if sys.platform == "linux":  # macOS refuses some of them
                raise Broken(f"{name}: {fault}") from fault
    if sys.platform == "linux":
        _called("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, saying="no new privileges")


def be_killed_first() -> None:
    """Have the system kill this process before others where memory runs out."""
    Path("/proc/self/oom_score_adj").write_text("1000")


def be_nobody(number: int, folder: str) -> None:
    """Become a user that nothing on this system belongs to, where we are root: one for each
    `number`, who owns `folder`. Raises Broken where there is none, or one that may not run Python:
    a program must never run as root.
    """
    if os.geteuid() != 0:
        return
    for uid in (_FIRST_UID + number % 65536, 65534):  # some containers know few users
        try:
            os.setgroups([])
            os.chown(folder, uid, uid)
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        except OSError:
            continue
        if not os.access(python(), os.X_OK):
            raise Broken(f"root runs no program, and other users may not run {python()}")
        return
    raise Broken("root runs no program, and the system knows no other user")


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    arguments = (source.encode(), target.encode(), kind.encode(), flags, options.encode())
    _called("mount", *arguments, saying=f"mounting {target}")


def _called(name: str, *arguments: object, saying: str = "") -> None:
    """Call the C library. Raises Broken."""
    try:
        function = getattr(ctypes.CDLL(None, use_errno=True), name)
    except AttributeError as fault:
        raise Broken(f"{saying or name}: this system has none") from fault
    function.argtypes = None
    wide = [ctypes.c_ulong(one) if isinstance(one, int) and one >= 0 else one for one in arguments]
    if function(*wide) < 0:
        raise Broken(f"{saying or name}: {os.strerror(ctypes.get_errno())}")
