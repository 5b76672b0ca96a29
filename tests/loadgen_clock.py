"""Virtual time for the official LoadGen: it reads the nanosecond we say, and its sleep takes no
time.

The wheel stamps all events with `std::chrono::system_clock::now` and waits for its next query with
`nanosleep`. Both are overwritten, in a process of their own, with a few bytes of x86-64 code: the
first returns a number of ours, the second calls back, and what was planned for the meantime is done
then. So a run of ten minutes takes milliseconds, and ours can be given the very same nanoseconds.
"""

from __future__ import annotations

import ctypes
import heapq
import os
import traceback
from collections.abc import Callable

# 2001-09-09T01:46:40Z. LoadGen's own threads wait until the real clock passes moments near it, so
# it must lie behind us.
START_NS = 10**18
_FOREVER_NS = 1 << 62
_PAGE = 4096
_READ, _WRITE, _RUN = 1, 2, 4
_LOAD_AND_RETURN = b"\x48\xb8%s\x48\x8b\x00\xc3"  # movabs rax, ADDRESS; mov rax, [rax]; ret
_JUMP = b"\x48\xb8%s\xff\xe0"  # movabs rax, ADDRESS; jmp rax


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_int64), ("nanoseconds", ctypes.c_int64))


class LoadgenClock:
    """The only clock of this process's LoadGen, and what is planned on it. Make one, before any
    test.
    """

    def __init__(self) -> None:
        self._now = ctypes.c_int64(START_NS)
        self._plans: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._sleep = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Timespec), ctypes.c_void_p)(
            self._slept
        )
        read = ctypes.CDLL("libstdc++.so.6")._ZNSt6chrono3_V212system_clock3nowEv
        _overwrite(read, _LOAD_AND_RETURN % _address(ctypes.pointer(self._now)))
        _overwrite(ctypes.CDLL(None).nanosleep, _JUMP % _address(self._sleep))

    def restart(self) -> None:
        self._now.value, self._plans, self._count = START_NS, [], 0

    @property
    def now_ns(self) -> int:
        return self._now.value - START_NS

    def call_at(self, when_ns: int, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._plans, (when_ns, self._count, action))

    def advance(self, by_ns: int) -> None:
        """Let time pass as if the caller had been busy: what was planned for it comes late."""
        self._now.value += by_ns

    def run(self, until_ns: int = _FOREVER_NS) -> None:
        """What is planned up to a moment, each at its own."""
        while self._plans and self._plans[0][0] <= until_ns:
            when_ns, _, action = heapq.heappop(self._plans)
            self._now.value = START_NS + max(when_ns, self.now_ns)
            action()

    def _slept(self, wanted: ctypes._Pointer[_Timespec], _: int) -> int:
        try:
            until_ns = self.now_ns + wanted[0].seconds * 10**9 + wanted[0].nanoseconds
            self.run(until_ns)
            self._now.value = START_NS + max(until_ns, self.now_ns)
        except BaseException:  # it may not pass through C++
            traceback.print_exc()
            os._exit(1)
        return 0


def _address(pointer: object) -> bytes:
    return (ctypes.cast(pointer, ctypes.c_void_p).value or 0).to_bytes(8, "little")


def _overwrite(function: object, code: bytes) -> None:
    at = ctypes.cast(function, ctypes.c_void_p).value or 0
    page, protect = ctypes.c_void_p(at // _PAGE * _PAGE), ctypes.CDLL(None, use_errno=True).mprotect
    for rights in (_READ | _WRITE | _RUN, _READ | _RUN):
        if protect(page, ctypes.c_size_t(2 * _PAGE), rights):
            raise OSError(
                ctypes.get_errno(), "this system does not let a process change its own code"
            )
        if rights & _WRITE:
            ctypes.memmove(at, code, len(code))
