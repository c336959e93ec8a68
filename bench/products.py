"""The matrix products of a decode step: plain, packed, and queries, keys and values as one.

    python bench/products.py [--threads N]

Sizes are those of bench/checkpoint.py's model, weights are random and as many as its layers, so
that no cache holds them. The figures behind worker/text/packing.py and fusing.py.
"""

from __future__ import annotations

import argparse
import os
import sys
from statistics import median

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from modserve.bench import checkpoint
from modserve.bench.machine import seconds
from modserve.worker.text.packing import PackedLinear

CPU = torch.device("cpu")
WIDTH, INNER = checkpoint.SIZES["hidden_size"], checkpoint.SIZES["intermediate_size"]
LAYERS = checkpoint.SIZES["num_hidden_layers"]
KV = WIDTH // checkpoint.SIZES["num_attention_heads"] * checkpoint.SIZES["num_key_value_heads"]
PRODUCTS = {  # rows of weight by their input, each as often as a step has it
    "queries, keys, values apart": ([WIDTH, KV, KV], WIDTH, LAYERS),
    "queries, keys, values as one": ([WIDTH + 2 * KV], WIDTH, LAYERS),
    "gate": ([INNER], WIDTH, LAYERS),
    "down": ([WIDTH], INNER, LAYERS),
    "head": ([checkpoint.VOCABULARY], WIDTH, 1),
}
ROWS = (1, 8, 16, 32, 64, 128)
ROUNDS = 7


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    torch.set_num_threads(parser.parse_args().threads)
    table = Table("ms a step", *(f"{rows} rows" for rows in ROWS), title="plain / packed")
    with torch.inference_mode():
        for name, (outs, width, layers) in PRODUCTS.items():
            plain = [nn.Linear(width, out, bias=False) for _ in range(layers) for out in outs]
            packed = [PackedLinear(linear) for linear in plain]
            cells = []
            for count in ROWS:
                rows = torch.randn(1, count, width)
                cells.append(" / ".join(f"{_ms(ways, rows):.1f}" for ways in (plain, packed)))
            table.add_row(name, *cells)
    Console(width=None if sys.stdout.isatty() else 130).print(table)
    return 0


def _ms(linears: list[nn.Linear] | list[PackedLinear], rows: Tensor) -> float:
    """All of them, one after another: median of rounds, the first one left out."""

    def multiply() -> None:
        for linear in linears:
            linear(rows)

    return 1000 * median([seconds(multiply, CPU) for _ in range(ROUNDS + 1)][1:])


if __name__ == "__main__":
    sys.exit(main())
