"""The API's OpenAPI document, written from the declarations of its operations."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sprawl.api.operations import Operation, integer, obj, text
from sprawl.api.problems import CONTENT_TYPE

PROBLEM = {
    **obj(
        {"type": text(format="uri"), "title": text(), "status": integer(), "detail": text(), "instance": text()},
        {"error": text("Kafka's name of the error.")},
    ),
    "description": "RFC 9457 problem details.",
}
_ALWAYS = {
    400: "Something is wrong with the request.",
    403: "Who asks may not do this.",
    500: "The broker failed; its log says why.",
    503: "Not possible now; try again.",
    504: "Not known to be done in time.",
}
_SPECIAL = {
    404: "There is no such thing.",
    409: "Against the state it is in.",
    413: "Too large.",
    416: "There is no such offset.",
    422: "Against a policy.",
}


def document(operations: Iterable[Operation], version: str) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sprawl",
            "version": version,
            "description": "Administration, producing and consuming over HTTP; any node answers for the cluster.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": {"Problem": PROBLEM}},
    }


def _operation(operation: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.text,
        "tags": [operation.path.split("/")[2]],
        "responses": {str(operation.status if operation.answer else 204): _done(operation)},
    }
    for status, words in {**_ALWAYS, **{each: _SPECIAL[each] for each in operation.problems}}.items():
        schema = {"$ref": "#/components/schemas/Problem"}
        told["responses"][str(status)] = {"description": words, "content": {CONTENT_TYPE: {"schema": schema}}}
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": operation.parts.get(name, {"type": "string"})}
        for name in re.findall(r"{(\w+)}", operation.path)
    ] + [
        {
            "name": each.name,
            "in": "query",
            "description": each.text,
            "schema": {**each.schema, "default": each.default},
        }
        for each in operation.query
    ]
    if parameters:
        told["parameters"] = parameters
    if operation.body is not None:
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": operation.body}}}
    return told


def _done(operation: Operation) -> dict[str, Any]:
    if operation.answer is None:
        return {"description": "Done."}
    return {"description": "Done.", "content": {"application/json": {"schema": operation.answer}}}
