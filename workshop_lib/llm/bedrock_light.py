"""Converse for many calls: boto3's client, with a lighter signer and a lighter session where it asks its handlers for one."""

from workshop_lib.llm.alike_signing import sign_alike
from workshop_lib.llm.bedrock import Bedrock, files_of
from workshop_lib.llm.lean_sending import send_lean
from workshop_lib.settings import Settings


class LightBedrock(Bedrock):
    """The provider for models on Amazon Bedrock when thousands of calls are to come: what the client would do again for each is done once, or with less."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        sign_alike(self._client)
        send_lean(self._client, files_of(settings))
