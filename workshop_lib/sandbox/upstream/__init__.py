"""Real models behind the sandbox's wire: asked at an OpenAI-compatible server, recorded, and replayed."""

from collections.abc import AsyncGenerator, Mapping

from workshop_lib.sandbox.answering import Answerer, StandIns
from workshop_lib.sandbox.ask import Ask, Completion, Piece
from workshop_lib.sandbox.upstream.client import Client
from workshop_lib.sandbox.upstream.config import UpstreamConfig, mapping, notice, read
from workshop_lib.sandbox.upstream.live import Upstream
from workshop_lib.sandbox.upstream.record import File, Recording
from workshop_lib.sandbox.upstream.replay import Replay, load

__all__ = ["Routed", "UpstreamConfig", "mapping", "notice", "open_answerer", "read"]


class Routed:
    """Sends each request to the answerer of its model; the others go to `otherwise`."""

    def __init__(self, routes: Mapping[str, Answerer], otherwise: Answerer) -> None:
        self._routes = routes
        self._otherwise = otherwise

    def source(self, ask: Ask) -> str:
        """Say who answers."""
        return self._route(ask).source(ask)

    async def complete(self, ask: Ask) -> Completion:
        """Return the answer."""
        return await self._route(ask).complete(ask)

    def stream(self, ask: Ask) -> AsyncGenerator[Piece | Completion]:
        """Yield the answer as it comes."""
        return self._route(ask).stream(ask)

    def _route(self, ask: Ask) -> Answerer:
        return self._routes.get(ask.model.id, self._otherwise)


def open_answerer(config: UpstreamConfig, stand_ins: Answerer, time_scale: float | None = None) -> Answerer:
    """Return what answers every request as configured: mapped models by the server or the recording, all others by `stand_ins`.

    Replayed latencies are slept at `time_scale`, by default that of the stand-ins. Raises SettingsError for a key that is not set or a file
    that cannot be written, DataError for a recording that cannot be read.
    """
    if time_scale is None:
        time_scale = stand_ins.time_scale if isinstance(stand_ins, StandIns) else 0.0
    client = Client(config) if config.url is not None else None
    file = File(config.record) if config.record is not None else None  # before it is read: a torn last line is removed
    replies = load(config.replay) if config.replay is not None else None
    asked: Answerer | None = Upstream(client, config.map, config.forced) if client is not None else None
    if asked is not None and client is not None and file is not None:
        asked = Recording(asked, file, client, learn=None if replies is None else replies.add)
    routes: dict[str, Answerer] = {} if asked is None else dict.fromkeys(config.map, asked)
    if replies is not None:
        for model in {*config.map, *replies.models}:
            missed = {"error": None, "stand-in": stand_ins, "upstream": routes.get(model)}[config.on_miss]
            routes[model] = Replay(replies, missed, time_scale)
    return Routed(routes, stand_ins)
