"""This system beside its peers: the same loads, on the same cores, one after another.

    python bench/compare.py [--venv FOLDER] [--only text,image,mixed,again,prefix,rate] [--quick]

Starts each system in turn on the same random checkpoint (bench/checkpoint.py: 164 M parameters, a
672 x 448 picture is 7 tiles and about 1,390 prompt tokens), sends it every load by `msctl bench`,
and prints what each did, the ratio to the peer and the goal; ctrl-C shows what there is by then.
The peer is vLLM's CPU build where --venv names its environment (bench/peers/vllm_cpu.py makes it);
ours are a worker that encodes beside one for text, and a monolith of one worker for everything.
Writes JSON and a plot.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import orjson
from rich.console import Console
from rich.table import Table

from modserve.bench import checkpoint, machine
from modserve.bench.floors import Floors
from modserve.bench.options import some_of
from modserve.bench.peers import vllm_cpu
from modserve.bench.report import amount
from modserve.cli.cluster import Cluster, wait_for

LOAD_S = 3600.0  # for one load, whatever it is
PICTURE = ("--image-size", "672x448")
SLO = ("--goodput", "ttft:1000", "--goodput", "image.ttft:8000", "--goodput", "tpot:150")
MIXED = ("--image-share", "0.4", *PICTURE, "--input-len", "64-128")
ONE_BY_ONE = ("--max-concurrency", "1", "--input-len", "16-32")
LEAST_RATE, STEP, STEPS = 0.1, 1.5, 3  # of the search for the highest rate
ATTAINED = 0.9
PEER = "vllm-cpu"

Result = dict[str, Any]
Send = Callable[..., Result]


@dataclass(frozen=True)
class Figure:
    """One number of a load; `goal` is what ours must be of the peer's: at least, or at most."""

    name: str
    unit: str
    of: Callable[[Result], float | None]
    goal: float | None = None
    at_most: bool = False

    def met(self, ratio: float) -> bool:
        return self.goal is None or (ratio <= self.goal if self.at_most else ratio >= self.goal)


@dataclass(frozen=True)
class Load:
    options: Sequence[str]
    prompts: int
    figures: Sequence[Figure]


def _ms(name: str, kind: str = "") -> Callable[[Result], float | None]:
    return lambda result: (result[kind] if kind else result)[f"{name}_ms"]


def _first(result: Result) -> float:
    return 1000 * float(result["ttfts"][0])


def _later(result: Result) -> float:
    return 1000 * median(result["ttfts"][1:])


def _saved(result: Result) -> float:
    return _later(result) / _first(result)


LOADS = {
    "text": Load(
        ("--max-concurrency", "8", "--input-len", "64-128"),
        48,
        [
            Figure("text, 8 at a time", "tok/s", lambda r: r["output_throughput"], 1.1),
            Figure("  TPOT p50", "ms", _ms("p50_tpot")),
            Figure("  TTFT p50", "ms", _ms("p50_ttft")),
        ],
    ),
    "image": Load(
        (
            *("--max-concurrency", "4", "--image-share", "1", *PICTURE, "--input-len", "16-32"),
            *("--slo", "batch"),  # only the throughput counts; the peer has no word for it
        ),
        16,
        [
            Figure("an image each, 4 at a time", "req/s", lambda r: r["request_throughput"], 1.2),
            Figure("  TTFT p50", "ms", _ms("p50_ttft")),
            Figure("  worst gap p99", "ms", _ms("p99_max_itl")),
        ],
    ),
    "mixed": Load(
        (*MIXED, *SLO, "--request-rate", "0.6"),
        60,
        [
            Figure("0.6/s, 40 % image: text TTFT p99", "ms", _ms("p99_ttft", "text"), 1 / 6, True),
            Figure("  worst gap p99", "ms", _ms("p99_max_itl"), 1 / 10, True),
            Figure("  image TTFT p50", "ms", _ms("p50_ttft", "image"), 1.0, True),
            Figure("  text TTFT p50", "ms", _ms("p50_ttft", "text")),
            Figure("  TPOT p99", "ms", _ms("p99_tpot")),
        ],
    ),
    "again": Load(
        (*ONE_BY_ONE, "--image-share", "1", *PICTURE, "--same-images", "1"),
        5,
        [
            Figure("one image five times: first TTFT", "ms", _first),
            Figure("  the others'", "ms", _later),
            Figure("  of the first", "", _saved),
        ],
    ),
    "prefix": Load(
        (*ONE_BY_ONE, "--prefix-len", "3000"),
        5,
        [
            Figure("3,000 tokens shared: first TTFT", "ms", _first),
            Figure("  the others'", "ms", _later),
            Figure("  of the first", "", _saved),
        ],
    ),
}
NAMES = [*LOADS, "rate"]
RATE = Figure("rate with 90 % in time", "req/s", lambda result: result["rate"], 4.0)


