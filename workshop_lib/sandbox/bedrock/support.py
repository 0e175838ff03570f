"""What of Bedrock Runtime the sandbox honours and what it refuses, as data: the documentation's table is written from it, and a test holds it to what happens."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["honoured", "in part", "refused"]


@dataclass(frozen=True)
class Support:
    """One member of one operation: whether it is honoured, and how."""

    operation: str
    member: str
    verdict: Verdict
    note: str


def _of(operation: str, *rows: tuple[str, Verdict, str]) -> tuple[Support, ...]:
    return tuple(Support(operation, *row) for row in rows)


TABLE: tuple[Support, ...] = (
    *_of(
        "Converse",
        ("modelId", "in part", "ids, geography profiles, ARNs of foundation models and inference profiles; other ARNs are not found"),
        ("messages", "in part", "roles alternate, the first and the last are the user's; role `system` is refused; blocks below"),
        ("system", "honoured", "text, guardContent (text), cachePoint"),
        ("inferenceConfig", "honoured", "`maxTokens` cuts (`max_tokens`), `stopSequences` end, `temperature` and `topP` draw a triage label, reproducibly"),
        ("toolConfig", "in part", "toolSpec, cachePoint, `auto`, `any`, `tool`; `strict` enforces the schema and refuses one that cannot be; systemTool is refused"),
        ("guardrailConfig", "honoured", "the sandbox's guardrails; trace `enabled`, `disabled`, `enabled_full`; `streamProcessingMode` for streams"),
        ("additionalModelRequestFields", "refused", "the stand-ins have no parameters of their own; an empty object is taken"),
        ("additionalModelResponseFieldPaths", "honoured", "JSON pointers into the answer as InvokeModel would give it; what it lacks is left out"),
        ("promptVariables", "refused", "there is no prompt management"),
        ("requestMetadata", "honoured", "tags of the ledger; `scope` names the account and the faults that apply"),
        ("performanceConfig", "in part", "`standard` is echoed; `optimized` is refused"),
        ("serviceTier", "in part", "`default`, `flex` and `priority` are echoed, at the same modelled latency and price; `reserved` is refused"),
        ("outputConfig.textFormat", "honoured", "json_schema, enforced; the part of JSON Schema that Bedrock documents, anything else is refused by name"),
        ("outputConfig.effort", "refused", "the stand-ins have no effort to spend"),
    ),
    *_of(
        "content block",
        ("text", "honoured", ""),
        ("toolUse", "honoured", "`type` is refused"),
        ("toolResult", "in part", "text and json; image, document, video and searchResult are refused; `status` reaches no stand-in"),
        ("guardContent", "in part", "text; the qualifiers of contextual grounding and images are refused"),
        ("cachePoint", "honoured", "Claude models; at most 4, prefixes from 1,024 tokens (Opus 4,096, assumed), 5m and 1h, apart by scope"),
        *((name, "refused", "") for name in ("image", "document", "video", "audio", "reasoningContent", "citationsContent", "searchResult", "toolAddition", "toolRemoval")),
    ),
    *_of(
        "ConverseStream",
        ("events", "honoured", "messageStart, contentBlockStart (tools), contentBlockDelta, contentBlockStop, messageStop, metadata with usage last; exceptions in mid-stream"),
        ("guardrailConfig.streamProcessingMode", "honoured", "`sync` sends after the guardrail has read all; `async` sends at once and judges at the end, without masking"),
    ),
    *_of(
        "CountTokens",
        ("input.converse", "honoured", "what Converse reports as input, cached or not; models behind profiles are refused as on the service"),
        ("input.invokeModel", "honoured", "the same, of a body for InvokeModel"),
    ),
    *_of(
        "ApplyGuardrail",
        ("source", "honoured", "prompt attacks are looked for in `INPUT` only"),
        ("content", "in part", "text; images and the qualifiers of contextual grounding are refused"),
        ("outputScope", "honoured", "`FULL` reports what was looked for and not found too"),
    ),
    *_of(
        "InvokeModel",
        ("body", "in part", "Anthropic's messages for Claude, OpenAI's chat completions for the others; members that are not honoured are refused by name"),
        ("requestMetadata", "honoured", "tags of the ledger"),
        ("guardrailIdentifier", "refused", "use Converse for guardrails"),
        ("guardrailVersion", "refused", "use Converse for guardrails"),
        ("trace", "in part", "only `DISABLED`"),
        ("performanceConfigLatency", "in part", "only `standard`"),
        ("serviceTier", "in part", "only `default`"),
        ("contentType", "in part", "the body is read as JSON whatever it says"),
        ("accept", "in part", "the answer is JSON whatever it says"),
    ),
    *_of("InvokeModelWithResponseStream", ("events", "honoured", "chunks with the family's own events, the last with `amazon-bedrock-invocationMetrics`; members as InvokeModel")),
    *_of("InvokeModelWithBidirectionalStream", ("operation", "refused", "404 UnknownOperationException")),
    *_of("InvokeGuardrailChecks", ("operation", "refused", "404 UnknownOperationException")),
)


def markdown() -> Iterator[str]:
    """Yield the lines of the table as Markdown."""
    yield "| operation | member | here | how |"
    yield "|---|---|---|---|"
    for row in TABLE:
        yield f"| {row.operation} | `{row.member}` | {row.verdict} | {row.note} |"
