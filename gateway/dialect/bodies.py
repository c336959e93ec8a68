"""What may be asked over HTTP: OpenAI's fields that are supported, and those of other servers for
what OpenAI has no word for (top_k, min_p, repetition_penalty, stop_token_ids, ignore_eos).

/openapi.json is made of these structs, and every request is read into one: so it is true. Whatever
is no field here is refused by its name (`refused.py`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

MOST_CHOICES = 16  # of a prompt
MOST_PROMPTS = 16
INT32, INT64 = 2**31 - 1, 2**63 - 1

Count = Annotated[int, Meta(ge=1, le=INT32)]
Token = Annotated[int, Meta(ge=0, le=INT32)]
TokenIds = Annotated[list[Token], Meta(min_length=1)]
Text = Annotated[str, Meta(min_length=1)]
Stop = Annotated[str, Meta(min_length=1, max_length=1000)]
Stops = Annotated[list[Stop], Meta(max_length=16)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
Above = Annotated[float, Meta(gt=0, le=1)]
Twenty = Annotated[int, Meta(ge=0, le=20)]


class Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields are the keys, by their names."""


class StreamOptions(Strict, frozen=True, kw_only=True):
    include_usage: bool = False


class Body(Strict, frozen=True, kw_only=True):
    """What both ways of asking have."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=MOST_CHOICES)] | None = None
    stop: Annotated[str, Meta(max_length=1000)] | Stops | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=INT64)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Above | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    max_tokens: Count | None = None
    user: str | None = None  # an opaque name; nothing is done with it
    # not OpenAI's
    top_k: Annotated[int, Meta(ge=-1, le=INT32)] | None = None
    min_p: Share | None = None
    repetition_penalty: Annotated[float, Meta(ge=0.01, le=100)] | None = None
    stop_token_ids: Annotated[list[Token], Meta(max_length=16)] | None = None
    ignore_eos: bool | None = None


class ImageUrl(Strict, frozen=True, kw_only=True):
    url: Annotated[str, Meta(min_length=1)]  # data:, http: or https:
    detail: Literal["auto", "high"] = "auto"  # both: all the detail that the model can take


class TextPart(Strict, frozen=True, kw_only=True, tag_field="type", tag="text"):
    text: str


class ImagePart(Strict, frozen=True, kw_only=True, tag_field="type", tag="image_url"):
    image_url: ImageUrl


Part = TextPart | ImagePart


class Message(Strict, frozen=True, kw_only=True):
    role: Literal["system", "developer", "user", "assistant"]  # developer: as system
    content: str | Annotated[list[Part], Meta(min_length=1)]


class AnyText(Strict, frozen=True, kw_only=True, tag_field="type", tag="text"):
    pass


class AnyObject(Strict, frozen=True, kw_only=True, tag_field="type", tag="json_object"):
    pass


class NamedSchema(Strict, frozen=True, kw_only=True):
    name: str
    schema: dict[str, Any]  # a JSON schema
    description: str | None = None
    strict: bool | None = None  # the answer follows the schema in either case


class OfSchema(Strict, frozen=True, kw_only=True, tag_field="type", tag="json_schema"):
    json_schema: NamedSchema


class ChatBody(Body, frozen=True, kw_only=True):
    """POST /v1/chat/completions."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    max_completion_tokens: Count | None = None
    response_format: AnyText | AnyObject | OfSchema | None = None
    logprobs: bool | None = None
    top_logprobs: Twenty | None = None


class CompletionBody(Body, frozen=True, kw_only=True):
    """POST /v1/completions."""

    prompt: Text | Annotated[list[Text | Token | TokenIds], Meta(min_length=1)]
    logprobs: Twenty | None = None


class TokenizeBody(Strict, frozen=True, kw_only=True):
    """POST /tokenize: of a text as it is, or of a chat as the model's template writes it."""

    model: str | None = None
    prompt: str | None = None  # either this or messages
    messages: Annotated[list[Message], Meta(min_length=1)] | None = None
