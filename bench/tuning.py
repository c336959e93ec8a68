"""How each system divides 128 GPUs best: the same search for all of them.

    python bench/tuning.py --trace azure.csv.gz --duration 5m [--system paper,pd] [--model NAME,...]
                           [--json bench/results/tuning.json]

A system has candidates: every layout of its kinds of workers, on 1, 2, 4 or 8 GPUs each, in coarse
portions. They race: the first is searched for its highest rate, and each of the others is run once
at a rate above the best so far; who holds it is searched in turn, and so becomes the best. A loser
costs a part of one run, since that ends with the request that is one too many. What won stands in
simulator/tuned.py. The file is read first, and what it has is not run again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from pathlib import Path

import msgspec

from modserve.bench.options import some_of
from modserve.cli.sources import traced
from modserve.scheduler.costs.gpus import gpu
from modserve.scheduler.costs.models import MODELS, model
from modserve.scheduler.costs.roofline import check_divides
from modserve.scheduler.workload.arrivals import Arrival
from modserve.simulator.layout import Layout, read_layout, write_layout
from modserve.simulator.promises import Monolith, per_request
from modserve.simulator.systems import build, system
from modserve.simulator.trials import Trials

GPUS, CARD, TPS = 128, "a100", (4, 2, 1, 8)
KINDS: Mapping[str, Sequence[str]] = {
    "monolith-2024": ("all",),
    "monolith-strong": ("all",),
    "pd": ("pd",),
    "epd": ("epd",),
    "paper": ("split",),
    "modserve": ("split", "mix", "all"),
}
ABOVE = 1.05  # times the best rate so far: a challenger has to hold it
PAIRS = ((4, 4), (2, 2), (1, 1), (4, 2), (2, 4))  # GPUs of a prefill and of a decode worker
START = 40.0  # requests a second


class Won(msgspec.Struct, frozen=True):
    system: str
    model: str
    trace: str
    layout: str
    rate_req_s: float
    tried: int
    took_s: float
    command: str


def main() -> int:
    given = _arguments()
    known = _read(given.json)
    asked = _asked(given)
    for name, served in product(given.system, given.model):
        if not any(
            (one.system, one.model, one.trace) == (name, served, given.trace.name) for one in known
        ):
            known.append(_tuned(given, name, served, asked, known))
            given.json.write_bytes(
                msgspec.json.format(msgspec.json.encode(known), indent=2) + b"\n"
            )
    return 0


def _tuned(
    given: argparse.Namespace, name: str, served: str, asked: list[Arrival], known: Sequence[Won]
) -> Won:
    began = time.monotonic()
    trials = _trials(given, name, served, asked)
    rate = len(asked) / asked[-1].at_s
    best, tried = None, 0
    for layout in _candidates(name, served, known):
        tried += 1
        if best is None:
            best = trials.highest(layout, START / rate)
        elif trials.at(layout, best.scale * ABOVE).holds:
            best = trials.highest(layout, best.scale * ABOVE) or best
        told = write_layout(layout), None if best is None else best.scale * rate
        print(name, served, *told, f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    assert best is not None, "none of the candidates holds at any rate"
    return Won(
        *(name, served, given.trace.name, write_layout(best.layout), best.scale * rate, tried),
        took_s=time.monotonic() - began,
        command=f"python bench/tuning.py --system {name} --model {served} {_window(given)}",
    )


def _trials(given: argparse.Namespace, name: str, served: str, asked: list[Arrival]) -> Trials:
    spec, card = model(served), gpu(CARD)
    promised = per_request(Monolith(spec, card), given.slo_factor)
    return Trials(system(name), spec, card, asked, promised, 0.99, tolerance=ABOVE - 1)


def _candidates(name: str, served: str, known: Sequence[Won]) -> Iterator[Layout]:
    """What won elsewhere with the same model comes first: who is beaten soon costs little."""
    kinds = KINDS[name]
    told = [layout for kind in kinds for layout in LAYOUTS[kind]()]
    won = [one.layout for one in known if one.model == served and one.layout in told]
    for text in dict.fromkeys([*won, *told]):
        layout = read_layout(text)
        try:
            for part in layout:
                check_divides(model(served).language, part.tp)
            build(system(name), model(served), gpu(CARD), layout, scales=False)
        except ValueError:
            continue  # the model does not fit
        yield layout


def _all() -> Iterator[str]:
    yield from (f"all={GPUS // tp}@{tp}" for tp in TPS)


def _split() -> Iterator[str]:
    towers = [*((1, encoders) for encoders in (64, 80, 48, 96, 32)), (2, 64)]
    for text, (tower, encoders) in product((4, 2, 1), towers):
        yield f"text={(GPUS - encoders) // text}@{text},encode={encoders // tower}@{tower}"


def _mix() -> Iterator[str]:
    for whole, encoders in product((4, 2, 1), (64, 32)):
        yield f"all={(GPUS - encoders) // whole}@{whole},encode={encoders}@1"


def _pd() -> Iterator[str]:
    for (first, then), decoders in product(PAIRS, (16, 32)):
        rest = f"encode+prefill={(GPUS - decoders) // first}@{first}"
        yield f"{rest},decode={decoders // then}@{then}"


def _epd() -> Iterator[str]:
    portions = ((32, 32, 64), (32, 16, 80), (48, 32, 48))
    for (first, then), (prefills, decoders, encoders) in product(PAIRS, portions):
        text = f"prefill={prefills // first}@{first},decode={decoders // then}@{then}"
        yield f"{text},encode={encoders}@1"


LAYOUTS = {"all": _all, "split": _split, "mix": _mix, "pd": _pd, "epd": _epd}


def _asked(given: argparse.Namespace) -> list[Arrival]:
    source = traced(given.trace, 0, None, given.start, given.duration)
    return list(islice(source.begin(), given.num_prompts))


def _window(given: argparse.Namespace) -> str:
    names = ("start", "duration", "num_prompts", "slo_factor")
    told = [f"--{name.replace('_', '-')} {getattr(given, name)}" for name in names]
    return " ".join([f"--trace {given.trace.name}", *(one for one in told if "None" not in one)])


def _read(file: Path) -> list[Won]:
    return msgspec.json.decode(file.read_bytes(), type=list[Won]) if file.exists() else []


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trace", type=Path, required=True)
    parser.add_argument("--system", type=some_of(KINDS), default=list(KINDS))
    parser.add_argument("--model", type=some_of(MODELS), default=["llama3.2-11b", "internvl-26b"])
    parser.add_argument("--start")
    parser.add_argument("--duration")
    parser.add_argument("--num-prompts", type=int, default=1000)
    parser.add_argument("--slo-factor", type=float, default=5.0)
    parser.add_argument("--json", type=Path, default=Path("bench/results/tuning.json"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