# The systems. Each yields what sends it a load.


@contextmanager
def ours(folder: Path, *workers: str) -> Iterator[Send]:
    with Cluster(str(folder)) as cluster:
        for stages in workers:
            wait_for(cluster.launch(*stages.split(",")))
        yield lambda *options: _bench("--controller", cluster.endpoint, *options)


@contextmanager
def peer(folder: Path, venv: Path, log: Path) -> Iterator[Send]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with vllm_cpu.serve(venv, folder, port, log=log):
        target = ("--url", f"http://127.0.0.1:{port}/v1", "--model", "m")
        yield lambda *options: _bench(*target, "--tokenizer", str(folder), *_known(options))


def _known(options: Sequence[str]) -> Sequence[str]:
    """To a server that knows no classes of requests."""
    at = options.index("--slo") if "--slo" in options else len(options)
    return [*options[:at], *options[at + 2 :]]


def _bench(*options: str) -> Result:
    """`msctl bench` in a process of its own: what it takes is nobody's time but the cores'."""
    command = [sys.executable, "-P", "-m", "modserve.cli.main", "bench", "--json", "--ignore-eos"]
    command += ["--output-len", "48", *options]
    done = subprocess.run(command, capture_output=True, timeout=LOAD_S, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.decode().strip()}")
    result: Result = orjson.loads(done.stdout)
    if result["failed"]:
        errors = [error for error in result["errors"] if error]
        print(f"{result['failed']} of {' '.join(options)} failed: {errors[0]}", file=sys.stderr)
    return result


# What is sent.


def run(send: Send, names: Sequence[str], results: dict[str, Result], *, quick: bool) -> None:
    send("--num-prompts", "4", "--max-concurrency", "2", *MIXED, "--seed", "99")  # warm
    for number, name in enumerate(names):
        seed = ("--seed", str(number))
        if name == "rate":
            results[name] = highest_rate(send, quick=quick)
        else:
            load = LOADS[name]
            prompts = load.prompts if not quick or load.prompts <= 5 else load.prompts // 4
            results[name] = send(*load.options, "--num-prompts", str(prompts), *seed)


def highest_rate(send: Send, *, quick: bool) -> Result:
    """Up while enough requests are in time, then between; the same prompts in every try."""
    seconds = 30 if quick else 90
    tried: dict[float, float] = {}

    def holds(rate: float) -> bool:
        prompts = str(max(16, round(rate * seconds)))
        result = send(*MIXED, *SLO, "--request-rate", str(rate), "--num-prompts", prompts)
        tried[rate] = result["attainment"]
        return tried[rate] >= ATTAINED

    good, rate = 0.0, LEAST_RATE
    while holds(rate):
        good, rate = rate, rate * STEP
    low, high = good, rate
    for _ in range(STEPS if good else 0):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return {"rate": low, "tried": sorted(tried.items())}


# What is shown.


def show(results: dict[str, dict[str, Result]], floors: Floors, console: Console) -> None:
    table = Table(title="The same loads, one system after another", title_justify="left")
    table.add_column("")
    against = next(iter(results))
    for system in results:
        table.add_column(system, justify="right")
    for heading in ("ratio", "goal", "floor"):
        table.add_column(heading, justify="right")
    for name in results[against]:
        figures = [RATE] if name == "rate" else LOADS[name].figures
        for number, figure in enumerate(figures):
            values = [figure.of(one[name]) if name in one else None for one in results.values()]
            floor = floors.of(name) if number == 0 else None
            table.add_row(
                figure.name,
                *("-" if value is None else amount(value, figure.unit) for value in values),
                *_against(figure, values, peer=against == PEER),
                "" if floor is None else amount(floor, figure.unit),
            )
    console.print(table)


