"""Child processes with a log file, started, awaited and stopped by id."""

import atexit
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_SECONDS = 15.0
POLL_SECONDS = 0.02


class ChildFailedError(RuntimeError):
    """A child process ended or was silent too long; the text has its log."""


class Child:
    """A running program.

    It has a session of its own: Ctrl-C reaches the stack alone, which stops its children in order.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        log_file: Path,
        *,
        directory: Path,
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.log_file = log_file
        self._stop_signal = stop_signal
        with log_file.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=environment,
                start_new_session=True,
            )
        self.name = Path(command[0]).name
        # For a process that ends without stopping its children, as after a second Ctrl-C.
        atexit.register(self.kill)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def log(self) -> str:
        """Return everything that the program has printed so far."""
        return self.log_file.read_text("utf-8", errors="replace")

    def wait_for_lines(self, pattern: str, count: int, seconds: float) -> list[str]:
        """Wait for a number of matches in the log; return their first groups.

        Raises:
            ChildFailedError: the program ended first, or the time did.
        """
        deadline = time.monotonic() + seconds
        while True:
            running = self.running
            found = re.findall(pattern, self.log(), re.MULTILINE)
            if len(found) >= count:
                return found
            if not running:
                raise ChildFailedError(
                    f"{self.name} ended with status {self._process.returncode}:\n{self.log()}"
                )
            if time.monotonic() > deadline:
                raise ChildFailedError(f"{self.name} was not ready within {seconds:.0f} s:\n{self.log()}")
            time.sleep(POLL_SECONDS)

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """Terminate the program, kill it after a while, return its status."""
        if self.running:
            self._process.send_signal(self._stop_signal)
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        atexit.unregister(self.kill)
        return self._process.returncode

    def kill(self) -> None:
        """End the program and its own children at once, as a crash would."""
        if self.running:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        atexit.unregister(self.kill)
