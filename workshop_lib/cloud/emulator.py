"""The state machine on this machine: moto's Step Functions over HTTP, the handlers in this process, and models wherever Bedrock's endpoint points.

It is part of the package, not of the tests, because `workshop cloud simulate` shows learners the same run that the tests check. No handler
imports it, and moto is loaded only when it is opened.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import boto3
from botocore.config import Config

from workshop_lib.cloud import handlers
from workshop_lib.cloud.definition import FUNCTIONS, machine
from workshop_lib.cloud.shim import Shim, patched
from workshop_lib.errors import SettingsError, WorkshopError

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

REGION, ACCOUNT = "us-west-2", "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/cascade"
_POLL_S = 0.01
_MISSING = "The emulator of Step Functions is not installed. Run: pip install 'cascade-workshop[cloud]'"


@dataclass(frozen=True)
class Execution:
    """One execution that ended: its status, output or error, and its history as Step Functions returns it."""

    arn: str
    status: str
    output: dict[str, Any] | None
    error: str | None
    cause: str | None
    events: list[dict[str, Any]]


class Emulator:
    """Step Functions on this machine; see `emulator`."""

    def __init__(self, endpoint: str, shim: Shim) -> None:
        self.endpoint = endpoint
        self.shim = shim
        self.client: SFNClient = self.service("stepfunctions")
        self._number = count(1)
        self._lock = threading.Lock()

    def service(self, name: str) -> Any:
        """Return a boto3 client of another service of the emulator, such as "s3" or "cloudwatch"."""
        return boto3.client(  # type: ignore[call-overload]  # the name is not a literal
            name,
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id="sandbox",
            aws_secret_access_key="sandbox",  # noqa: S106  # a dummy
            config=Config(retries={"total_max_attempts": 1, "mode": "standard"}, proxies={}, s3={"addressing_style": "path"}),
        )

    def create(self, name: Literal["ticket", "tickets"], **values: str) -> str:
        """Create a state machine of deploy/ and return its ARN."""
        functions = {placeholder: function_arn(handler) for placeholder, handler in FUNCTIONS.items()}
        definition = json.dumps(machine(name, {**functions, "ChildExecutionType": "STANDARD", **values}))  # moto knows no other
        return self.client.create_state_machine(name=f"{name}-{uuid4().hex[:8]}", definition=definition, roleArn=ROLE)["stateMachineArn"]

    def run(self, state_machine: str, data: Mapping[str, Any], timeout_s: float = 60) -> Execution:
        """Start one execution and wait until it ends; raise WorkshopError if it takes longer."""
        return self.wait(self.start(state_machine, data), timeout_s)

    def wait(self, arn: str, timeout_s: float = 60) -> Execution:
        """Wait until an execution ends and return it, with its whole history; raise WorkshopError if it takes longer."""
        ends = time.monotonic() + timeout_s
        while self.client.describe_execution(executionArn=arn)["status"] == "RUNNING":
            if time.monotonic() > ends:
                raise WorkshopError(f"The execution did not end within {timeout_s:g} s. Look at its history, and at the log of the sandbox.")
            time.sleep(_POLL_S)
        return self._ended(arn)

    def start(self, state_machine: str, data: Mapping[str, Any]) -> str:
        """Start one execution and return its ARN."""
        with self._lock:
            name = f"run-{next(self._number)}"
        return self.client.start_execution(stateMachineArn=state_machine, name=name, input=json.dumps(data))["executionArn"]

    def _ended(self, arn: str) -> Execution:
        said = self.client.describe_execution(executionArn=arn)
        events: list[dict[str, Any]] = []
        for page in self.client.get_paginator("get_execution_history").paginate(executionArn=arn):
            events += page["events"]  # type: ignore[arg-type]  # events are read as plain mappings
        output = json.loads(said["output"]) if said.get("output") else None
        return Execution(arn, said["status"], output, said.get("error"), said.get("cause"), events)


def function_arn(handler: str) -> str:
    """Return the ARN under which the emulator knows a handler."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{handler}"


@contextmanager
def emulator(bedrock_endpoint: str, *, sleep: Callable[[float], None] = time.sleep) -> Iterator[Emulator]:
    """Open the emulator; Bedrock tasks are answered at `bedrock_endpoint`.

    `sleep` waits between the attempts of a task. Raises SettingsError if moto is not installed. One at a time in a process.
    """
    try:
        from moto.server import ThreadedMotoServer
    except ModuleNotFoundError as error:
        raise SettingsError(_MISSING) from error
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]
    functions = {function_arn(name): getattr(handlers, name) for name in FUNCTIONS.values()}
    before = os.environ.get("MOTO_PORT")
    os.environ["MOTO_PORT"] = str(port)  # where moto's own tasks look for S3
    try:
        shim = Shim(bedrock_endpoint, functions, sleep)
        with patched(shim):
            yield Emulator(f"http://127.0.0.1:{port}", shim)
    finally:
        server.stop()
        if before is None:
            os.environ.pop("MOTO_PORT", None)
        else:
            os.environ["MOTO_PORT"] = before
