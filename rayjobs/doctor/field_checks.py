"""Unknown, missing and mistyped fields of a `ray up` file, each with its line."""

import contextlib
import difflib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import jsonschema
import ray.autoscaler
from ray.autoscaler._private.providers import _NODE_PROVIDERS
from ray.autoscaler._private.util import prepare_config, validate_config

from rayjobs.doctor.known_fields import open_fields
from rayjobs.doctor.marked_yaml import KeyPath, MarkedYaml, Problem
from rayjobs.doctor.safeguards import keys

_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "keys with values",
}


def field_problems(marked: MarkedYaml, provider: str) -> Iterator[Problem]:
    """Unknown, missing and mistyped fields, by Ray's own schema and by ours of what Ray's leaves open."""
    data = dict(marked.data)
    if provider == "local":
        data.pop("min_workers", None)  # Ray takes it here, and out of the file before its schema sees it
    ray_schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    for schema in (ray_schema, open_fields(provider)):
        for error in jsonschema.Draft7Validator(schema).iter_errors(data):
            yield from _told(marked, error)
    yield from _provider_problems(marked, provider)
    yield from _machine_kind_problems(marked, provider)


def _told(marked: MarkedYaml, error: jsonschema.ValidationError) -> Iterator[Problem]:
    """A schema's complaint with its line: one Problem for each unknown key, else one."""
    path: KeyPath = tuple(error.absolute_path)
    where = dotted(path) or "the file"
    if error.validator == "additionalProperties" and isinstance(error.schema.get("properties"), dict):
        known = error.schema["properties"]
        for key in error.instance:
            if key not in known:
                yield _unknown(marked, (*path, key), sorted(known))
    elif error.validator == "required":
        key = error.message.split("'")[1]
        yield Problem(marked.line(path), f"{where} has no {key}", key, f"add {key}: ...")
    else:
        yield Problem(
            marked.line(path), f"{where} is {_shown(path, error.instance)}", _expected(error), "correct it"
        )


def _unknown(marked: MarkedYaml, path: KeyPath, known: list[str]) -> Problem:
    close = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.6)
    listed = ", ".join(known) if len(known) <= 12 else "one of the fields that Ray or EC2 knows here"
    do = f"did you mean {close[0]}? Rename it, or delete it" if close else "delete it"
    return Problem(marked.line(path), f"{dotted(path)} is no field", close[0] if close else listed, do)


def _expected(error: jsonschema.ValidationError) -> str:
    if error.validator == "pattern" and "description" in error.schema:
        return str(error.schema["description"])
    if error.validator == "type":
        wanted = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        return " or ".join(_KINDS.get(kind, kind) for kind in wanted)
    if error.validator == "enum":
        return "one of " + ", ".join(map(str, error.validator_value))
    if error.validator == "minimum":
        return f"{error.validator_value} or more"
    return str(error.message)


def _shown(path: KeyPath, value: Any) -> str:
    if isinstance(value, dict):
        return "keys with values"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    secret = any("credential" in str(key).lower() or "command" in str(key).lower() for key in path)
    return "text" if secret or (isinstance(value, str) and len(value) > 60) else repr(value)


def dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))


def _provider_problems(marked: MarkedYaml, provider: str) -> Iterator[Problem]:
    if "type" not in keys(marked.data.get("provider")):
        return
    if provider not in _NODE_PROVIDERS:
        close = difflib.get_close_matches(provider, _NODE_PROVIDERS, n=1)
        yield Problem(
            marked.line(("provider", "type")),
            "provider.type is none that Ray knows",
            "aws, local, " + ", ".join(sorted(_NODE_PROVIDERS.keys() - {"aws", "local"})),
            f"did you mean {close[0]}?" if close else "name one of these",
        )
    said = keys(marked.data.get("provider"))
    if (
        provider == "local"
        and "coordinator_address" not in said
        and not {"head_ip", "worker_ips"} <= said.keys()
    ):
        yield Problem(
            marked.line(("provider",)),
            "provider does not say where the machines are",
            "head_ip and worker_ips (an empty list for one machine alone)",
            "add their addresses",
        )


def _machine_kind_problems(marked: MarkedYaml, provider: str) -> Iterator[Problem]:
    """head_node_type and available_node_types, which Ray checks only at the start, and without a line."""
    data = marked.data
    if provider == "local":
        for key in ("available_node_types", "head_node_type"):
            if key in data:
                yield Problem(
                    marked.line((key,)),
                    f"{key} is not for machines of your own",
                    "head_ip and worker_ips of the provider",
                    "delete it",
                )
        return
    kinds = data.get("available_node_types")
    head = data.get("head_node_type")
    names = ", ".join(map(str, keys(kinds)))
    if not keys(kinds):
        yield Problem(
            marked.line(("available_node_types",)),
            "no kinds of machines are named",
            "available_node_types with a head and a kind of worker",
            "add them",
        )
    elif not isinstance(head, str) or head not in kinds:
        yield Problem(
            marked.line(("head_node_type",)),
            "head_node_type names no kind of machine",
            f"one of {names}",
            "name the head's",
        )
    wanted = [keys(kind).get("min_workers", 0) for kind in keys(kinds).values()]
    limit = data.get("max_workers", 2)
    if all(isinstance(each, int) for each in (*wanted, limit)) and sum(wanted) > limit >= 0:
        yield Problem(
            marked.line(("max_workers",)),
            f"max_workers is {limit}, and the kinds of machines want {sum(wanted)} at least",
            f"{sum(wanted)} or more",
            "raise it, or lower a min_workers",
        )


def refused_by_ray(marked: MarkedYaml) -> Iterator[Problem]:
    """What Ray's own launcher would say to a file in which nothing was found: it must take it as well."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            validate_config(prepare_config(marked.data))
    except (
        ValueError,
        RuntimeError,
        AssertionError,
        KeyError,
        TypeError,
        click.ClickException,
        jsonschema.ValidationError,
    ) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        yield Problem(
            1, f"Ray refuses the file: {reason}", "a file that `ray up` takes", "mend what Ray names"
        )
