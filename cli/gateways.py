"""start-gateway: OpenAI's HTTP in front of a controller."""

from __future__ import annotations

import typer

from ..client.media import Policy, Rest
from ..gateway.options import GatewayOptions, Limits
from . import gateway_options as option
from .options import DEFAULT_ENDPOINT, Controller, Keys


def add(app: typer.Typer) -> None:
    app.command(epilog="Example: msctl start-gateway --port 8000")(start_gateway)


def start_gateway(
    port: option.Port = 8000,
    host: option.Host = "127.0.0.1",
    model_name: option.ModelName = None,
    api_keys: option.ApiKeys = None,
    tls_cert: option.TlsCert = None,
    tls_key: option.TlsKey = None,
    insecure: option.Insecure = False,
    max_body: option.MaxBody = 64,
    allow_media: option.AllowMedia = None,
    deny_media: option.DenyMedia = None,
    listed_media: option.ListedMedia = False,
    default_max_tokens: option.DefaultMaxTokens = 1024,
    controller: Controller = DEFAULT_ENDPOINT,
    keys: Keys = None,
) -> None:
    """Answer HTTP requests as OpenAI's API does. Stays in the foreground.

    Prints `ready http://HOST:PORT` when it listens. Several gateways may serve one controller.
    """
    from ..gateway.serving import serve  # takes a moment to import

    serve(
        GatewayOptions(
            controller=controller,
            host=host,
            port=port,
            keys=keys,
            api_keys=api_keys,
            tls_cert=tls_cert,
            tls_key=tls_key,
            insecure=insecure,
            names=tuple(model_name or ()),
            media=Policy.of(
                allow_media or (), deny_media or (), Rest.NOTHING if listed_media else Rest.GLOBAL
            ),
            limits=Limits(body_bytes=max_body * 2**20, default_max_tokens=default_max_tokens),
        )
    )
