"""`python -m workshop_lib.sandbox`: one sandbox in the foreground of its own process."""

import argparse
import gc
import sys
from pathlib import Path

from workshop_lib.errors import WorkshopError
from workshop_lib.sandbox import prepare_process
from workshop_lib.sandbox.leases import Owner


def main() -> int:
    """Run a sandbox until it is stopped or nobody uses it any more; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m workshop_lib.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--or-any", action="store_true", help="take a free port if that one is in use")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--time-scale", type=float, default=0.02)
    parser.add_argument("--key", default="", help="names this configuration; reported by /health")
    parser.add_argument("--state-file", type=Path, help="where to write process id and port once it listens")
    parser.add_argument("--owner", action="append", default=[], type=_owner, metavar="PID:STARTED", help="a process that uses it")
    arguments = parser.parse_args()
    gc.disable()  # until the stand-ins are trained: nothing made at start is garbage, and looking for it takes a tenth of the start
    prepare_process()
    from workshop_lib.sandbox import run  # after the line above, because it loads the numerical libraries

    try:
        run.run(
            run.Options(
                arguments.port,
                arguments.or_any,
                arguments.seed,
                arguments.time_scale,
                arguments.key,
                arguments.state_file,
                tuple(arguments.owner),
            )
        )
    except (WorkshopError, OSError) as error:  # such as a full disk: the starter shows the last line of the log
        print(error, file=sys.stderr)
        return 1
    return run.leave()


def _owner(text: str) -> Owner:
    pid, started = text.split(":")
    return Owner(pid=int(pid), started=float(started))


if __name__ == "__main__":
    sys.exit(main())
