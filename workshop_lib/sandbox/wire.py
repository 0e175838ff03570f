"""What the server knows of a protocol: requests understood, answers whole or as a stream, and refusals."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from workshop_lib.sandbox.ask import Ask, Completion, Piece
from workshop_lib.sandbox.faults import Failure

Reply = tuple[int, Mapping[str, str], Mapping[str, Any]]
"""Status, headers and JSON body."""


@dataclass(frozen=True)
class Streamed:
    """An answer sent in chunks as they come."""

    headers: Mapping[str, str]
    chunks: AsyncGenerator[bytes]
    status: int = 200


class Refusal(Exception):
    """A request answered with an error, as its protocol writes it."""

    def reply(self) -> Reply:
        """Return status, headers and body."""
        raise NotImplementedError


class Writer(Protocol):
    """Writes one answer as a stream; it keeps what it has opened."""

    def piece(self, piece: Piece) -> bytes:
        """Return the bytes of one piece, with whatever has to open before it."""
        ...

    def end(self, done: Sequence[Completion]) -> bytes:
        """Return the bytes after the last piece."""
        ...

    def failed(self, failure: Failure) -> bytes:
        """Return the bytes of an error in the middle of the stream."""
        ...


@dataclass(frozen=True)
class Exchange(ABC):
    """One request understood: what it asks (several times for several choices) and how its answer is written.

    `buffered` says that a streamed answer must be whole before its first piece is sent, as when a guardrail reads it first.
    `tags` are the request's own labels for the ledger; `headers` go with the answer.
    """

    asks: tuple[Ask, ...]
    streaming: bool = False
    buffered: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    stream_type: ClassVar[str]
    request_id_header: ClassVar[str]

    def screened(self) -> Completion | None:
        """Return an answer that is given without asking the model, such as a guardrail's, or None."""
        return None

    def finished(self, done: Completion) -> Completion:
        """Return the model's answer as it may be sent and counted, whole or at the end of a stream: cache usage, a guardrail's verdict."""
        return done

    @abstractmethod
    def body(self, done: Sequence[Completion]) -> Mapping[str, Any]:
        """Return the body of the whole answer."""

    @abstractmethod
    def writer(self) -> Writer:
        """Return what writes the answer as a stream."""

    @abstractmethod
    def refusal(self, failure: Failure) -> Refusal:
        """Return a failure as this protocol's error."""
