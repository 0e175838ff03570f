"""The loopback server that speaks Bedrock Runtime and OpenAI chat completions, with stand-ins for the models."""

import os
import sys

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""What keeps the numerical libraries on one thread, so that answers do not depend on the number of cores; set before they are loaded."""


def prepare_process() -> None:
    """Make this process a sandbox's before anything of it is loaded: one numerical thread, and scikit-learn without pandas.

    Where pandas is installed scikit-learn loads it, half a second and 40 MB for a library that the sandbox does not use.
    """
    os.environ.update(ONE_THREAD)
    if "pandas" in sys.modules:
        return
    sys.modules["pandas"] = None  # type: ignore[assignment]  # how Python is told that there is no such module
    try:
        import sklearn.feature_extraction.text
    finally:
        del sys.modules["pandas"]
    assert sklearn.feature_extraction.text is not None
