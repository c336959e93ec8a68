"""What the books of a core say about a request that comes now: when its first token would be."""

from __future__ import annotations

from math import inf

from .draining import Draining
from .images import Images
from .media import MediaItem
from .nearness import Nearness
from .predicting import Ahead, FirstToken, first_token
from .queueing import OrderedQueue
from .replicas import Replicas
from .request import Request
from .routing import transfer_s
from .stage import Stage
from .waiting import Waiting

MOST_SLOWER = 20.0  # than the speeds say: a queue that stood still for a moment is no verdict


class Outlook:
    """Reads sums that are there anyway, and a few replicas; never the queue."""

    def __init__(
        self,
        replicas: Replicas,
        images: Images,
        nearness: Nearness,
        waiting: Waiting,
        queue: OrderedQueue,
    ) -> None:
        """`queue`: of requests that wait for room."""
        self._replicas, self._images, self._nearness = replicas, images, nearness
        self._waiting, self._queue = waiting, queue
        self._draining = Draining()

    def tick(self, now: float) -> None:
        self._draining.see(len(self._queue), self._waiting.served, now)

    def first_token(self, request: Request, rank: float) -> FirstToken | None:
        """If it came now and had this rank; None where a speed that it needs is not known."""
        embeddings = self._images.embeddings
        fresh = {one.key: one.work for one in request.media if one.key not in embeddings}
        ahead = self._ahead(request, rank)
        if ahead is None:
            return None
        return first_token(
            list(fresh.values()),
            request.tokens - self._known(request),
            ahead,
            self._replicas.likely(Stage.ENCODE, len(fresh)) if fresh else (),
            self._replicas.likely(Stage.PREFILL, 1),
            self._arrives_s(request.media),
        )

    def _known(self, request: Request) -> int:
        """Tokens of its beginning that some replica has."""
        if not request.beginnings:
            return 0
        near = self._nearness.of(request, self._images.terms.block_size)
        return max((one.known_tokens for one in near.values()), default=0)

    def _ahead(self, request: Request, rank: float) -> Ahead | None:
        rates, unbound = self._replicas.rates.of, bool(self._queue)
        tokens_s = rates[Stage.PREFILL].tokens_s
        if not tokens_s:
            return None
        tokens = self._waiting.ready.before(rank)
        if not request.media:
            return Ahead(0.0, 0.0, self._prefilled_s(tokens, tokens_s), unbound)
        image_tokens = self._images.backlog.before(rank)
        image_s = image_tokens / (rates[Stage.ENCODE].tokens_s or inf)
        coming = self._waiting.coming.before(rank)
        shared_s = max(self._shared_s(item) for item in request.media)
        prompt_s = self._prefilled_s(tokens + coming, tokens_s)
        return Ahead(image_s, shared_s, prompt_s, unbound or coming > 0)

    def _shared_s(self, item: MediaItem) -> float:
        """Until an image is there that somebody else has encoded, or is having encoded."""
        embedding = self._images.embeddings.get(item.key)
        if embedding is None or embedding.ready:
            return 0.0
        replica = self._replicas[embedding.replica]
        return replica.pending_image_tokens * replica.speed.image_token_s

    def _prefilled_s(self, tokens: int, tokens_s: float) -> float:
        seen = self._draining.tokens_s
        if seen is None or not tokens:
            return tokens / tokens_s
        return tokens / min(tokens_s, max(seen, tokens_s / MOST_SLOWER))

    def _arrives_s(self, media: list[MediaItem]) -> float:
        rows = sum(one.rows for one in media)
        return transfer_s(rows * self._images.terms.staging_row_bytes)
