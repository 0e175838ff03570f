"""Who uses a sandbox: processes by id and start time, so that the sandbox ends when the last of them has ended."""

import psutil
from pydantic import BaseModel, ConfigDict, Field

_SAME_START_S = 10.0  # the start time is read by two processes, between which the clock may have been set


class Owner(BaseModel):
    """A process that uses the sandbox: its id, and when it started in seconds since the epoch (an id may be used again)."""

    model_config = ConfigDict(frozen=True)

    pid: int = Field(gt=0)
    started: float

    @staticmethod
    def current() -> "Owner":
        """Return the calling process."""
        process = psutil.Process()
        return Owner(pid=process.pid, started=process.create_time())

    def process(self) -> psutil.Process | None:
        """Return the process, or None if it has ended, also if its id now belongs to another."""
        try:
            process = psutil.Process(self.pid)
            return process if abs(process.create_time() - self.started) < _SAME_START_S else None
        except psutil.NoSuchProcess:
            return None
        except psutil.AccessDenied:
            return process


class Leases:
    """The processes that use one sandbox."""

    def __init__(self, *owners: Owner) -> None:
        self._users: dict[int, psutil.Process] = {}
        self._leased = bool(owners)
        self._ended = False
        for owner in owners:
            self.add(owner)

    def __len__(self) -> int:
        return len(self._users)

    def add(self, owner: Owner) -> bool:
        """Register a process that uses the sandbox; return False if it does not run here, or if the sandbox is ending already."""
        process = None if self._ended else owner.process()
        if process is None:
            return False
        self._users[owner.pid] = process  # from here on psutil tells it by a start time that setting the clock does not change
        return True

    @property
    def abandoned(self) -> bool:
        """Say whether nobody is left, after which nobody may join; never so for a sandbox that was started to stay, in a terminal."""
        self._users = {pid: process for pid, process in self._users.items() if _runs(process)}
        self._ended = self._leased and not self._users
        return self._ended


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
