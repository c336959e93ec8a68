"""What /openapi.json says, made of the very structs that requests are read into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from .dialect import refused
from .dialect.bodies import MOST_PROMPTS, ChatBody, CompletionBody, TokenizeBody
from .dialect.sampling import MOST_MS, SLO_CLASS, SLO_HEADERS

Schema = dict[str, Any]
JSON, EVENTS = "application/json", "text/event-stream"
PICTURE = {"type": "string", "format": "picture-url", "pattern": "^(data:|https?://)"}
ERRORS = {
    400: "A field is wrong, not supported, or the prompt is too long",
    401: "No API key, or an unknown one",
    404: "Another model than the one that is served",
    408: "A body, a picture or an answer took too long",
    413: "The body, or a picture, is too large",
    415: "The body is not application/json",
    422: "A picture cannot be read",
    429: "Too much is under way; Retry-After tells when to ask again",
    500: "A bug, or a request that failed under way",
    503: "No controller, or no workers yet",
}


def description(names: Sequence[str], vocabulary: int, classes: Sequence[str]) -> Schema:
    """Of a gateway to a model of these names, for this many token ids and these SLO classes."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ModServe",
            "version": "1",
            "description": "OpenAI's API in front of a ModServe controller. What is not listed "
            "is refused by its name.",
        },
        "security": [{"key": []}, {}],
        "paths": _paths(_slo_headers(classes)),
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {**_bodies(names, vocabulary), "Error": _error()},
        },
    }


def _paths(slo: list[Schema]) -> Schema:
    chat = {"choices": _list_of("message")}
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "/v1/chat/completions": {
            "post": _asking("ChatBody", "chat.completion", chat, slo),
        },
        "/v1/completions": {
            "post": _asking("CompletionBody", "text_completion", {"choices": _list_of("text")}, slo)
        },
        "/v1/models": {"get": _telling("The models", _object(object="string", data="array"))},
        "/v1/models/{name}": {
            "get": {
                **_telling("One model", _object(id="string", object="string")),
                "parameters": [name],
            }
        },
        "/tokenize": {
            "post": {
                "requestBody": _body("TokenizeBody"),
                **_telling("Token ids", _object(count="integer", tokens="array")),
            }
        },
        "/health": {"get": {**_telling("This process answers", _object(status="string")), **_open}},
        "/ready": {"get": {**_telling("Workers serve", _object(status="string")), **_open}},
        "/metrics": {"get": _page()},
        "/openapi.json": {"get": _telling("This description", _object(openapi="string"))},
    }


_open: Schema = {"security": []}


def _asking(body: str, kind: str, whole: Schema, slo: list[Schema]) -> Schema:
    answer = _object(id="string", object="string", created="integer", model="string")
    answer["properties"] |= {"object": {"const": kind}, **whole, "usage": {"type": "object"}}
    told = _telling("The answer, whole or as it comes", answer)
    told["responses"]["200"]["content"][EVENTS] = {"schema": _object(data="string")}  # each
    return {"requestBody": _body(body), "parameters": slo, **told}


def _telling(what: str, schema: Schema) -> Schema:
    good = {"description": what, "content": {JSON: {"schema": schema}}}
    return {"responses": {"200": good, **{str(status): _refusal(status) for status in ERRORS}}}


