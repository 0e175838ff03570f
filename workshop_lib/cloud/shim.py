"""What moto 5.2 lacks for this machine, patched in for as long as an emulator is open.

1. Step Functions calls the service `bedrockruntime`, boto3 calls it `bedrock-runtime`, and its errors begin with `BedrockRuntime.`.
2. AWS tasks of the SDK write members with a capital; moto passes them on as they are. The renaming is moto's own, used here for Bedrock too.
3. Bedrock tasks go to Bedrock's endpoint (the sandbox), not to moto, which answers no Converse.
4. `lambda:invoke` runs the handler in this process: moto would need Docker. Events and results pass through JSON, as they do on Lambda.
5. Waits between attempts can be observed or shortened.
6. moto executes state machines only when told to, and its web server writes a line for every request.

All patched names are those of moto 5.2.5; a test fails when one is gone.
"""

import json
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import boto3
from botocore.config import Config

from workshop_lib.cloud.casing import converse
from workshop_lib.llm.bedrock import without_user_files

SERVICE = "bedrockruntime"
_TASKS = "moto.stepfunctions.parser.asl.component.state.exec.state_task"
_RETRIER = "moto.stepfunctions.parser.asl.component.common.retry.retrier_decl"

Handler = Callable[[Any, object], Any]


@dataclass
class Shim:
    """Where Bedrock tasks go, which handler stands behind each function's ARN, how retries wait, and the sandbox's scope, which may change."""

    bedrock_endpoint: str
    functions: Mapping[str, Handler]
    sleep: Callable[[float], None]
    scope: str | None = None

    def bedrock(self) -> Any:
        """Return the client that makes the calls of Bedrock tasks: one attempt, as the state machine retries."""
        client = boto3.Session(botocore_session=without_user_files()).client(
            "bedrock-runtime",
            region_name="us-west-2",
            endpoint_url=self.bedrock_endpoint,
            aws_access_key_id="sandbox",
            aws_secret_access_key="sandbox",  # noqa: S106  # a dummy
            config=Config(retries={"total_max_attempts": 1, "mode": "standard"}, signature_version="v4", proxies={}, max_pool_connections=64),
        )
        client.meta.events.register("before-call.bedrock-runtime", self._scoped)
        return client

    def _scoped(self, params: dict[str, Any], **_: Any) -> None:
        if self.scope is not None:
            params["headers"]["x-workshop-scope"] = self.scope

    def invoke(self, parameters: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        """Run a handler as Lambda does: a result becomes the payload, an exception its class name and message."""
        try:
            said = self.functions[parameters["FunctionName"]](json.loads(parameters["Payload"]), None)
        except Exception as error:  # the boundary of a function: whatever it raises, Lambda reports
            stack = traceback.format_tb(error.__traceback__)
            failure = {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": stack}
            return {"StatusCode": 200, "FunctionError": "Unhandled", "ExecutedVersion": "$LATEST", "Payload": failure}
        return {"StatusCode": 200, "ExecutedVersion": "$LATEST", "Payload": json.loads(json.dumps(said))}


@contextmanager
def _silent(name: str) -> Iterator[None]:
    """Keep a logger and those below it from writing: moto logs every state that fails, which the history shows anyway."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def patched(shim: Shim) -> Iterator[None]:
    """Patch moto for the time of the block."""
    from moto.core.config import default_user_config
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_aws_sdk as sdk

    task = sdk.StateTaskServiceAwsSdk
    client, client_for = shim.bedrock(), getattr(sdk, "boto_client_for")  # noqa: B009  # moto does not export it

    def parameters(self: Any, given: dict[str, Any], *_: Any, **__: Any) -> None:
        if self.resource.api_name == SERVICE:
            self._to_boto_request(given, converse().input_shape)

    def response(self: Any, given: Any, *_: Any, **__: Any) -> None:
        if self.resource.api_name == SERVICE:
            self._from_boto_response(given, converse().output_shape)

    def client_of(service: str, region: str, state_credentials: Any = None) -> Any:
        return client if service == "bedrock-runtime" else client_for(service=service, region=region, state_credentials=state_credentials)

    with ExitStack() as stack:
        for context in (
            patch.dict(default_user_config["stepfunctions"], {"execute_state_machine": True}),
            patch.object(logging.getLogger("werkzeug"), "disabled", True),
            _silent("moto"),
            patch.dict(task._SERVICE_NAME_SFN_TO_BOTO_OVERRIDES, {SERVICE: "bedrock-runtime"}),
            patch.dict(sdk._SERVICE_ERROR_NAMES, {SERVICE: "BedrockRuntime"}),
            patch.object(task, "_normalise_parameters", parameters),
            patch.object(task, "_normalise_response", response),
            patch.object(sdk, "boto_client_for", client_of),
            patch(f"{_TASKS}.lambda_eval_utils._invoke_lambda_function", shim.invoke),
            patch(f"{_RETRIER}.time", SimpleNamespace(sleep=shim.sleep)),
        ):
            stack.enter_context(context)
        yield
