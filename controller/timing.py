"""A request's story told as seconds in each stage."""

from __future__ import annotations

from itertools import pairwise

from ..scheduler.media import ItemPhase, MediaItem
from ..scheduler.request import Phase, Request
from ..transport.messages import Timing


def timing(request: Request, received: float, first_token: float | None) -> Timing:
    """Sum what each phase took over all runs; `received` is when the Submit came in.

    Images encode while the request waits in ADMITTED, so `encode_s` is taken from the images'
    own stories: from the first that began to the last that was ready.
    """
    spent: dict[Phase, float] = {}
    for (phase, begun), (_, ended) in pairwise(request.story):
        spent[phase] = spent.get(phase, 0.0) + ended - begun
    end = request.story[-1][1]
    return Timing(
        ttft_s=None if first_token is None else first_token - received,
        total_s=end - received,
        prepare_s=request.story[0][1] - received,
        encode_s=_encoding(request.media) if request.media else 0.0,
        queue_s=spent.get(Phase.QUEUED, 0.0),
        prefill_s=spent.get(Phase.PREFILLING, 0.0),
        transfer_s=spent.get(Phase.PREFILLED, 0.0),
        decode_s=spent.get(Phase.DECODING, 0.0),
        runs=[phase for phase, _ in request.story].count(Phase.PREFILLING),
    )


def _encoding(media: list[MediaItem]) -> float:
    begun = [at for item in media if (at := item.entered(ItemPhase.ENCODING)) is not None]
    ready = [at for item in media if (at := item.entered(ItemPhase.READY)) is not None]
    return max(0.0, max(ready) - min(begun)) if begun and ready else 0.0
