"""One check, one line, one remedy."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """The outcome of one check: what was looked at, whether it is well, what was found, and what to do if not."""

    name: str
    ok: bool
    found: str
    remedy: str = ""

    def line(self) -> str:
        """Return the check as one line, the verdict in words first."""
        verdict = "ok  " if self.ok else "FAIL"
        return f"{verdict} {self.name}: {self.found}" + (f". Do: {self.remedy}" if not self.ok else "")
