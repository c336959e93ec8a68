"""metrics: the controller's figures once, as Prometheus would scrape them."""

from __future__ import annotations

import sys

import typer

from ..client import Client
from ..gateway.metrics.exposition import exposition
from .options import DEFAULT_ENDPOINT, Controller, Keys


def add(app: typer.Typer) -> None:
    app.command(epilog="Example: msctl metrics > /var/lib/node_exporter/modserve.prom")(metrics)


def metrics(controller: Controller = DEFAULT_ENDPOINT, keys: Keys = None) -> None:
    """Print counters, gauges and histograms in Prometheus's text format, without a gateway.

    A gateway serves the same at /metrics.
    """
    with Client(controller, keys=keys) as client:
        report = client.status()
    sys.stdout.write(exposition(report).decode())
    sys.stdout.flush()
