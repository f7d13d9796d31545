"""What a process does between signals that it sends itself: seen by ptrace, instruction by instruction.

Processors count instructions, but virtual machines often do not let one see, and emulators do not know every system
call. So the kernel is asked to stop the process after each instruction of its main thread: ten thousand times slower,
exact, and there wherever a parent may trace its child. System calls are counted in another run, those of all threads.

The traced process sends itself SIGUSR1 at the beginning and at the end of each part that is to be counted. It is killed
when the last part is over.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import signal
import struct
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path


class TraceError(Exception):
    """The process cannot be traced, or did not do what was expected; the text says why."""


@dataclass
class Steps:
    """The main thread's work in one part."""

    instructions: int = 0
    allocations: int = 0
    """How often it was at the first instruction of an allocator; x86-64 only, elsewhere 0."""


@dataclass
class Calls:
    """The system calls of all threads in one part."""

    entered: int = 0
    written: int = 0
    """Bytes that calls of the write family took."""


def steps(pid: int, parts: int, allocators: Collection[int], go: Callable[[], None]) -> list[Steps]:
    """Steps through so many parts. `go` lets the process begin, which waits for that."""
    found = []
    wanted = frozenset(allocators)
    peek = _peek if platform.machine() == "x86_64" else None
    with _traced([pid], 0):
        go()
        for _ in range(parts):
            _run_to_mark(pid)
            instructions = allocations = 0
            while True:
                _ptrace(_SINGLESTEP, pid, 0, 0)
                status = os.waitpid(pid, _WALL)[1]
                if status == _STEPPED:
                    instructions += 1
                    if peek is not None and peek(_PEEK, pid, _RIP, 0) in wanted:
                        allocations += 1
                elif _is_mark(status):
                    break
                else:
                    _refuse_end(status)
            found.append(Steps(instructions, allocations))
            _ptrace(_CONT, pid, 0, 0)
    return found


def calls(pid: int, parts: int, go: Callable[[], None]) -> list[Calls]:
    """Counts the system calls of so many parts. `go` lets the process begin, which waits for that."""
    found: list[Calls] = []
    marks = 0
    last: dict[int, int] = {}
    with _traced(_threads(pid), _SYSGOOD | _CLONE) as threads:
        for thread in threads:
            _ptrace(_INTERRUPT, thread, 0, 0)
        # What a thread waited for begins anew when it is let go, which is not the program's doing: count none of that.
        waiting = set(threads)
        while waiting:
            thread, status = _next_stop(threads, [pid])
            if _signal(status) == _SYSCALL_STOP:
                waiting.discard(thread)
            _ptrace(_SYSCALL, thread, 0, _deliverable(status))
        go()
        while marks < 2 * parts:
            thread, status = _next_stop(threads, [pid])
            if status >> 8 == _CLONED:
                threads.append(_message(thread))
            elif _signal(status) == _SYSCALL_STOP:
                # The first stop of a thread may be the end of a call whose beginning nobody saw.
                if marks % 2:
                    _note(found[-1], thread, last)
            elif _is_mark(status):
                marks += 1
                if marks % 2:
                    found.append(Calls())
            _ptrace(_SYSCALL, thread, 0, _deliverable(status))
    return found


def together(pids: Collection[int], go: Callable[[], None]) -> dict[int, int]:
    """Counts the system calls of several processes at once, each between two marks of its own; they live on.

    `go` lets them begin; they need not wait for that. Raises TraceError, also when one of them ends.
    """
    marks, found = dict.fromkeys(pids, 0), dict.fromkeys(pids, 0)
    belongs: dict[int, int] = {}
    try:
        for pid in pids:
            for thread in _threads(pid):
                _seize(thread, _SYSGOOD | _CLONE)
                belongs[thread] = pid
                _ptrace(_INTERRUPT, thread, 0, 0)
        go()
        threads = list(belongs)
        while min(marks.values()) < 2:
            thread, status = _next_stop(threads, pids)
            pid = belongs[thread]
            if status >> 8 == _CLONED:
                belongs[_message(thread)] = pid
                threads.append(_message(thread))
            elif _signal(status) == _SYSCALL_STOP:
                found[pid] += marks[pid] == 1 and _enters(thread)
            elif _is_mark(status):
                marks[pid] += 1
            _ptrace(_SYSCALL, thread, 0, _deliverable(status))
    finally:
        for thread in belongs:
            _let_go(thread)
    return found


def _enters(thread: int) -> bool:
    return _ptrace(_GET_SYSCALL_INFO, thread, len(_INFO), ctypes.addressof(_INFO)) > 0 and _INFO.raw[0] == _ENTERS


def _let_go(thread: int) -> None:
    """Only who has stopped can be let go; who does not stop in time is let go when its tracer ends."""
    _ptrace(_INTERRUPT, thread, 0, 0)
    deadline = time.monotonic() + LETTING_GO
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            stopped, status = os.waitpid(thread, _WALL | os.WNOHANG)
            if stopped:
                _ptrace(_DETACH, thread, 0, _deliverable(status))
                return
            os.sched_yield()


def _threads(pid: int) -> list[int]:
    try:
        return [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]
    except FileNotFoundError:
        raise TraceError("the traced process has ended") from None