def _page() -> Schema:
    told = _telling("Prometheus's text format", {})
    told["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    return told


def _refusal(status: int) -> Schema:
    told: Schema = {
        "description": ERRORS[status],
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    if status == 429:
        told["headers"] = {"Retry-After": {"required": True, "schema": {"type": "integer"}}}
    return told


def _body(name: str) -> Schema:
    reference = {"$ref": f"#/components/schemas/{name}"}
    return {"required": True, "content": {JSON: {"schema": reference}}}


def _object(**properties: str) -> Schema:
    described: Schema = {name: {"type": kind} for name, kind in properties.items()}
    return {"type": "object", "properties": described, "required": list(properties)}


def _list_of(name: str) -> Schema:
    return {"type": "array", "items": {"type": "object", "required": ["index", name]}}


def _error() -> Schema:
    inner = _object(message="string", type="string")
    inner["properties"] |= {name: {"type": ["string", "null"]} for name in ("param", "code")}
    inner["required"] += ["param", "code"]
    return {"type": "object", "properties": {"error": inner}, "required": ["error"]}


def _slo_headers(classes: Sequence[str]) -> list[Schema]:
    number = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": MOST_MS}
    told: list[Schema] = [
        {"name": name, "in": "header", "schema": number, "required": False} for name in SLO_HEADERS
    ]
    one_of = {"type": "string", "enum": list(classes)}
    return [*told, {"name": SLO_CLASS, "in": "header", "schema": one_of, "required": False}]


# The bodies: what the structs cannot say is added.


def _bodies(names: Sequence[str], vocabulary: int) -> Schema:
    _, schemas = msgspec.json.schema_components(
        [ChatBody, CompletionBody, TokenizeBody], ref_template="#/components/schemas/{name}"
    )
    model: Schema = {"type": "string", "enum": list(names)}
    chat, completion = schemas["ChatBody"], schemas["CompletionBody"]
    tokenize, message = schemas["TokenizeBody"], schemas["Message"]
    for body, neutral in ((chat, refused.OF_CHATS), (completion, refused.OF_COMPLETIONS)):
        body["properties"] |= {"model": model, **_neutral(neutral)}
        body["allOf"] = [_needs("stream_options", {"type": "object"}, "stream")]
    message["properties"] |= _neutral(refused.OF_MESSAGES)
    schemas["ImageUrl"]["properties"]["url"] = PICTURE
    chat["allOf"].append(_needs("top_logprobs", {"type": "integer", "minimum": 1}, "logprobs"))
    chat["properties"]["messages"]["contains"] = _something()
    token = {"type": "integer", "minimum": 0, "maximum": vocabulary - 1}
    completion["properties"]["prompt"] = _prompt(token)
    for body in (chat, completion):
        body["properties"]["stop_token_ids"] = {
            "anyOf": [{"type": "array", "maxItems": 16, "items": token}, {"type": "null"}]
        }
    tokenize["properties"]["model"] = {"anyOf": [model, {"type": "null"}]}
    said = {"type": "array", "contains": _something()}
    tokenize["oneOf"] = [
        {"required": ["prompt"], "properties": {"prompt": {"type": "string"}}},
        {"required": ["messages"], "properties": {"messages": said}},
    ]
    return dict(schemas)


def _neutral(fields: Mapping[str, tuple[Any, ...]]) -> Schema:
    return {
        name: {"enum": list(values), "description": "Not supported: says nothing"}
        for name, values in fields.items()
    }


def _needs(field: str, given: Schema, other: str) -> Schema:
    """`field`, where it is `given`, makes sense only where `other` is true."""
    return {
        "if": {"required": [field], "properties": {field: given}},
        "then": {"required": [other], "properties": {other: {"const": True}}},
    }


def _something() -> Schema:
    """A message that is not empty."""
    text = {"required": ["text"], "properties": {"text": {"minLength": 1}}}
    picture = {"required": ["image_url"]}
    said = [
        {"type": "string", "minLength": 1},
        {"type": "array", "contains": {"anyOf": [text, picture]}},
    ]
    return {"required": ["content"], "properties": {"content": {"anyOf": said}}}


def _prompt(token: Schema) -> Schema:
    text: Schema = {"type": "string", "minLength": 1}
    ids: Schema = {"type": "array", "minItems": 1, "items": token}
    several = {"type": "array", "minItems": 1, "maxItems": MOST_PROMPTS}
    return {"anyOf": [text, ids, {**several, "items": text}, {**several, "items": ids}]}
