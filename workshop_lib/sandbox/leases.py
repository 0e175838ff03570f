"""Who uses a sandbox: processes by id and start time, so that the sandbox ends when the last of them has ended."""

import psutil
from pydantic import BaseModel, ConfigDict, Field

_SAME_START_S = 1.0  # the start time is read by two processes and may be rounded differently


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

    @property
    def alive(self) -> bool:
        """Say whether the process still runs."""
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.started) < _SAME_START_S and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True


class Leases:
    """The processes that use one sandbox."""

    def __init__(self, *owners: Owner) -> None:
        self._owners = set(owners)
        self.leased = bool(owners)

    def __len__(self) -> int:
        return len(self._owners)

    def add(self, owner: Owner) -> None:
        """Register a process that uses the sandbox."""
        self._owners.add(owner)

    @property
    def abandoned(self) -> bool:
        """Say whether nobody is left; never so for a sandbox that was started to stay, in a terminal of its own."""
        self._owners = {owner for owner in self._owners if owner.alive}
        return self.leased and not self._owners
