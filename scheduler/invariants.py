"""What must hold between any two events; tests call it after every one of thousands."""

from __future__ import annotations

from collections.abc import Iterable

from .backlog import WIDTH_S, Backlog
from .binding import HERE
from .core import BOUND, Core
from .images import work_of
from .media import ItemPhase
from .request import Phase, Request


def check(core: Core) -> None:
    """Raise AssertionError where a counter, an owner or a phase contradicts the others."""
    _check_replicas(core)
    _check_requests(core)
    _check_images(core)
    _check_backlogs(core)


def _check_replicas(core: Core) -> None:
    core.replicas.check()
    for name, replica in core.replicas.items():
        replica.ledger.check()
        bound = {one.id for one in core.requests.values() if name in (one.prefill, one.decode)}
        assert replica.bound == bound == set(replica.ledger.kv_blocks.owners), replica
        assert set(replica.ledger.staging_bytes.owners) <= bound, replica
        unprefilled = [
            one
            for one in core.requests.values()
            if one.prefill == name and one.phase is Phase.PREFILLING
        ]
        assert replica.pending_tokens == sum(one.tokens for one in unprefilled), replica
        here = [one for one in core.images.embeddings.values() if one.replica == name]
        assert set(replica.ledger.store_bytes.owners) == {one.key for one in here}, replica
        assert replica.cached == {one.key: one.bytes for one in here if not one.consumers}, replica
        assert replica.cached_bytes == sum(replica.cached.values()), replica
        assert not (replica.draining and replica.cached), replica
        assert replica.images == {one.key for one in here if not one.ready}, replica
        assert replica.pending_image_tokens == sum(one.work for one in here if not one.ready)


def _check_requests(core: Core) -> None:
    for name, request in core.requests.items():
        assert request.open, request
        bound = request.phase in BOUND
        assert (request.prefill is not None) == (request.decode is not None) == bound, request
        assert (name in core.queue) == (request.phase is Phase.QUEUED), request
        for replica in (request.prefill, request.decode):
            assert replica is None or replica in core.replicas, request
    assert set(core.queue) <= set(core.requests)
    assert set(core.images.waiting) <= set(core.requests)


def _check_images(core: Core) -> None:
    assert not core.images.orphans
    for key, embedding in core.images.embeddings.items():
        assert embedding.replica in core.replicas, embedding
        assert embedding.consumers <= set(core.requests), embedding
        assert embedding.consumers or embedding.ready, embedding
        for name in embedding.consumers:
            assert any(item.key == key for item in core.requests[name].media), embedding
    for request in core.requests.values():
        unbooked = request.id in core.images.waiting
        for item in request.media:
            stored = core.images.embeddings.get(item.key)
            if unbooked:
                assert item.phase is ItemPhase.WAITING, request
            elif item.phase is ItemPhase.ENCODING:
                assert stored is not None and not stored.ready, request
            elif item.phase is ItemPhase.READY:
                assert stored is not None and stored.ready, request
            else:
                assert item.phase in HERE or request.phase in BOUND, request


def _check_backlogs(core: Core) -> None:
    waiting, everybody = core.waiting, core.requests.values()
    ready = [one for one in everybody if one.phase in (Phase.QUEUED, Phase.PREFILLING)]
    coming = [one for one in everybody if one.phase is Phase.ADMITTED]
    assert waiting.tokens == sum(one.tokens for one in (*ready, *coming))
    if waiting.ranked:
        _check_ranks(waiting.ready, ((one, one.tokens) for one in ready))
        _check_ranks(waiting.coming, ((one, one.tokens) for one in coming))
    unbooked = [core.requests[name] for name in core.images.waiting]
    _check_ranks(core.images.backlog, ((one, work_of(one)) for one in unbooked))


def _check_ranks(backlog: Backlog, held: Iterable[tuple[Request, int]]) -> None:
    """In front of each rank stands what has a lower one, or falls into its bin."""
    rows = [(request.rank // WIDTH_S, tokens) for request, tokens in held]
    assert backlog.total == sum(tokens for _, tokens in rows)
    for place in {place for place, _ in rows}:
        expected = sum(tokens for its, tokens in rows if its <= place)
        assert backlog.before(place * WIDTH_S) == expected, backlog
