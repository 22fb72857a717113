"""What a process that holds a key or rows keeps to itself."""

from __future__ import annotations

import os
from contextlib import suppress


def owner_only_files() -> None:
    """From here on all files that this process makes are for its owner alone."""
    os.umask(os.umask(0o077) | 0o077)


def no_crash_dumps() -> None:
    """Let no crash of this process, or of one it starts, write its memory to a file: key and rows are in it."""
    with suppress(ImportError):  # Windows writes none by itself, and has no such limit
        import resource  # noqa: PLC0415 absent there

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
