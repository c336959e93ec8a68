"""What a GPU can do on paper, and which share of it a model's layers reach.

Datasheets (dense BF16, without sparsity; links counted one way, of one GPU):

- A100: NVIDIA A100 Tensor Core GPU datasheet, 80GB SXM: 312 TFLOP/s, 2,039 GB/s, NVLink 600 GB/s
  both ways together. DGX A100: one 200 Gb/s HDR InfiniBand port for each GPU.
- H100: NVIDIA H100 Tensor Core GPU datasheet, SXM: 1,979 TFLOP/s with sparsity, half of it without;
  3.35 TB/s, NVLink 900 GB/s. DGX H100: one 400 Gb/s NDR port for each GPU.
- H200: NVIDIA H200 Tensor Core GPU datasheet, SXM: an H100 with 141 GB at 4.8 TB/s.

Shares, from the profiles that Vidur (MLSys 2024, github.com/microsoft/vidur, data/profiling) took
on DGX A100 and DGX H100 with 1, 2, 4 and 8 ranks (Llama-2-7B and 70B, Llama-3-8B and 70B,
internlm-20b, phi-2), rounded:

- `products`: of the FLOP/s, in a layer's matrix products at 4,096 tokens. 0.69 to 0.81 on the A100,
  0.69 to 0.76 on the H100. Narrow ones, like a vision tower's, are no worse (phi-2's).
- `memory`: of the bandwidth while one token reads the weights: the slope over the ranks.
- `layer_s`: of one token's layer at no bytes at all, the same line's other end: some ten kernels.
- `all_reduce`, `all_reduce_s`: of the NVLink's bandwidth, and latency, of a ring of NCCL's.
- `copy`, `copy_s`: of a link's bandwidth, and latency, from one GPU to another (send_recv): 0.78 of
  the NVLink's, 0.71 of InfiniBand's between H100 servers. Its A100 servers reached 7.8 GB/s between
  each other, a third of what their ports can do, which a P99 of 5 ms for an image's embedding
  (ModServe, SoCC 2025, section 5.5) contradicts: they are taken to reach the H100s' share.
- `attention`: of the FLOP/s, in causal prefill attention: FlashAttention-2 (Dao, 2023), forward,
  head size 128, sequences of 2 to 4 thousand: about 170 TFLOP/s on the A100, 350 on the H100. Not
  out of Vidur.

An H200 has been measured by none of them: it takes the H100's shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Link(StrEnum):
    NVLINK = "nvlink"  # within a server
    INFINIBAND = "infiniband"  # between servers


@dataclass(frozen=True, slots=True)
class Reached:
    """Shares of what the datasheet promises, and seconds that no datasheet names."""

    products: float
    attention: float
    memory: float
    all_reduce: float
    copy: float
    layer_s: float  # of a layer's kernels beyond their bytes and FLOPs
    all_reduce_s: float
    copy_s: float


@dataclass(frozen=True, slots=True)
class Gpu:
    name: str
    flops: float  # per second, dense BF16
    memory_bytes: float
    bandwidth: float  # of the memory, bytes per second
    nvlink: float  # bytes per second, one way
    infiniband: float  # bytes per second, one way
    reached: Reached

    def copy_rate(self, link: Link) -> float:
        """Bytes per second that one GPU really sends to another."""
        return (self.nvlink if link is Link.NVLINK else self.infiniband) * self.reached.copy


A100_REACHED = Reached(
    products=0.72,
    attention=0.55,
    memory=0.79,
    all_reduce=0.58,
    copy=0.75,
    layer_s=38e-6,
    all_reduce_s=25e-6,
    copy_s=20e-6,
)
H100_REACHED = Reached(
    products=0.72,
    attention=0.35,
    memory=0.86,
    all_reduce=0.78,
    copy=0.75,
    layer_s=30e-6,
    all_reduce_s=25e-6,
    copy_s=20e-6,
)

GPUS: MappingProxyType[str, Gpu] = MappingProxyType(
    {
        "a100": Gpu("a100", 312e12, 80e9, 2.039e12, 300e9, 25e9, A100_REACHED),
        "h100": Gpu("h100", 989.5e12, 80e9, 3.35e12, 450e9, 50e9, H100_REACHED),
        "h200": Gpu("h200", 989.5e12, 141e9, 4.8e12, 450e9, 50e9, H100_REACHED),
    }
)


def gpu(name: str) -> Gpu:
    """ValueError, with one sentence, for a name that is none."""
    found = GPUS.get(name.lower())
    if found is None:
        raise ValueError(f"expected a GPU of {', '.join(GPUS)}, got {name!r}")
    return found
