"""What is wrong with a JSON schema that an answer is to follow, before it is asked for."""

from __future__ import annotations

from llguidance import LLMatcher

MOST_CHARACTERS = 64 * 1024


def complaint_about_schema(schema: str) -> str | None:
    """One sentence; None where an answer can be made to follow it."""
    if len(schema) > MOST_CHARACTERS:
        return f"expected a json_schema of at most {MOST_CHARACTERS} characters, got {len(schema)}"
    try:
        grammar = LLMatcher.grammar_from_json_schema(schema)
        wrong, reasons = LLMatcher.validate_grammar_with_warnings(grammar)
    except ValueError as error:
        wrong, reasons = True, [str(error)]
    if not wrong:
        return None
    reason = " ".join(" ".join(reasons).split())
    return f"expected a json_schema that an answer can follow, got one with an error: {reason}"
