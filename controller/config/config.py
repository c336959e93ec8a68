"""modserve.toml, read and checked as a whole before anything starts."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ...scheduler.slo.classes import CLASSES, SloClass
from ...scheduler.stage import ROLES
from ...transport.channels import BadAddress, is_loopback
from ..launching.needs import need
from ..naming import unknown
from .classes import check_name, slo_classes
from .known import KNOWN, MEANS
from .reading import BadConfig, converted, table_of
from .tables import (
    AdmissionTable,
    ControllerTable,
    LaunchingTable,
    PoliciesTable,
    ScalingTable,
    SloTable,
    StageTable,
    Table,
)

T = TypeVar("T", bound=Table)


@dataclass(frozen=True)
class Config:
    """What the file says; where it says nothing, the defaults."""

    controller: ControllerTable = field(default_factory=ControllerTable)
    admission: AdmissionTable = field(default_factory=AdmissionTable)
    slo: Mapping[str, SloClass] = field(default_factory=lambda: CLASSES)
    stages: Mapping[str, StageTable] = field(default_factory=dict)  # by role, those it names
    scaling: ScalingTable = field(default_factory=ScalingTable)
    launching: LaunchingTable = field(default_factory=LaunchingTable)
    policies: PoliciesTable = field(default_factory=PoliciesTable)


def read(path: Path) -> Config:
    """Raises BadConfig with the file, the way to the key, and what was expected there."""
    try:
        return checked(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadConfig(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadConfig(f"{path}: expected UTF-8, got another encoding") from error
    except BadConfig as error:
        raise BadConfig(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:  # tomllib's own, and those of numbers too long
        raise BadConfig(f"{path}: expected TOML, got an error: {error}") from error


def checked(tables: dict[str, Any]) -> Config:
    """What the tables of a file say; raises BadConfig."""
    for name in tables:
        if name not in Config.__dataclass_fields__:
            raise BadConfig(unknown("a table", name, Config.__dataclass_fields__))
    config = Config(
        controller=converted(table_of(tables, "controller"), ControllerTable, "controller"),
        admission=converted(table_of(tables, "admission"), AdmissionTable, "admission"),
        slo=slo_classes(_named(tables, "slo", SloTable, check_name)),
        stages=_named(tables, "stages", StageTable, _check_role),
        scaling=converted(table_of(tables, "scaling"), ScalingTable, "scaling"),
        launching=converted(table_of(tables, "launching"), LaunchingTable, "launching"),
        policies=converted(table_of(tables, "policies"), PoliciesTable, "policies"),
    )
    _check_controller(config.controller)
    _check_launching(config.launching)
    _check_means(config.scaling.means)
    for role, stage in config.stages.items():
        _check_stage(role, stage)
    for path in KNOWN:
        _check_name(config, path)
    return config


def _named(
    tables: dict[str, Any], name: str, into: type[T], check: Callable[[str], None]
) -> dict[str, T]:
    """The tables in a table, by their names: [slo.NAME]."""
    inner = table_of(tables, name)
    for key in inner:
        check(key)
    return {
        key: converted(table_of(inner, key, f"{name}."), into, f"{name}.{key}") for key in inner
    }


def _check_controller(table: ControllerTable) -> None:
    try:
        is_loopback(table.bind)
    except BadAddress as error:
        raise BadConfig(f"controller.bind: {error}") from error
    if table.strict_journal and not table.journal:
        raise BadConfig("controller.strict_journal: expected a journal with it, got none")


def _check_launching(table: LaunchingTable) -> None:
    if len(set(table.gpus)) < len(table.gpus):
        raise BadConfig(f"launching.gpus: expected different numbers, got {list(table.gpus)}")
    for role, text in table.ray_resources.items():
        try:
            need(role, text)
        except ValueError as error:
            raise BadConfig(f"launching.ray_resources: {error}") from error


def _check_means(means: Sequence[str]) -> None:
    if not means:
        raise BadConfig(f"scaling.means: expected some of {', '.join(MEANS)}, got none")
    for one in means:
        if one not in MEANS:
            raise BadConfig(f"scaling.means: {unknown('some', one, MEANS)}")


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise BadConfig(f"stages: {unknown('a role', role, ROLES)}")


def _check_stage(role: str, table: StageTable) -> None:
    if table.max is not None and table.min > table.max:
        raise BadConfig(
            f"stages.{role}: expected min of at most max, got {table.min} and {table.max}"
        )
    if table.start is not None and not table.min <= table.start <= (table.max or table.start):
        most = "" if table.max is None else f" to {table.max}"
        raise BadConfig(
            f"stages.{role}.start: expected a number from {table.min}{most}, got {table.start}"
        )


def _check_name(config: Config, path: str) -> None:
    table, _, key = path.partition(".")
    name = getattr(getattr(config, table), key)
    if name not in KNOWN[path]:
        raise BadConfig(f"{path}: {unknown('one', name, KNOWN[path])}")
