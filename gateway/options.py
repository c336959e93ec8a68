"""What a gateway is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..client.media.policy import DEFAULT_POLICY, Policy


@dataclass(frozen=True, slots=True)
class Limits:
    """Whatever is over one of these is refused with the number."""

    body_bytes: int = 64 * 2**20  # of one request
    body_s: float = 60.0  # until a request's body is complete
    stalled_s: float = 60.0  # of a reader that takes nothing; then its connection is closed
    silent_s: float = 10.0  # of the controller; then it counts as gone
    default_max_tokens: int = 1024  # of a chat's answer that names no length
    end_s: float = 5.0  # that open answers get when the gateway is stopped


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    controller: str
    host: str = "127.0.0.1"
    port: int = 8000  # 0: a free one
    keys: Path | None = None  # CURVE, to the controller
    api_keys: Path | None = None  # file of `msctl make-api-key`; None: everybody may ask
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure: bool = False  # an address that others reach, without API keys
    names: tuple[str, ...] = ()  # of the model, in place of the controller's
    media: Policy = DEFAULT_POLICY  # where pictures may come from
    limits: Limits = Limits()
