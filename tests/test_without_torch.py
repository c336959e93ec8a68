"""Controller, client and command line never import torch: 250 MB and seconds of start-up.

Whoever imports torch or transformers here gets an ImportError: modules of their names that say
so come before the real ones. The processes are real.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
FOLDERS = ("scheduler", "controller", "client", "gateway", "simulator", "cli", "worker/emulated")
OF_TRANSPORT = (  # the rest of the folder moves tensors
    *("messages", "codec", "channels", "checkpoint", "complaints", "launching", "pictures"),
    *("state", "components", "profiles"),
)
FORBIDDEN = ("torch", "transformers")
IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(len(sys.argv) - 1)
"""
ASK = """
import sys
from modserve.client import Client, RequestFailed
with Client(sys.argv[1]) as client:
    print(client.status()["controller"]["endpoint"])
    try:
        client.generate("What is this?", images=[sys.argv[2]], timeout_s=0.5)
    except RequestFailed as error:
        print(error.reason)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of a process for which torch cannot be imported, and that keeps its state to itself."""
    shadows = tmp_path / "shadows"
    shadows.mkdir()
    for name in FORBIDDEN:
        (shadows / f"{name}.py").write_text(f"raise ImportError('{name} is out of reach')\n")
    return os.environ | {"PYTHONPATH": str(shadows), "XDG_STATE_HOME": str(tmp_path)}


def run(environment: dict[str, str], *command: str) -> str:
    """What it prints; fails with what it complains of."""
    done = subprocess.run(
        (sys.executable, "-P", *command),
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def controller(environment: dict[str, str]) -> Iterator[str]:
    """The endpoint of a controller of the shipped model, without workers."""
    command = ("-m", "modserve.cli.main", "start-controller", "--model", "tiny")
    with subprocess.Popen(
        (sys.executable, "-P", *command, "--bind", "tcp://127.0.0.1:0"),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            word, _, endpoint = process.stdout.readline().strip().partition(" ")
            if word != "ready":
                process.kill()
                raise AssertionError(f"expected a ready line, got {process.stderr.read()}")
            yield endpoint
        finally:
            process.terminate()
            process.communicate(timeout=30)


def test_the_torch_free_modules_import_where_torch_does_not(environment: dict[str, str]) -> None:
    files = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]
    files += [ROOT / "transport" / f"{name}.py" for name in OF_TRANSPORT]
    names = [
        ".".join(("modserve", *file.relative_to(ROOT).with_suffix("").parts)) for file in files
    ]
    printed = run(environment, "-c", IMPORT_ALL, *names)
    assert int(printed) == len(names) > len(FOLDERS) + len(OF_TRANSPORT)


def test_importing_torch_would_be_noticed(environment: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match="torch is out of reach"):
        run(environment, "-c", IMPORT_ALL, "modserve.worker.engine")


def test_a_controller_prepares_a_request_with_an_image_without_torch(
    environment: dict[str, str],
) -> None:
    """It has no worker: the request is admitted, waits for one, and fails at its deadline."""
    with controller(environment) as endpoint:
        picture = ROOT / "examples" / "seven.png"
        told = run(environment, "-c", ASK, endpoint, str(picture)).splitlines()
        shown = run(
            environment, "-m", "modserve.cli.main", "status", "--controller", endpoint, "--json"
        )
        run(environment, "-m", "modserve.cli.main", "stop", "--controller", endpoint)
    assert told[0] == endpoint
    assert told[1].startswith("deadline passed")
    requests = json.loads(shown)["requests"]
    assert (requests["open"], requests["failed"], requests["rejected"]) == (0, 1, 0)
