"""The `aws`, `make` and `workshop` lines of a guide, checked without an account: names of operations, options, parameters, outputs and stacks."""

import json
import re
import shlex
from functools import cache
from typing import Any

import botocore.session
import jmespath
from botocore import xform_name
from botocore.model import ListShape, Shape, StructureShape
from botocore.validate import ParamValidator
from guide_blocks import blocks, page

from workshop_lib.paths import ROOT

GLOBAL = {"query", "output", "region", "cli-binary-format"}
OWN: dict[str, set[str]] = {  # commands that the CLI adds to the services, with the options used here
    "s3 cp": set(), "s3 mb": set(), "s3 rb": {"force"}, "s3 rm": {"recursive"}, "s3 ls": {"recursive"}, "s3 sync": set(),
    "cloudformation deploy": {"template-file", "s3-bucket", "stack-name", "capabilities", "parameter-overrides"},
    "cloudformation package": {"template-file", "s3-bucket", "output-template-file"},
    "cloudformation wait": {"stack-name"},
}  # fmt: skip
RENAMED = {("sns", "notification-endpoint"): "endpoint"}
"""Options that the CLI names otherwise than the service does, as they would hide options of its own."""
VARIABLES = {
    "ACCOUNT": "123456789012", "ALARM": "cascade-workshop-QualityAlarm", "JOB_ARN": "arn:aws:bedrock:us-west-2:123456789012:evaluation-job/abcdefghij12",
    "MACHINE": "arn:aws:states:us-west-2:123456789012:stateMachine:m", "FILES": "arn:aws:states:us-west-2:123456789012:stateMachine:f",
    "EXECUTION": "arn:aws:states:us-west-2:123456789012:execution:m:e", "TICKETS": "a-bucket", "RECHECK": "stack-RecheckFunction",
}  # fmt: skip
FLAGS = {"force", "recursive"}


def commands(name: str) -> list[str]:
    """Return the commands in the blocks of a page, those inside `NAME=$(...)` without that."""
    joined = [line for block in blocks(name) if block.language == "sh" for line in block.text.replace("\\\n", " ").splitlines() if line.strip()]
    return [found[1] if (found := re.fullmatch(r"\w+=\$\((.*)\)", line)) else line for line in joined]


def mentioned(name: str, program: str) -> list[str]:
    """Return the commands that a page names in its text."""
    return [found for found in re.findall(rf"`((?:[A-Z_]+=\S+ )?{program} [^`\n]+)`", page(name)) if "..." not in found]


def words(command: str) -> list[str]:
    """Return a command's words with its variables filled in, without the settings before it."""
    for name, value in VARIABLES.items():
        command = command.replace(f"${name}", value)
    found = shlex.split(command)
    while re.match(r"[A-Z_]+=", found[0]):
        found.pop(0)
    return found


@cache
def _service(name: str) -> Any:
    return botocore.session.Session().get_service_model(name)


def options_of(given: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return what stands by itself, and options with their values."""
    alone, options = [], {}
    place = 0
    while place < len(given):
        word = given[place]
        if not word.startswith("--"):
            alone.append(word)
        elif word[2:] in FLAGS:
            options[word[2:]] = ""
        else:
            place += 1
            options[word[2:]] = given[place]
        place += 1
    return alone, options


def problems_of_aws(command: str) -> list[str]:
    """Return what is wrong with an `aws` command, as far as the service's model tells."""
    _, service, operation, *rest = words(command)
    alone, options = options_of(rest)
    options = {RENAMED.get((service, name), name): value for name, value in options.items()}
    if "query" in options:
        jmespath.compile(options["query"])
    if options.get("output", "json") not in ("json", "text", "table"):
        return [f"there is no output {options['output']}"]
    own = OWN.get(f"{service} {operation}")
    if own is not None:
        return [f"no option --{name}" for name in options if name not in own | GLOBAL]
    if alone and (service, operation) != ("lambda", "invoke"):  # which writes the answer to a file
        return [f"{alone} stand by themselves"]
    model = _service(service)
    names = {xform_name(one, "-"): one for one in model.operation_names}
    if operation not in names:
        return [f"{service} has no {operation}"]
    shape = model.operation_model(names[operation]).input_shape
    members = {} if shape is None else {xform_name(name, "-"): name for name in shape.members}
    unknown = [name for name in options if name not in {*members, *GLOBAL, "cli-input-json"}]
    if unknown:
        return [f"no option --{unknown[0]}"]
    if shape is None or "cli-input-json" in options:
        return []
    given = {members[name]: _typed(value, shape.members[members[name]]) for name, value in options.items() if name in members}
    report = ParamValidator().validate(given, shape)
    return [report.generate_report()] if report.has_errors() else _not_listed(given, shape)


def _typed(text: str, shape: Shape) -> Any:
    if text[:1] in ("{", "[") and shape.type_name not in ("string", "blob"):
        return json.loads(text)
    if isinstance(shape, ListShape) and isinstance(shape.member, StructureShape):
        pairs = dict(pair.split("=", 1) for pair in text.split(","))
        return [{name: [value] if isinstance(shape.member.members[name], ListShape) else value for name, value in pairs.items()}]
    return [text] if isinstance(shape, ListShape) else int(text) if shape.type_name in ("integer", "long") else text


def _not_listed(value: Any, shape: Shape) -> list[str]:
    """Return values that the service's list of them does not hold, which botocore leaves to the service."""
    if isinstance(shape, StructureShape) and not shape.is_document_type:
        return [found for name, one in value.items() for found in _not_listed(one, shape.members[name])]
    if isinstance(shape, ListShape):
        return [found for one in value for found in _not_listed(one, shape.member)]
    allowed = getattr(shape, "enum", [])
    return [f"{value!r} is none of {allowed}"] if allowed and value not in allowed else []


def problems_of_make(command: str, template: dict[str, Any]) -> list[str]:
    """Return what is wrong with a `make -C deploy` line: the target, and parameters that the template does not have or would refuse."""
    _, _, folder, target, *variables = words(command)
    text = (ROOT / folder / "Makefile").read_text(encoding="utf-8")
    found = [] if re.search(rf"^{target}:", text, re.MULTILINE) else [f"{folder} has no target {target}"]
    for variable in variables:
        name, _, value = variable.partition("=")
        if f"$({name})" not in text:
            found.append(f"{folder}/Makefile reads no {name}")
        if name == "PARAMETERS":
            found += [problem for pair in shlex.split(value) for problem in problems_of_parameter(*pair.split("=", 1), template)]
    return found


def problems_of_parameter(name: str, value: str, template: dict[str, Any]) -> list[str]:
    """Return what the template has against a parameter's value."""
    about = template["Parameters"].get(name)
    if about is None:
        return [f"the template has no parameter {name}"]
    if "AllowedValues" in about and value not in [str(one) for one in about["AllowedValues"]]:
        return [f"{name} may not be {value}"]
    if "AllowedPattern" in about and not re.fullmatch(about["AllowedPattern"], value):
        return [f"{name}={value} does not have the form {about['AllowedPattern']}"]
    if about["Type"] == "Number" and not about.get("MinValue", float("-inf")) <= float(value) <= about.get("MaxValue", float("inf")):
        return [f"{name}={value} is out of range"]
    return []
