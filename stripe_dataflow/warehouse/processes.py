"""Whether the process that began something is still there, told from a later one that got the same id."""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_PROC = Path("/proc")
_ENDED = "ZX"  # a zombie holds its id, for good in a container whose first process waits for no child


@dataclass(frozen=True, slots=True)
class Process:
    """A process of some machine.

    Attributes:
        host: The machine's name.
        pid: Its id, which the machine gives again after it ended; in a container soon after a restart.
        mark: What tells it from others with its id; empty where the system does not say.
    """

    host: str
    pid: int
    mark: str

    @classmethod
    def own(cls) -> Self:
        """Return this process."""
        return cls(socket.gethostname(), os.getpid(), mark_of(os.getpid()))

    @property
    def is_here(self) -> bool:
        """Tell whether it is one of this machine's."""
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """Tell whether it runs; ask only of one that is here."""
        return is_running(self.pid, self.mark)


def own_name() -> str:
    """Return a new name for files of this process that are of no use after it."""
    own = Process.own()
    return f"stage-{own.pid}-{own.mark}-{uuid.uuid4().hex[:8]}"


def has_left(path: Path) -> bool:
    """Tell whether the process that gave a file its name by `own_name` is gone."""
    _, pid, *mark, _ = path.name.split("-")
    return pid.isdigit() and not is_running(int(pid), "".join(mark))


def is_running(pid: int, mark: str) -> bool:
    """Tell whether a process of this machine, not another with its id, runs; `mark` may be empty."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    now = mark_of(pid)
    return now != _ENDED and (not mark or not now or now == mark)


def mark_of(pid: int) -> str:
    """Return the boot and the tick of it at which a process began, as letters and digits; empty where unknown.

    Not the time of day: a clock that is set right would make every process look like another.
    """
    try:
        # After the name, which may hold anything: the state, and 19 fields on the tick (proc_pid_stat(5)).
        fields = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="utf-8")
    except OSError:
        return ""
    return _ENDED if fields[0] in _ENDED else f"{boot[:8]}x{fields[19]}"
