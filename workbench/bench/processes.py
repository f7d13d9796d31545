"""Child processes that speak in lines of JSON, and that never outlive us.

The parent has a `Crew`; leaving it kills and reaps every child. A child has a `Parent`; when the parent is gone,
however it died, the child ends too. What either says is one JSON object on a line, its kind under "say".
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import resource
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import IO, Any, Self, TextIO, TypeAlias

Message: TypeAlias = dict[str, Any]

LONGEST_LINE = 256 * 2**20
"""Bytes of one line; a child that says more is broken."""


class ChildFailed(Exception):
    """A child said it could not go on, ended before its time, or did not answer in time."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"the {name} {reason}")
        self.name = name
        self.reason = reason


class Child:
    """One child process. Made by `Crew.start`."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        self.name = name
        self.said: list[Message] = []
        """What it said and nobody has heard yet."""
        self.ended = False
        """Whether it has closed its line, as it does by ending."""
        self._process = process
        self._errors = errors
        self._partial = b""

    @property
    def pid(self) -> int:
        """The number of the process, which is also that of its process group."""
        return self._process.pid

    def say(self, kind: str, **content: Any) -> None:
        """Sends the child a line. That it is gone is not noticed here but by whoever listens to it."""
        line = json.dumps({"say": kind, **content}, separators=(",", ":")).encode() + b"\n"
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def read(self) -> None:
        """Takes in what has arrived; called when there is something, or the end."""
        assert self._process.stdout is not None
        chunk = os.read(self._process.stdout.fileno(), 1 << 20)
        if not chunk:
            self.ended = True
            return
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        if len(self._partial) > LONGEST_LINE:
            raise ChildFailed(self.name, f"said more than {LONGEST_LINE >> 20} MiB on one line")
        for line in lines:
            try:
                message = json.loads(line)
                self.said.append({"say": str(message["say"]), **message})
            except (ValueError, TypeError, KeyError):
                raise ChildFailed(self.name, f"said what is no message: {line[:80]!r}") from None

    def why(self) -> str:
        """How it ended, with the last line that it wrote to its standard error."""
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "closed its line and went on"
        with contextlib.suppress(ValueError):
            names = {number.value: number.name for number in signal.Signals}
            how = f"was ended by {names.get(-code, -code)}" if code < 0 else f"ended with exit code {code}"
            self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 2000))
            lines = self._errors.read().decode(errors="replace").strip().splitlines()
            return f"{how}: {lines[-1].strip()}" if lines else how
        return "ended"

    def fileno(self) -> int:
        """The descriptor it speaks on."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def hang_up(self) -> None:
        """Ends the line to the child, upon which it ends itself."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def wait(self, timeout: float) -> bool:
        """Whether it has ended within `timeout` seconds."""
        try:
            self._process.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """Kills its process group, reaps it and closes every descriptor to it. Killing twice does nothing."""
        # Only before it is reaped does its number surely belong to it.
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


class Crew:
    """Child processes with a common end: leaving the context kills and reaps whatever is left of them.

    Each child is a session of its own, so a Ctrl-C on the terminal reaches the parent only, which then decides.
    """

    def __init__(self) -> None:
        self.children: list[Child] = []

    def start(self, module: str, job: Mapping[str, Any], *, name: str) -> Child:
        """Starts ``python -m module`` and hands it `job` as its first line. `name` is for messages: "sender"."""
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        process = subprocess.Popen(
            # Without -P a json.py in the user's folder would take the place of Python's own.
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        child = Child(name, process, errors)
        self.children.append(child)
        child.say("job", **job)
        return child

    def hear(self, child: Child, kind: str, timeout: float) -> Message:
        """The next message of this kind from `child`, waiting up to `timeout` seconds.

        Raises ChildFailed when it does not come in time, and at once when any child of the crew fails: if the sender
        is dead, the receiver is not to be waited for. Raises KeyboardInterrupt when a child was interrupted.
        """
        deadline = time.monotonic() + timeout
        while True:
            for message in child.said:
                if message["say"] == kind:
                    child.said.remove(message)
                    return message
            self._refuse_failures()
            left = deadline - time.monotonic()
            if left <= 0:
                raise ChildFailed(child.name, f"did not say {kind!r} within {timeout:g} s")
            self.listen(left)

    def listen(self, timeout: float) -> None:
        """Takes in what any child says; returns after the first has spoken, or after `timeout` seconds."""
        with selectors.DefaultSelector() as selector:
            for child in self.children:
                if not child.ended:
                    selector.register(child, selectors.EVENT_READ, child)
            for key, _ in selector.select(timeout):
                key.data.read()

    def dismiss(self, patience: float = 2.0) -> None:
        """Ends all children: asks them, waits up to `patience` seconds altogether, and kills who is left."""
        for child in self.children:
            child.hang_up()
        deadline = time.monotonic() + patience
        for child in self.children:
            child.wait(max(0.0, deadline - time.monotonic()))
        self.kill()

    def kill(self) -> None:
        """Kills and reaps all children, undisturbed by a second Ctrl-C."""
        with _undisturbed():
            for child in self.children:
                child.kill()
            self.children.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _refuse_failures(self) -> None:
        for child in self.children:
            for message in child.said:
                if message["say"] == "interrupted":
                    raise KeyboardInterrupt
                if message["say"] == "error":
                    raise ChildFailed(child.name, f"failed: {message.get('reason', 'no reason given')}")
            if child.ended:
                raise ChildFailed(child.name, child.why())


def allow_files() -> None:
    """Lets this process, and those that it starts from now on, open as many files as the system lets it have.

    What a session begins with, often 1,024, is for programs that wait with select().
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Parent:
    """The parent, as a child process sees it. Make it first of all, then `read` the job, then `watch`."""

    def __init__(self) -> None:
        self.stopped = False
        """Whether the parent has said "stop"; looked at by loops that cannot wait."""
        self.traced = False
        """The same of "trace"."""
        self._heard: queue.SimpleQueue[Message] = queue.SimpleQueue()
        # Whatever is printed by accident must not get between our lines.
        self._out: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        # The terminal's Ctrl-C is the parent's business; it will end us.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def read(self) -> Message:
        """The next line, waited for in this thread; for the job, before `watch`."""
        line = sys.stdin.readline()
        if not line:
            os._exit(0)
        message: Message = json.loads(line)
        return message

    def watch(self) -> None:
        """From now on a thread listens, and ends this process when the parent is gone.

        Call it after pinning: threads inherit the processors of the thread that starts them.
        """
        threading.Thread(target=self._listen, name="parent", daemon=True).start()

    def hear(self, kind: str) -> Message:
        """The next message, which must be of this kind."""
        message = self._heard.get()
        if message["say"] != kind:
            raise RuntimeError(f"expected the parent to say {kind!r}, not {message['say']!r}")
        return message

    def say(self, kind: str, **content: Any) -> None:
        """Sends the parent a line."""
        self._out.write(json.dumps({"say": kind, **content}, separators=(",", ":")) + "\n")
        self._out.flush()

    def stay(self) -> None:
        """Waits to be ended."""
        threading.Event().wait()

    @staticmethod
    def live_at_most(seconds: float) -> None:
        """The kernel ends this process after so many seconds, even if no Python code gets to execute any more."""
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def _listen(self) -> None:
        for line in sys.stdin:
            message = json.loads(line)
            if message["say"] == "stop":
                self.stopped = True
            self.traced |= message["say"] == "trace"
            self._heard.put(message)
        # Not sys.exit: the main thread may be anywhere, and there is nothing to tidy that the kernel does not.
        os._exit(0)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C waits until this is done. Elsewhere than in the main thread it never comes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
