"""Workers on a real Ray cluster of two nodes, on this host."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from ...cli.shell import Shell, gone
from ...cli.test_scaling import ANSWER, ask, controlled, events, scaled, workers
from ...cluster.processes import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("ray") is None, reason="expected ray (pip install 'modserve[ray]'), got none"
    ),
]
HOSTS = ("127.0.0.2", "127.0.0.3")  # Ray would turn 127.0.0.1 into an address on the network
NODE = ("--block", "--num-cpus=1", "--object-store-memory=100000000", "--disable-usage-stats")


class Cluster:
    """Each node is a process group, so that all of it can be killed at once."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self._folder, self._env = folder, {**env, "RAY_USAGE_STATS_ENABLED": "0"}
        with socket.socket() as free:
            free.bind((HOSTS[0], 0))
            self.address = f"{HOSTS[0]}:{free.getsockname()[1]}"
        self._nodes: list[subprocess.Popen[bytes]] = []

    def begin(self) -> None:
        port = self.address.rpartition(":")[2]
        self.node(
            "--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={self._folder}"
        )
        self.node(f"--address={self.address}")

    def node(self, *line: str) -> None:
        ray = Path(sys.executable).with_name("ray")
        log = self._folder / f"{len(self._nodes)}.log"
        with log.open("wb") as out:
            node = subprocess.Popen(
                (ray, "start", *line, *NODE, f"--node-ip-address={HOSTS[len(self._nodes)]}"),
                env=self._env,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._nodes.append(node)
        wait_until(
            lambda: "Ray runtime started" in log.read_text() or node.poll() is not None,
            "a Ray node",
            60.0,
        )
        assert node.poll() is None, log.read_text()

    def kill(self) -> None:
        """The node that joined last."""
        node = self._nodes.pop()
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()

    def close(self) -> None:
        while self._nodes:
            self.kill()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # paths of sockets must be short
    made = Cluster(folder, Shell(tmp_path).env)
    try:
        made.begin()
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


def test_workers_on_ray_come_and_go_and_their_node_may_be_lost(
    tmp_path: Path, cluster: Cluster
) -> None:
    shell, keys = Shell(tmp_path), tmp_path / "keys"
    assert shell.run("keygen", "me", "--folder", str(keys))[0] == 0
    shell.env["MODSERVE_KEYS"] = str(keys / "me.json")
    options = ("--bind", "tcp://0.0.0.0:0", "--keys", str(keys), "--launcher", "ray")
    with controlled(shell, *options, "--ray-address", cluster.address):
        everywhere = shell.env["MODSERVE_CONTROLLER"]
        shell.env["MODSERVE_CONTROLLER"] = everywhere.replace("0.0.0.0", "127.0.0.1")
        scaled(shell, "encode=1", "text=1")  # one CPU each: one a node
        assert ask(shell) == ANSWER
        pids = [one["pid"] for one in workers(shell).values()]
        launched = [one["sentence"] for one in events(shell, "launched")]
        assert all(any(f" of {host}, " in sentence for sentence in launched) for host in HOSTS)

        cluster.kill()
        (ended,) = events(shell, "ended")
        lost = str(ended["fields"]["worker"])
        assert "its Ray actor is gone" in ended["sentence"]
        wait_until(lambda: lost not in workers(shell), f"{lost} to be gone")
        # another one waits for room on the node that is left, and is given up with the controller
        assert shell.run("scale", f"{lost.partition('-')[0]}=1")[0] == 0
    assert all(gone(pid) for pid in pids)
