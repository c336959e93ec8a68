"""A model's chat template, rendered in a sandbox with the same words as transformers gives it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ..transport.checkpoint import BadCheckpoint, read_optional
from ..transport.messages import ImagePart, TextPart, Turn
from .refusal import Refused

_NAMED = [f"{name}_token" for name in ("bos", "eos", "unk", "sep", "pad", "cls", "mask")]
_PROBE = "ModServe probes"


class Chat:
    """`bos_token` is the string that the tokenizer's configuration names, "" if none."""

    def __init__(self, folder: Path, *, image_token: str | None) -> None:
        tokenizer = read_optional(folder / "tokenizer_config.json") or {}
        self._words = _special_words(tokenizer)
        self.bos_token = self._words.get("bos_token", "")
        self._image_token = image_token
        source = _source(folder, tokenizer)
        try:
            self._template = None if source is None else _environment().from_string(source)
        except TemplateError as error:
            raise BadCheckpoint(f"expected a chat template in {folder}, got {error}") from error
        self._content = self._content_form()

    def render(self, turns: Sequence[Turn]) -> str:
        """One string with the header of the answer at its end; Refused where the template says."""
        if self._template is None:
            raise Refused("no_chat_template", "expected a model with a chat template, got none")
        messages = [{"role": turn.role, "content": self._content(turn)} for turn in turns]
        return self._rendered(messages)

    def _rendered(self, messages: list[dict[str, Any]]) -> str:
        assert self._template is not None
        # the template comes with the checkpoint: whatever it raises is its refusal of this chat
        try:
            return self._template.render(
                messages=messages,
                tools=None,
                documents=None,
                add_generation_prompt=True,
                **self._words,
            )
        except (TemplateError, TypeError, ValueError, LookupError, AttributeError) as error:
            raise Refused("chat_template", f"the model's chat template refuses: {error}") from error

    def _content_form(self) -> Callable[[Turn], object]:
        """Lists of parts or plain strings: the first form, in the family's own order, that the
        template prints as text. One that gets the wrong form prints nothing, or a Python list."""
        forms = (_as_list, self._as_string)
        preferred = forms if self._image_token is not None else forms[::-1]
        for form in preferred if self._template is not None else ():
            probe = {"role": "user", "content": form(Turn("user", (TextPart(_PROBE),)))}
            try:
                rendered = self._rendered([probe])
            except Refused:
                continue
            if _PROBE in rendered and "'text':" not in rendered:
                return form
        return preferred[0]

    def _as_string(self, turn: Turn) -> str:
        image = self._image_token or ""
        return "".join(p.text if isinstance(p, TextPart) else image for p in turn.content)


def _as_list(turn: Turn) -> list[dict[str, str]]:
    return [
        {"type": "image"} if isinstance(part, ImagePart) else {"type": "text", "text": part.text}
        for part in turn.content
    ]


def _source(folder: Path, tokenizer: Mapping[str, Any]) -> str | None:
    """The processor's template before the tokenizer's, a file of its own before a field."""
    own = folder / "chat_template.jinja"
    if own.is_file():
        return own.read_text(encoding="utf-8")
    for file in ("chat_template.json", "processor_config.json"):
        if isinstance(found := (read_optional(folder / file) or {}).get("chat_template"), str):
            return found
    found = tokenizer.get("chat_template")
    if isinstance(found, list):  # several by name
        named = {entry["name"]: entry["template"] for entry in found}
        found = named.get("default")
    return found if isinstance(found, str) else None


def _special_words(tokenizer: Mapping[str, Any]) -> dict[str, str]:
    found = {name: tokenizer.get(name) for name in _NAMED}
    plain = {name: v.get("content") if isinstance(v, dict) else v for name, v in found.items()}
    return {name: value for name, value in plain.items() if isinstance(value, str)}


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment


class _Generation(Extension):
    """`{% generation %}` marks answers for training; here it only passes them through."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """jinja's own escapes HTML, which a model is not trained on."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)
