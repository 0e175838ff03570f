"""One sandbox process with an upstream: `python serve_upstream.py STATE_FILE OPTIONS`, options as JSON."""

import json
import sys
from pathlib import Path
from typing import Any

from workshop_lib.sandbox import run, server, upstream


class Sandbox(server.Sandbox):
    """A sandbox whose models are answered as the options say."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.answerer = upstream.open_answerer(upstream.read(json.loads(sys.argv[2])), self.answerer)


if __name__ == "__main__":
    server.Sandbox = Sandbox  # type: ignore[misc]
    run._warm_up = lambda: None  # most of these requests never reach a stand-in
    run.run(run.Options(time_scale=0.0, state_file=Path(sys.argv[1])))
