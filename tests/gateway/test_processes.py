"""msctl start-gateway and start-controller --http, as people start them."""

from __future__ import annotations

import shutil
import signal
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from modserve.client import Client
from modserve.transport.security import make

from ..cli.shell import Shell, finished, gone
from ..cluster.processes import wait_until

pytestmark = pytest.mark.slow

CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "home")


@contextmanager
def started(shell: Shell, *line: str) -> Iterator[list[str]]:
    """The words of its ready line; told to stop by SIGTERM at the end, it ends well."""
    process = shell.start(*line)
    assert process.stdout is not None
    try:
        told = process.stdout.readline().split()
        assert told[:1] == ["ready"], process.communicate()[1]
        yield told[1:]
        process.send_signal(signal.SIGTERM)
        assert finished(process) == 0
    finally:
        process.kill()
        process.communicate()


def controller(*options: str) -> tuple[str, ...]:
    bind = ("--bind", "tcp://127.0.0.1:0")
    return ("start-controller", "--model", "tiny", *bind, *options)


def gateway(endpoint: str, *options: str) -> tuple[str, ...]:
    return ("start-gateway", "--port", "0", "--controller", endpoint, *options)


def test_a_gateway_comes_and_goes_with_its_controller(shell: Shell) -> None:
    with started(shell, *controller("--http", "127.0.0.1:0")) as (endpoint, http):
        assert endpoint.startswith("tcp://")
        assert httpx2.get(f"{http}/v1/models").json()["data"][0]["id"] == "tiny"
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{http}/health")


def test_a_controller_that_is_killed_takes_its_gateway_along(shell: Shell) -> None:
    process = shell.start(*controller("--http", "127.0.0.1:0"))
    assert process.stdout is not None
    _, _, http = process.stdout.readline().split()
    (child,) = children(process.pid)
    process.kill()
    process.communicate()
    assert gone(child)
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{http}/health")


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    return [int(one) for task in tasks.iterdir() for one in (task / "children").read_text().split()]


def test_several_gateways_serve_one_controller(shell: Shell) -> None:
    with (
        started(shell, *controller()) as (endpoint,),
        started(shell, *gateway(endpoint)) as (first,),
        started(shell, *gateway(endpoint, "--model-name", "gpt-4o")) as (second,),
    ):
        assert httpx2.get(f"{first}/v1/models").json()["data"][0]["id"] == "tiny"
        assert httpx2.get(f"{second}/v1/models").json()["data"][0]["id"] == "gpt-4o"


def test_what_is_over_the_controllers_limit_is_told_to_wait(shell: Shell, tmp_path: Path) -> None:
    """There is no worker: the first request waits for one."""
    config = tmp_path / "modserve.toml"
    config.write_text("[admission]\nmax_requests = 1\n")
    line = controller("--config", str(config), "--http", "127.0.0.1:0")
    with (
        started(shell, *line) as (endpoint, http),
        Client(endpoint) as direct,
        direct.stream("Hello"),
        httpx2.Client(base_url=http, timeout=30) as asking,
    ):
        wait_until(lambda: direct.status()["requests"]["open"] == 1, "an open request")
        told = asking.post("/v1/chat/completions", json={**CHAT, "stream": True})
    assert told.status_code == 429
    assert told.json()["error"]["code"] == "rate_limit_exceeded"
    assert int(told.headers["retry-after"]) >= 1


def test_the_way_to_the_controller_may_be_encrypted(shell: Shell, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    alice = make(keys, "alice")
    line = controller("--keys", str(keys), "--http", "127.0.0.1:0")
    with started(shell, *line) as (endpoint, http):
        assert httpx2.get(f"{http}/v1/models").status_code == 200
        with started(shell, *gateway(endpoint, "--keys", str(alice))) as (other,):
            assert httpx2.get(f"{other}/v1/models").status_code == 200
    assert (keys / "allowed" / "gateway").exists()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_https_by_files(shell: Shell, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    name = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    out = ("-keyout", str(key), "-out", str(cert))
    subprocess.run((*made, *name, *out), check=True, capture_output=True)
    files = ("--tls-cert", str(cert), "--tls-key", str(key))
    trust = ssl.create_default_context(cafile=cert)
    with started(shell, *gateway("tcp://127.0.0.1:9", *files)) as (address,):
        assert address.startswith("https://127.0.0.1:")
        assert httpx2.get(f"{address}/health", verify=trust).json() == {"status": "ok"}
    key.write_text("no key")
    told = shell.fails(*gateway("tcp://127.0.0.1:9", *files))
    assert told.startswith("msctl: expected a certificate and its key")


def test_what_cannot_be_is_one_sentence(shell: Shell, tmp_path: Path) -> None:
    endpoint = "tcp://127.0.0.1:9"
    told = shell.fails(*gateway(endpoint, "--host", "0.0.0.0"))
    assert "expected a loopback host, or --api-keys, or --insecure" in told
    told = shell.fails(*gateway(endpoint, "--tls-cert", "x"))
    assert "expected --tls-cert and --tls-key together" in told
    told = shell.fails(*gateway(endpoint, "--api-keys", str(tmp_path / "none")))
    assert "cannot read" in told
    code, _, told = shell.run(*controller("--http", "here"))
    assert (code, "expected HOST:PORT" in told) == (2, True)
