"""Finds unknown, missing and mistyped fields of a `ray up` file, each with its line.

It uses Ray's own JSON Schema, by which Ray's launcher validates the file, and open_fields.yaml for what that schema
leaves open.
"""

import difflib
import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import jsonschema
import yaml

from rayjobs.doctor.cluster_file import ClusterFile, at, field_name
from rayjobs.doctor.marked_yaml import FieldPath, MarkedYaml, Problem

# The providers whose fields open_fields.yaml knows.
PROVIDERS = ("aws", "local")
_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "keys with values",
}


def field_problems(file: ClusterFile) -> Iterator[Problem]:
    """Yield every field that is unknown, missing or of the wrong type, a provider that Ray does not know, and a kind of
    machine that the file does not have."""
    # Ray takes min_workers at the top too, and out of the file before its schema sees it.
    data = {key: value for key, value in file.marked.data.items() if key != "min_workers"}
    ray = json.loads((files("ray.autoscaler") / "ray-schema.json").read_text(encoding="utf-8"))
    ours = yaml.safe_load((files("rayjobs.doctor") / "open_fields.yaml").read_text(encoding="utf-8"))
    for schema in (ray, ours["every"], ours[file.provider] if file.provider in PROVIDERS else {}):
        for error in jsonschema.Draft7Validator(schema).iter_errors(data):
            yield from _told(file.marked, error)
    if not file.known_provider and at(data, "provider", "type") is not None:
        yield _unknown_provider(file)
    yield from _own_machines_problems(file) if file.provider == "local" else _kinds_problems(file)


def _told(marked: MarkedYaml, error: jsonschema.ValidationError) -> Iterator[Problem]:
    """Turn a schema's complaint into Problems with their lines: one for each unknown key, else one."""
    path: FieldPath = tuple(error.absolute_path)
    where = field_name(path) or "the file"
    if "propertyNames" in error.schema_path:
        yield _unknown(marked, (*path, error.instance), error.validator_value)
    elif error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        for key in (each for each in error.instance if each not in known):
            yield _unknown(marked, (*path, key), known)
    elif error.validator == "required":
        for key in error.validator_value:
            if key not in error.instance and f"'{key}'" in error.message:
                yield Problem(marked.line(path), f"{where} has no {key}", key, f"add {key}: ...")
    else:
        found = "incomplete" if error.validator in ("anyOf", "not") else _shown(path, error.instance)
        yield Problem(marked.line(path), f"{where} is {found}", _expected(error), "correct it")


def _unknown(marked: MarkedYaml, path: FieldPath, known: Any) -> Problem:
    close = difflib.get_close_matches(str(path[-1]), known, n=1)
    listed = ", ".join(sorted(known)) if len(known) <= 12 else "one of the fields that Ray or EC2 knows here"
    do = f"did you mean {close[0]}? Rename it, or delete it" if close else "delete it"
    return Problem(marked.line(path), f"{field_name(path)} is no field", close[0] if close else listed, do)


def _expected(error: jsonschema.ValidationError) -> str:
    wanted = error.validator_value
    if error.validator == "type":
        return " or ".join(
            _KINDS.get(kind, kind) for kind in ([wanted] if isinstance(wanted, str) else wanted)
        )
    if error.validator == "enum":
        return "one of " + ", ".join(map(str, wanted))
    if error.validator == "minimum":
        return f"{wanted} or more"
    return str(error.schema.get("description", "what Ray's schema says"))


def _shown(path: FieldPath, value: Any) -> str:
    """Return a wrong value as a message shows it: only its kind where it is long, has several parts, or may
    be secret."""
    if isinstance(value, dict | list):
        return "a list" if isinstance(value, list) else "keys with values"
    if value is None or isinstance(value, bool):
        return "empty" if value is None else str(value).lower()
    secret = any(word in str(key).lower() for key in path for word in ("credential", "command"))
    return "text" if secret or (isinstance(value, str) and len(value) > 60) else repr(value)


def _unknown_provider(file: ClusterFile) -> Problem:
    close = difflib.get_close_matches(file.provider, PROVIDERS, n=1)
    return file.problem(
        ("provider", "type"),
        "provider.type is none that Ray knows",
        ", ".join(PROVIDERS) + ", or another that Ray starts machines at",
        f"did you mean {close[0]}?" if close else "name one of these",
    )


def _own_machines_problems(file: ClusterFile) -> Iterator[Problem]:
    for key in (each for each in ("available_node_types", "head_node_type") if each in file.marked.data):
        expected = "head_ip and worker_ips of the provider"
        yield file.problem((key,), f"{key} is not for machines of your own", expected, "delete it")


def _kinds_problems(file: ClusterFile) -> Iterator[Problem]:
    """Yield what Ray asks of the kinds of machines beside its schema; Ray itself would complain without a line."""
    if not file.known_provider:
        return
    if file.head not in file.machines:
        yield Problem(
            file.marked.line(("head_node_type",)),
            "head_node_type names no kind of machine",
            f"one of {', '.join(file.machines)}" if file.machines else "a kind among available_node_types",
            "name the head's",
        )
    limit = file.settings.get("max_workers")
    wanted = [kind.get("min_workers", 0) for kind in file.machines.values()]
    if isinstance(limit, int) and all(isinstance(each, int) for each in wanted) and sum(wanted) > limit >= 0:
        yield Problem(
            file.marked.line(("max_workers",)),
            f"max_workers is {limit}, and the kinds of machines want {sum(wanted)} at least",
            f"{sum(wanted)} or more",
            "raise it, or lower a min_workers",
        )
