"""Finds stop strings in text that comes in pieces, and holds back what may become one."""

from __future__ import annotations

from collections.abc import Iterable


class StopStrings:
    """The first stop string to be complete wins, whatever pieces the text comes in.

    One automaton per string (Knuth, Morris and Pratt): a constant cost per character, where
    searching the held text again for every piece is quadratic for long strings.
    """

    def __init__(self, stops: Iterable[str]) -> None:
        self._stops = [(stop, _failures(stop)) for stop in dict.fromkeys(stops) if stop]
        self._matched = [0] * len(self._stops)
        self._held = ""

    def push(self, text: str) -> tuple[str, bool]:
        """What may be sent now, and whether a stop string was met; it is not part of the text."""
        if not self._stops:
            return text, False
        for index, char in enumerate(text):
            if length := self._step(char):
                found = self._held + text[: index + 1]
                self._held = ""
                return found[:-length], True
        whole = self._held + text
        sure = len(whole) - max(self._matched)
        self._held = whole[sure:]
        return whole[:sure], False

    def finish(self) -> str:
        held, self._held = self._held, ""
        return held

    def _step(self, char: str) -> int:
        """The length of the longest stop string that `char` completes, or 0."""
        complete = 0
        for number, (stop, failures) in enumerate(self._stops):
            at = self._matched[number]
            while at and stop[at] != char:
                at = failures[at - 1]
            at += stop[at] == char
            self._matched[number] = at
            if at == len(stop):
                complete = max(complete, at)
        return complete


def _failures(stop: str) -> list[int]:
    """For each prefix of `stop`: how much of it is a proper prefix and a suffix of it at once."""
    failures = [0] * len(stop)
    at = 0
    for index in range(1, len(stop)):
        while at and stop[at] != stop[index]:
            at = failures[at - 1]
        at += stop[at] == stop[index]
        failures[index] = at
    return failures
