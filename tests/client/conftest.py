"""Addresses to try."""

from __future__ import annotations

import socket

import pytest


@pytest.fixture
def free_endpoint() -> str:
    """Where nobody listens yet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"
