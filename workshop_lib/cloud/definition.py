"""The state machines of deploy/ with the names of their functions filled in, as the deployment does it."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from workshop_lib.errors import DataError
from workshop_lib.paths import ROOT

DEPLOY = ROOT / "deploy"
FUNCTIONS: Mapping[str, str] = {
    "ClassifierFunctionArn": "classify",
    "TierFunctionArn": "call_tier",
    "GateFunctionArn": "gate",
    "JudgeFunctionArn": "judge",
}
"""Which handler stands behind each placeholder for a function."""


def machine(name: Literal["ticket", "tickets"], values: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return a state machine's definition with `${...}` replaced; raise DataError if the file is missing or is no JSON."""
    path = DEPLOY / f"{name}.asl.json"
    try:
        text = path.read_text(encoding="utf-8")
        for placeholder, value in (values or {}).items():
            text = text.replace(f"${{{placeholder}}}", value)
        definition: dict[str, Any] = json.loads(text)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise DataError(f"The state machine {path} cannot be read ({error}). Restore it with: git checkout deploy") from error
    return definition
