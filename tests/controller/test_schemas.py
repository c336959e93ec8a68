from __future__ import annotations

import pytest

from modserve.controller.schemas import MOST_CHARACTERS, complaint_about_schema


@pytest.mark.parametrize(
    "schema", ['{"type":"object"}', "true", '{"type":"string","pattern":"[a-z]{2,3}"}', "{}"]
)
def test_a_schema_that_can_be_followed(schema: str) -> None:
    assert complaint_about_schema(schema) is None


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        ("no json", "expected a json_schema that an answer can follow, got one with an error: "),
        ("[]", "schema must be an object or boolean"),
        ('{"type":"objekt"}', "Invalid type: objekt"),
        ('{"not":{}}', 'Unimplemented keys: ["not"]'),
        ('{"enum":[]}', "Unsatisfiable schema"),
        ('{"type":"string","pattern":"("}', "regex parse error: ( ^ error: unclosed group"),
        ("[" * 9_000, "recursion limit exceeded"),
        ("1" * (MOST_CHARACTERS + 1), f"expected a json_schema of at most {MOST_CHARACTERS} char"),
    ],
)
def test_a_schema_that_cannot_is_one_sentence(schema: str, sentence: str) -> None:
    wrong = complaint_about_schema(schema)
    assert wrong is not None
    assert sentence in wrong
    assert "\n" not in wrong
