"""The replies of waves that are read, found by entry, and walking with them: what a walk asks next is what the next wave asks."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from workshop_lib import catalog
from workshop_lib.batch.records import Form, reply
from workshop_lib.batch.state import Part
from workshop_lib.bulk.work import REFUSED, SERVICE_KINDS, Met
from workshop_lib.errors import DataError
from workshop_lib.llm import Ask, CallError, Reply, Request

Answered = Reply | CallError
_PARTS_HELD = 4


class Unanswered(Exception):
    """A walk came to a call that no wave has made yet."""

    def __init__(self, model: str, request: Request) -> None:
        super().__init__(model)
        self.model = model
        self.request = request


class Replay:
    """An `Ask` that gives known replies in turn and then raises Unanswered: a walk asks the same each time it is begun anew."""

    def __init__(self, known: Sequence[Answered]) -> None:
        self._known = known
        self._next = 0

    def __call__(self, model: str, request: Request) -> Reply:
        """Give the next reply, or raise its error."""
        if self._next == len(self._known):
            raise Unanswered(model, request)
        self._next += 1
        found = self._known[self._next - 1]
        if isinstance(found, CallError):
            raise found
        return found


class Answers:
    """The outputs that lie in a folder, read part by part as entries come in order; a few parts are held at a time."""

    def __init__(self, folder: Path, form: Form, source: str) -> None:
        self._folder = folder
        self._form = form
        self._source = source
        self._held: OrderedDict[str, dict[int, Answered]] = OrderedDict()

    def of(self, number: int, waves: Sequence[Sequence[Part]]) -> list[Answered]:
        """Return the replies about an entry, wave by wave, up to the first wave that has none."""
        found = []
        for parts in waves:
            one = self._in(number, parts)
            if one is None:
                break
            found.append(one)
        return found

    def _in(self, number: int, parts: Sequence[Part]) -> Answered | None:
        for part in parts:
            if part.read and part.first <= number <= part.last:
                found = self._part(part).get(number)
                if found is not None:
                    return found
        return None

    def _part(self, part: Part) -> dict[int, Answered]:
        held = self._held.get(part.name)
        if held is None:
            model = catalog.model(part.model)
            with (self._folder / f"{part.name}.jsonl.out").open("rb") as lines:
                held = self._held[part.name] = self._read(lines, model)
            while len(self._held) > _PARTS_HELD:
                self._held.popitem(last=False)
        return held

    def _read(self, lines: Iterable[bytes], model: catalog.Model) -> dict[int, Answered]:
        """Return the replies by entry: what is damaged counts as lacking; of two lines about one entry a reply goes before an error, else the first."""
        found: dict[int, Answered] = {}
        for line in lines:
            with suppress(DataError):
                number, answered = reply(line, model, self._form, self._source)
                if number not in found or (isinstance(found[number], CallError) and isinstance(answered, Reply)):
                    found[number] = answered
        return found


class Onward(Replay):
    """Known replies first, then calls; `met` says how those went, `usd` what they cost."""

    def __init__(self, known: Sequence[Answered], live: Ask) -> None:
        super().__init__(known)
        self._ask = live
        self.met: list[Met] = []
        self.usd = 0.0

    def __call__(self, model: str, request: Request) -> Reply:
        """Give the next known reply, or call."""
        try:
            return super().__call__(model, request)
        except Unanswered:
            pass
        try:
            reply = self._ask(model, request)
        except CallError as error:
            if error.kind in SERVICE_KINDS or error.kind == REFUSED:
                self.met.append(Met(model, error.kind, str(error)))
            raise
        self.met.append(Met(model))
        self.usd += reply.cost.usd
        return reply
