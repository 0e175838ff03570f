"""The loopback server that speaks Bedrock Runtime and OpenAI chat completions, with stand-ins for the models."""

import os

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""What keeps the numerical libraries on one thread, so that answers do not depend on the number of cores; set before they are loaded."""


def prepare_process() -> None:
    """Make this process a sandbox's before anything of it is loaded: one numerical thread."""
    os.environ.update(ONE_THREAD)
