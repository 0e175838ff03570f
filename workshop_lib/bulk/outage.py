"""Telling a service that is down, or an account that is refused, from tickets that fail: the first must not be written off ticket by ticket."""

from dataclasses import dataclass, field

from workshop_lib.bulk.work import REFUSED, Met, Outcome, Piece

IN_A_ROW = 12

Held = tuple[Piece, Outcome]


@dataclass
class _Tier:
    """The tickets that a tier failed since it last served one, and those of them that are held back."""

    failures: list[int] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)

    def served(self, number: int) -> list[Held]:
        """Forget the failures of tickets before one that was served, and return what was held back of them.

        A ticket that was begun before the failure and is served after it says nothing of how the tier is now.
        """
        if not self.failures:
            return []
        self.failures = [failure for failure in self.failures if failure > number]
        ready = [held for held in self.held if held[0].entry.number < number]
        self.held = [held for held in self.held if held[0].entry.number >= number]
        return ready


class Outage:
    """Looks at outcomes as they come; `certain` names the tier and its last failure once so many tickets in a row failed there.

    A ticket that failed at a tier for a reason that lies with the service is held back until that tier serves a later ticket: then it
    was this one's bad luck, and it is told as failed. If none is served, it stays unfinished and can be sent again. A request that is refused as
    wrong lies with its ticket as soon as any ticket was served, in this run or, with `served_before`, in an earlier one of the same output.
    """

    def __init__(self, in_a_row: int = IN_A_ROW, *, served_before: bool = False) -> None:
        self.certain: Met | None = None
        self._in_a_row = in_a_row
        self._tiers: dict[str, _Tier] = {}
        self._last: Met | None = None
        self._any_served = served_before

    def after(self, piece: Piece, outcome: Outcome) -> list[Held]:
        """Return what can be written down now: this outcome, ones held back before, or neither."""
        ready: list[Held] = []
        for met in outcome.met:
            if self._of_the_ticket(met):
                continue
            tier = self._tiers.setdefault(met.tier, _Tier())
            if met.kind is None:
                self._any_served = True
                ready += tier.served(piece.entry.number)
                continue
            self._last = met
            tier.failures.append(piece.entry.number)
            if len(tier.failures) >= self._in_a_row:
                self.certain = self.certain or met
        last = outcome.met[-1] if outcome.met else None
        if outcome.failed and last is not None and last.kind is not None and not self._of_the_ticket(last):
            self._tiers[last.tier].held.append((piece, outcome))
        else:
            ready.append((piece, outcome))
        return ready

    def _of_the_ticket(self, met: Met) -> bool:
        return met.kind == REFUSED and self._any_served

    def at_the_end(self) -> list[Held]:
        """Return what is written down at the end of the input: all that was held back, unless no tier served any ticket, which makes it certain."""
        held = self.held()
        if not self._any_served and any(outcome.met[-1].kind != REFUSED for _, outcome in held):
            self.certain = self.certain or self._last
        if self.certain is not None:
            return []
        for tier in self._tiers.values():
            tier.held.clear()
        return held

    def left(self) -> list[Outcome]:
        """Return the outcomes that were held back and are not told; what they cost was spent all the same."""
        return [outcome for _, outcome in self.held()]

    def held(self) -> list[Held]:
        """Return the same with their pieces."""
        return [one for tier in self._tiers.values() for one in tier.held]
