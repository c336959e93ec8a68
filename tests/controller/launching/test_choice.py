"""Which launchers there are, and what each needs before it begins."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from modserve.controller.launching.choice import check
from modserve.controller.launching.invitation import Invitation, keys_of_workers, reachable
from modserve.controller.launching.launcher import Advised, BadLauncher, Order
from modserve.controller.launching.manual import Manual
from modserve.controller.launching.options import LaunchOptions
from modserve.scheduler.stage import ROLES
from modserve.transport.security import PeerKeys, make

from ..scripted import conversation

NETWORK, LOOPBACK = "tcp://0.0.0.0:7700", "tcp://127.0.0.1:7700"


@pytest.mark.parametrize(
    ("options", "endpoint", "expected"),
    [
        (LaunchOptions("slurm"), LOOPBACK, "expected a launcher of manual, local, ray, got slurm"),
        (LaunchOptions("local", gpus=(0, 0)), LOOPBACK, "expected different GPU numbers"),
        (LaunchOptions("local", gpus=(-1,)), LOOPBACK, "expected different GPU numbers"),
        (LaunchOptions("local"), NETWORK, "expected --data-host with --launcher local"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    options: LaunchOptions, endpoint: str, expected: str
) -> None:
    with pytest.raises(BadLauncher, match=expected):
        check(options, endpoint, closed=True)


def test_what_can_be_passes() -> None:
    for options, endpoint in (
        (LaunchOptions(), LOOPBACK),
        (LaunchOptions(), NETWORK),
        (LaunchOptions("local", gpus=(0, 3)), LOOPBACK),
        (LaunchOptions("local", data_host="10.0.0.5"), NETWORK),
    ):
        check(options, endpoint, closed=True)


@pytest.mark.skipif(find_spec("ray") is None, reason="expected the package ray, got none")
def test_workers_on_other_hosts_need_keys_and_an_address_that_they_reach() -> None:
    check(LaunchOptions("ray"), NETWORK, closed=True)
    for endpoint, closed in ((LOOPBACK, True), (NETWORK, False)):
        with pytest.raises(BadLauncher, match="expected --keys and a --bind that other hosts"):
            check(LaunchOptions("ray"), endpoint, closed=closed)


@pytest.mark.skipif(find_spec("ray") is not None, reason="expected no package ray, got one")
def test_without_ray_a_sentence_says_how_to_get_it() -> None:
    with pytest.raises(BadLauncher, match=r"pip install 'modserve\[ray\]'"):
        check(LaunchOptions("ray"), NETWORK, closed=True)


@pytest.mark.parametrize(
    ("invitation", "role", "line"),
    [
        (
            Invitation(LOOPBACK, "secret"),
            "encode",
            f"msctl add-worker --stage encode --controller {LOOPBACK}",
        ),
        (
            Invitation("tcp://10.0.0.5:7700", "secret", Path("/keys/HOST.json")),
            "all",
            "msctl add-worker --stage all --controller tcp://10.0.0.5:7700 "
            "--keys /keys/HOST.json --data-host HOST",
        ),
    ],
)
@conversation
async def test_by_hand_a_person_is_told_what_to_type(
    invitation: Invitation, role: str, line: str
) -> None:
    advised = await Manual(lambda: invitation).launch(Order("x-0", ROLES[role]))
    assert advised == Advised("x-0", line)
    assert "secret" not in line + repr(invitation)


def test_a_controller_that_listens_everywhere_is_found_at_its_host() -> None:
    assert reachable("tcp://0.0.0.0:7700", "10.0.0.5") == "tcp://10.0.0.5:7700"
    assert reachable("tcp://[::]:7700", "10.0.0.5") == "tcp://10.0.0.5:7700"
    assert reachable("tcp://10.0.0.9:7700", "10.0.0.5") == "tcp://10.0.0.9:7700"


def test_launched_workers_have_keys_of_their_own(tmp_path: Path) -> None:
    make(tmp_path, "alice")
    assert keys_of_workers(None, "local") is None
    assert keys_of_workers(tmp_path, "manual") == tmp_path / "HOST.json"
    first = keys_of_workers(tmp_path, "local")
    assert first is not None
    assert keys_of_workers(tmp_path, "ray") == first
    assert PeerKeys.read(first).public in (tmp_path / "allowed" / "workers").read_text()
