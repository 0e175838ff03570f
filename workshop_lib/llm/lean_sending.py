"""Sending for a boto3 client whose replies are small: botocore prepares, signs, parses and judges, a leaner session of its own carries.

The client stays as it is: its handlers may answer in the place of the network (`before-send`), and these answer with what the service said.
"""

import os
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.utils import get_environ_proxies

from workshop_lib.llm.lean_http import KEEPALIVE, LeanSession

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

_READ_WHOLE = ("Converse", "ApplyGuardrail")  # a stream is botocore's to carry


def send_lean(client: "BedrockRuntimeClient", files: botocore.session.Session) -> None:
    """Let a client send its plain calls with a third less CPU; the bytes, the connections' settings and the errors are those it would have."""
    carry = session_of(client, files).send

    def answer(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        return carry(request)

    events: Any = client.meta.events  # typed as if no handler could answer
    for operation in _READ_WHOLE:
        events.register(f"before-send.bedrock-runtime.{operation}", answer)


def session_of(client: "BedrockRuntimeClient", files: botocore.session.Session) -> LeanSession:
    """Return an HTTP session that connects as a client does: its timeouts, proxies, certificates and socket options.

    `files` is a session that reads the user's AWS files as the client's did.
    """
    config: Any = client.meta.config  # whose published types lack its options
    proxies = config.proxies if config.proxies is not None else get_environ_proxies(client.meta.endpoint_url)
    return LeanSession(
        config.connect_timeout,
        config.read_timeout,
        config.max_pool_connections,
        verify=files.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE") or True,
        proxies=proxies,
        proxies_config=config.proxies_config,
        client_cert=config.client_cert,
        socket_options=[KEEPALIVE] if config.tcp_keepalive else [],
    )
