"""An emulator in a test, and how its histories are read."""

from dataclasses import dataclass, field
from typing import Any

from workshop_lib.cloud.emulator import Emulator, Execution


@dataclass
class Room:
    """An emulator with the machine for one ticket, and how long it waited between attempts."""

    emulator: Emulator
    arn: str
    waits: list[float] = field(default_factory=list)

    def run(self, ticket: dict[str, Any]) -> Execution:
        """Run one ticket."""
        return self.emulator.run(self.arn, {"ticket": ticket})
