"""For all tests."""

from __future__ import annotations

import signal

from hypothesis import settings


def pytest_configure() -> None:
    """A shell starts background jobs with ctrl-C ignored, and children inherit that: tests that
    press it must work however the suite was started."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.register_profile("shared machine", deadline=None)  # time is not what is tested
    settings.load_profile("shared machine")
