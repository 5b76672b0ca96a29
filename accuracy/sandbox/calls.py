"""Which system calls may a program not make? Those that reach past the walls, or past the limits.

    namespaces of its own      parts of the kernel that only root reaches otherwise
    sockets but UNIX and IP    a network namespace does not hold VSOCK, which leads to the host
    memory that no limit sees  memfd, System V objects: RLIMIT_AS counts what is mapped
    rings, keys, tracing       io_uring makes calls that no filter sees; keyrings are the user's

A seccomp filter (seccomp(2)) answers them with an error. It is a list of what is refused, so a call
that is new to us passes. On other machines than those of `_NUMBERS` there is none.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from typing import NamedTuple

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_AT_NUMBER, _AT_MACHINE, _AT_FIRST = 0, 4, 16  # bytes in struct seccomp_data
_X32 = 0x40000000  # calls of another table begin here
_FAMILIES = (1, 2, 10)  # UNIX, IPv4, IPv6
_NAMESPACES = 0x7E020080  # CLONE_NEW*: time, mounts, control groups, host, System V, users, ...


class _Machine(NamedTuple):
    audit: int
    socket: int
    clone: int
    refused: tuple[int, ...]


# unshare setns memfd_create memfd_secret shmget msgget semget io_uring_setup userfaultfd bpf
# perf_event_open ptrace process_vm_readv process_vm_writev add_key request_key keyctl
_X86 = (272, 308, 319, 447, 29, 68, 64, 425, 323, 321, 298, 101, 310, 311, 248, 249, 250)
_ARM = (97, 268, 279, 447, 194, 186, 190, 425, 282, 280, 241, 117, 270, 271, 217, 218, 219)
_NUMBERS = {
    "x86_64": _Machine(0xC000003E, 41, 56, _X86),
    "aarch64": _Machine(0xC00000B7, 198, 220, _ARM),
}
_CLONE3 = 435  # its flags are in memory, out of a filter's sight; libraries then call clone


def refuse() -> bool:
    """Refuse them to this process and what it starts; return whether this system can."""
    machine = _NUMBERS.get(platform.machine())
    if machine is None:
        return False
    code = _program(machine)
    held = ctypes.create_string_buffer(code, len(code))
    filter_ = struct.pack("@HP", len(code) // 8, ctypes.addressof(held))
    function = ctypes.CDLL(None, use_errno=True).prctl
    wide = ctypes.c_ulong
    return bool(function(_PR_SET_SECCOMP, wide(_MODE_FILTER), filter_, wide(0), wide(0)) == 0)


def _program(machine: _Machine) -> bytes:
    """Return the filter as the kernel reads it, eight bytes an instruction."""
    code = [
        _op(_LOAD, _AT_MACHINE),
        *_unless(_EQUAL, machine.audit, _KILL),
        _op(_LOAD, _AT_NUMBER),
        *_if(_AT_LEAST, _X32, _refusal(errno.ENOSYS)),
        *_if(_EQUAL, _CLONE3, _refusal(errno.ENOSYS)),
    ]
    for number in machine.refused:
        code += _if(_EQUAL, number, _refusal(errno.EPERM))
    code += _calls(machine.clone, _if(_ANY_BIT, _NAMESPACES, _refusal(errno.EPERM)), _ALLOW)
    allowed = [one for family in _FAMILIES for one in _if(_EQUAL, family, _ALLOW)]
    code += _calls(machine.socket, allowed, _refusal(errno.EAFNOSUPPORT))
    return b"".join([*code, _op(_RETURN, _ALLOW)])


def _calls(number: int, by_first: list[bytes], otherwise: int) -> list[bytes]:
    """Judge a call by its first argument."""
    inside = [_op(_LOAD, _AT_FIRST), *by_first, _op(_RETURN, otherwise)]
    return [_op(_EQUAL, number, 0, len(inside)), *inside]


def _if(test: int, value: int, then: int) -> list[bytes]:
    return [_op(test, value, 0, 1), _op(_RETURN, then)]


def _unless(test: int, value: int, then: int) -> list[bytes]:
    return [_op(test, value, 1, 0), _op(_RETURN, then)]


def _refusal(error: int) -> int:
    return _ERRNO | error


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