def _against(figure: Figure, values: Sequence[float | None], *, peer: bool) -> tuple[str, str]:
    if not peer or figure.goal is None or len(values) < 2 or None in values[:2]:
        return "", ""
    theirs, own = values[0] or LEAST_RATE, values[1] or 0.0  # not even the least rate: less than it
    ratio = own / theirs
    colour = "green" if figure.met(ratio) else "red"
    sign = "≤" if figure.at_most else "≥"
    more = "" if values[0] else "> "
    return f"{more}{ratio:.2f}", f"[{colour}]{sign} {figure.goal:.2f}[/]"


def plot(results: dict[str, dict[str, Result]], path: Path) -> None:
    """How the requests of the mixed load fared: TTFT and worst gap, as shares of them."""
    from matplotlib import pyplot
    from matplotlib.ticker import NullFormatter

    drawn = {name: result["mixed"] for name, result in results.items() if "mixed" in result}
    if not drawn:
        return
    figure, axes = pyplot.subplots(1, 3, figsize=(13, 4), sharey=True)
    for name, result in drawn.items():
        worst = [max(gaps) for gaps in result["itls"] if gaps]
        ttfts = list(zip(result["ttfts"], result["images"], strict=True))
        text = [ttft for ttft, images in ttfts if not images]
        image = [ttft for ttft, images in ttfts if images]
        for axis, values in zip(axes, (text, image, worst), strict=True):
            shares = [(at + 1) / len(values) for at in range(len(values))]
            axis.step(sorted(values), shares, where="post", label=name)
    titles = ("TTFT of text requests", "TTFT of image requests", "worst gap between tokens")
    for axis, title in zip(axes, titles, strict=True):
        axis.set(title=title, xlabel="seconds", xscale="log")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("share of requests")
    axes[0].legend()
    figure.suptitle("40 % image requests, Poisson, 0.6 a second")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def _slim(loads: dict[str, Result]) -> dict[str, Result]:
    """Without what is told of every single request."""
    return {
        name: {
            key: told for key, told in result.items() if key == "tried" or type(told) is not list
        }
        for name, result in loads.items()
    }


def main() -> int:
    options = _options()
    results: dict[str, dict[str, Result]] = {}
    with tempfile.TemporaryDirectory(prefix="modserve-compare-") as home:
        folder = checkpoint.make(Path(home) / "model", small=options.small)
        systems: dict[str, Callable[[], Any]] = {
            "encode + text": lambda: ours(folder, "encode", "text"),
            "monolith": lambda: ours(folder, "all"),
        }
        if options.venv is not None:
            log = Path(home) / "peer.log"
            systems = {PEER: lambda: peer(folder, options.venv, log), **systems}
        for name in options.systems or systems:
            results[name] = {}
            try:
                with ExitStack() as stack:
                    print(f"{name} ...", file=sys.stderr)
                    send = stack.enter_context(systems[name]())
                    run(send, options.only, results[name], quick=options.quick)
            except KeyboardInterrupt:  # what was measured is shown
                break
        floors = Floors.measure(folder)
    about = machine.describe()
    console = Console(width=None if sys.stdout.isatty() else 130)
    console.print(f"{about.cpu}, {about.cores} cores; torch {about.torch}; {floors}")
    show(results, floors, console)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    slim = {name: _slim(loads) for name, loads in results.items()}
    told = {"machine": msgspec.to_builtins(about), "floors": floors.told(), "results": slim}
    options.json.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    plot(results, options.json.with_suffix(".png"))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--venv", type=Path, metavar="FOLDER", help="of vLLM; none: ours alone")
    parser.add_argument("--only", type=some_of(NAMES), default=NAMES, metavar="LOADS")
    parser.add_argument("--systems", type=lambda text: text.split(","), metavar="NAMES")
    parser.add_argument("--quick", action="store_true", help="a quarter of everything")
    parser.add_argument("--small", action="store_true", help="a model of no size at all")
    results = Path(__file__).parent / "results" / "compare.json"
    parser.add_argument("--json", type=Path, metavar="FILE", default=results)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
