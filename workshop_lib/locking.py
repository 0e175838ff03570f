"""A file kept for one process; the system lets go of it when the process ends, however it ends."""

import sys
from typing import IO

if sys.platform == "win32":
    import msvcrt

    def claim(file: IO[bytes]) -> bool:
        """Keep an open file for this process, without waiting; return whether nobody else has it."""
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def claim(file: IO[bytes]) -> bool:
        """Keep an open file for this process, without waiting; return whether nobody else has it."""
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