def _seize(thread: int, options: int) -> None:
    if _ptrace(_SEIZE, thread, 0, options) < 0:
        raise TraceError(
            f"a process cannot be traced here: {os.strerror(ctypes.get_errno())} "
            "(in a container it may have to be allowed: --cap-add SYS_PTRACE)"
        )


def _note(found: Calls, thread: int, last: dict[int, int]) -> None:
    ctypes.set_errno(0)
    size = _ptrace(_GET_SYSCALL_INFO, thread, len(_INFO), ctypes.addressof(_INFO))
    if size < 0:
        raise TraceError("this kernel does not tell what a system call was; it must be Linux 5.3 or later")
    kind, value = _INFO.raw[0], struct.unpack_from("q", _INFO.raw, 24)[0]
    if kind == _ENTERS:
        found.entered += 1
        last[thread] = value
    elif kind == _LEAVES and last.get(thread) in _WRITES and value > 0:
        found.written += value


@contextlib.contextmanager
def _traced(threads: list[int], options: int) -> Iterator[list[int]]:
    """Trace these threads of one process, the main thread among them; afterwards the process is killed."""
    leader = min(threads)
    for thread in threads:
        _seize(thread, options)
    mine = os.sched_getaffinity(0)
    # Where the traced process is: to wake it there is several times quicker.
    os.sched_setaffinity(0, os.sched_getaffinity(leader))
    try:
        yield threads
    finally:
        os.sched_setaffinity(0, mine)
        with contextlib.suppress(ProcessLookupError):
            os.kill(leader, signal.SIGKILL)
        for thread in threads:
            if thread != leader:
                # Until its tracer has seen each thread end, the process does not.
                with contextlib.suppress(ChildProcessError):
                    while not _ended(os.waitpid(thread, _WALL)[1]):
                        pass


def _run_to_mark(pid: int) -> None:
    while not _is_mark(status := os.waitpid(pid, _WALL)[1]):
        _refuse_end(status)
        _ptrace(_CONT, pid, 0, 0 if status >> 16 else _signal(status))


def _next_stop(threads: list[int], leaders: Collection[int]) -> tuple[int, int]:
    """The next thread that stops, and why. Only ours are asked: this process may have other children."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for thread in list(threads):
            try:
                found, status = os.waitpid(thread, _WALL | os.WNOHANG)
            except ChildProcessError:
                threads.remove(thread)
                continue
            if not found:
                continue
            if _ended(status):
                if thread in leaders:
                    _refuse_end(status)
                threads.remove(thread)
                continue
            return thread, status
        os.sched_yield()
    raise TraceError(f"the traced process did nothing for {PATIENCE:g} s")


def _is_mark(status: int) -> bool:
    return status == (signal.SIGUSR1 << 8 | 0x7F)


def _ended(status: int) -> bool:
    return os.WIFEXITED(status) or os.WIFSIGNALED(status)


def _refuse_end(status: int) -> None:
    if os.WIFEXITED(status):
        raise TraceError(f"the traced process ended with exit code {os.WEXITSTATUS(status)}")
    if os.WIFSIGNALED(status):
        raise TraceError(f"the traced process was ended by {signal.Signals(os.WTERMSIG(status)).name}")


def _deliverable(status: int) -> int:
    """The signal that a stop kept from the process; none if it was for the tracer, or the process has ended."""
    ours = status >> 16 or _ended(status) or _is_mark(status) or _signal(status) == _SYSCALL_STOP
    return 0 if ours else _signal(status)


def _signal(status: int) -> int:
    return (status >> 8) & 0xFF


def _message(thread: int) -> int:
    value = ctypes.c_ulong()
    _ptrace(_GETEVENTMSG, thread, 0, ctypes.addressof(value))
    return value.value


LETTING_GO = 5.0
"""Seconds that a thread may take to stop for being let go."""
PATIENCE = 30.0
"""Seconds for which a traced process may do nothing at all."""

_libc = ctypes.CDLL(None, use_errno=True)
_ptrace = _libc.ptrace
_ptrace.argtypes = [ctypes.c_long] * 4
_ptrace.restype = ctypes.c_long
_peek = _ptrace

_WALL = 0x40000000
_PEEK, _CONT, _SINGLESTEP, _SYSCALL = 3, 7, 9, 24
_DETACH = 17
_GETEVENTMSG, _SEIZE, _INTERRUPT, _GET_SYSCALL_INFO = 0x4201, 0x4206, 0x4207, 0x420E
_SYSGOOD, _CLONE = 1, 8
_STEPPED = signal.SIGTRAP << 8 | 0x7F
_SYSCALL_STOP = signal.SIGTRAP | 0x80
_CLONED = signal.SIGTRAP | 3 << 8
_RIP = 16 * 8
"""Where x86-64 keeps the instruction pointer in its struct user."""
_ENTERS, _LEAVES = 1, 2
_INFO = ctypes.create_string_buffer(88)
_WRITES = {
    "x86_64": {1, 18, 20, 44, 46, 296, 307},
    "aarch64": {64, 66, 68, 70, 206, 211, 269},
}.get(platform.machine(), set())
"""The numbers of write, pwrite64, writev, pwritev, sendto, sendmsg and sendmmsg."""
