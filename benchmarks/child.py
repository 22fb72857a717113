"""Run a command and write what it took: of a small process, as a child's peak memory begins with its parent's.

Run as `python benchmarks/child.py FILE COMMAND...`.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    """Run, wait, write wall and CPU seconds and peak memory in MB, exit as the command did."""
    started = time.monotonic()
    process = subprocess.Popen(sys.argv[2:])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    ended = time.monotonic()  # of the whole machine, so it can be compared with the server's
    taken = {
        "seconds": ended - started,
        "ended": ended,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
    }
    Path(sys.argv[1]).write_text(json.dumps(taken), encoding="utf-8")
    sys.exit(process.returncode)


if __name__ == "__main__":
    main()
