"""What a controller is started with, as a configuration says it."""

from __future__ import annotations

from pathlib import Path

from ..launching.needs import need
from ..launching.options import LaunchOptions
from ..options import ControllerOptions, Limits, Parts
from .config import Config


def options_of(config: Config, model: Path, *, json: bool = False) -> ControllerOptions:
    """`model`: the folder of the checkpoint that `config` names."""
    table = config.controller
    return ControllerOptions(
        model=model,
        endpoint=table.bind,
        insecure=table.insecure,
        keys=None if table.keys is None else Path(table.keys),
        json=json,
        bind=config.policies.bind,
        admission=config.admission.policy,
        routing=config.policies.routing,
        journal=table.journal,
        strict_journal=table.strict_journal,
        slo=config.slo,
        stages=config.stages,
        scaling=config.scaling,
        launching=_launching(config),
        limits=Limits(
            max_open=config.admission.max_requests,
            max_waiting_tokens=config.admission.max_tokens,
            max_held_bytes=config.admission.max_image_mb * 2**20,
        ),
        parts=Parts(
            prefix_bytes=_bytes(table.prefix_cache_mb),
            image_cache_bytes=_bytes(table.image_cache_mb),
        ),
    )


def _launching(config: Config) -> LaunchOptions:
    table = config.launching
    return LaunchOptions(
        launcher=config.scaling.launcher,
        gpus=table.gpus,
        threads=table.threads,
        data_host=table.data_host,
        ray_address=table.ray_address,
        resources={role: need(role, text) for role, text in table.ray_resources.items()},
    )


def _bytes(megabytes: int | None) -> int | None:
    return None if megabytes is None else megabytes * 2**20
