"""The template of deploy/ with its functions resolved for given parameters, as far as the tests need."""

import re
from typing import Any

import yaml

from workshop_lib.cloud.render import TEMPLATE

PSEUDO = {"AWS::Partition": "aws", "AWS::Region": "us-west-2", "AWS::AccountId": "123456789012", "AWS::StackName": "stack"}
NOTHING = object()


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms read as their long ones."""


def _short(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _short)


def source() -> dict[str, Any]:
    """Return the template as it is written."""
    found: dict[str, Any] = yaml.load(TEMPLATE.read_text(encoding="utf-8"), _Loader)
    return found


class Resolved:
    """The template for given parameters; the others have their defaults."""

    def __init__(self, **parameters: str) -> None:
        self.template = source()
        self.values = {name: str(about.get("Default", "")) for name, about in self.template["Parameters"].items()} | parameters | PSEUDO
        self.resources = {name: self.of(one) for name, one in self.template["Resources"].items() if "Condition" not in one or self.holds(one["Condition"])}

    def holds(self, condition: str) -> bool:
        """Say whether a condition holds."""
        return bool(self.of(self.template["Conditions"][condition]))

    def of(self, value: Any) -> Any:
        """Return a value with its functions resolved; a resource's attribute becomes `Name.Attribute`."""
        if isinstance(value, list):
            return [one for one in map(self.of, value) if one is not NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, given),) = value.items()
            if name == "Ref":
                return NOTHING if given == "AWS::NoValue" else self.values.get(given, given)
            if name == "Fn::GetAtt":
                return ".".join(given)
            if name == "Fn::Equals":
                return self.of(given[0]) == self.of(given[1])
            if name == "Fn::Not":
                return not self.of(given[0])
            if name == "Fn::FindInMap":
                table, key, column = (self.of(one) for one in given)
                return self.template["Mappings"][table][key][column]
            if name == "Fn::If":
                return self.of(given[1] if self.holds(given[0]) else given[2])
            if name == "Fn::Sub":
                text, extra = (given, {}) if isinstance(given, str) else (given[0], self.of(given[1]))
                return re.sub(r"\$\{([^}]+)\}", lambda found: str({**self.values, **extra}.get(found[1], found[1])), text)
        return {name: one for name, one in ((name, self.of(one)) for name, one in value.items()) if one is not NOTHING}

    def statements(self) -> list[tuple[str, dict[str, Any]]]:
        """Return every statement that allows something to a role of this stack, with the role's name."""
        found = []
        for name, one in self.resources.items():
            if one["Type"] == "AWS::IAM::Role":
                found += [(name, statement) for policy in one["Properties"].get("Policies", []) for statement in policy["PolicyDocument"]["Statement"]]
            if one["Type"] == "AWS::IAM::RolePolicy":
                found += [(one["Properties"]["RoleName"], statement) for statement in one["Properties"]["PolicyDocument"]["Statement"]]
        return found

    def allowed(self, role: str, action: str) -> set[str]:
        """Return the resources on which a role may do something."""
        return {resource for name, one in self.statements() if name == role and action in listed(one["Action"]) for resource in listed(one["Resource"])}


def listed(value: Any) -> list[Any]:
    """Return a value that may be one or several as a list."""
    return value if isinstance(value, list) else [value]
