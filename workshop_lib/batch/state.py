"""What survives the command: which parts were asked of which job, in a small file that is whole or not there."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from uuid import uuid4

from workshop_lib.errors import DataError

FORMAT = "cascade-workshop batch 1"


@dataclass
class Part:
    """One job's share of a wave: entries `first` to `last`, not all between them, asked of one model.

    `arn` is known once the job was made, `status` is what the service said last, `lacking` counts records without an output (None: not read
    yet), `replaced` says that those are asked again by another part or on demand, `counts` are those of the job's manifest.
    """

    name: str
    wave: int
    model: str
    first: int
    last: int
    records: int
    arn: str | None = None
    status: str = ""
    message: str = ""
    lacking: int | None = None
    replaced: bool = False
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def read(self) -> bool:
        """Say whether the output is on this machine."""
        return self.lacking is not None


@dataclass
class State:
    """One run: its name, in the tokens of its requests and the folders of its files; its parts, wave by wave; entries answered by on-demand calls.

    `identity` is what is run, as in the journal: a run that was begun anew, and killed before this was removed, finds another's here.
    """

    run: str = field(default_factory=lambda: uuid4().hex[:12])
    parts: list[Part] = field(default_factory=list)
    waves: int = 0
    on_demand: list[int] = field(default_factory=list)
    identity: dict[str, str] = field(default_factory=dict)

    def wave(self, number: int) -> list[Part]:
        """Return the parts of a wave, from 0."""
        return [part for part in self.parts if part.wave == number]

    def token(self, part: Part) -> str:
        """Return the client request token of a part's job: the same request again makes no second job."""
        return f"{self.run}-{part.name}"

    def job(self, part: Part) -> str:
        """Return the name of a part's job."""
        return f"cascade-{self.run}-{part.name}"


class StateFile:
    """The state on disk, in the folder of the run."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "state.json"

    def load(self) -> State | None:
        """Return the state, or None if there is none; raise DataError if it is not one of this version."""
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            if found.pop("format") != FORMAT:
                raise ValueError("another format")
            parts: Sequence[dict[str, object]] = found.pop("parts")
            return State(parts=[Part(**part) for part in parts], **found)  # type: ignore[arg-type]  # checked by the format
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{self._path} cannot be read ({error}). Restore it, or begin anew with --restart.") from error

    def save(self, state: State) -> None:
        """Write the state so that after a crash either the old or the new one is there."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_suffix(".new")
        with beside.open("w", encoding="utf-8") as file:
            json.dump({"format": FORMAT, **asdict(state)}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
        sync_folder(self._path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until a folder's names are on disk, where the system can say so."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
