"""What `msctl status` shows: one JSON object with stable keys."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from typing import Any

import orjson

from ..scheduler.replica import Replica
from ..scheduler.request import Phase
from .crew import Member, Standing
from .office import Office


def snapshot(office: Office) -> bytes:
    workers = [_worker(office, member) for member in office.crew]
    uptime = office.now() - office.started
    body = {
        "controller": {
            "endpoint": office.router.endpoint,
            "model": str(office.options.model),
            "fingerprint": office.fingerprint,
            "pid": os.getpid(),
            "uptime_s": round(uptime, 3),
        },
        "workers": sorted(workers, key=lambda one: str(one["name"])),
        "requests": _requests(office),
        "queues": {
            "text": len(office.core.queue),
            "images": len(office.core.images.waiting),
            "preparing": len(office.preparing),
        },
        "rates": {
            "tokens_per_s": round(sum(one["tokens_per_s"] for one in workers), 2),
            "image_tokens_per_s": round(sum(one["image_tokens_per_s"] for one in workers), 2),
            "requests_per_s": round(office.tally.finished / uptime, 3) if uptime else 0.0,
        },
        "image_cache": {"asked": office.core.images.asked, "found": office.core.images.found},
        "slo_classes": list(office.attaining.promises()),
        "attainment": office.attaining.report(office.now()),
        "waiting_tokens": office.core.waiting.tokens,
        "held_image_bytes": office.held_bytes,
        "journal": office.journal.status(),
        "histograms": office.measures.report(),
    }
    return orjson.dumps(body)


def _requests(office: Office) -> dict[str, Any]:
    phases = Counter((one.phase, not one.media) for one in office.core.requests.values())
    tally = office.tally
    return {
        "open": len(office.tickets) + len(office.preparing),
        "by_phase": _by_phase(phases),
        "by_modality": {
            "text": _by_phase({one: n for one, n in phases.items() if one[1]}),
            "image": _by_phase({one: n for one, n in phases.items() if not one[1]}),
        },
        "finished": tally.finished,
        "failed": tally.failed,
        "cancelled": tally.cancelled,
        "rejected": tally.rejected,
        "degraded": office.core.degraded,
        "tokens": tally.tokens,
        "ends": dict(sorted(office.measures.ends.items())),
    }


def _by_phase(counts: Mapping[tuple[Phase, bool], int]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for (phase, _), count in counts.items():
        found[phase.name.lower()] += count
    return dict(sorted(found.items()))


def _worker(office: Office, member: Member) -> dict[str, Any]:
    replica = office.core.replicas.get(member.name)
    beat, ready = member.beat, member.ready
    return {
        "name": member.name,
        "stages": sorted(member.stages),
        "state": _state(member, replica),
        "loaded": _loaded(member),
        "pid": member.hello.pid,
        "host": member.hello.host,
        "device": member.hello.device,
        "dtype": ready.dtype if ready else None,
        "threads": member.threads,
        "log": member.hello.log,
        "heard_s_ago": round(office.now() - member.heard, 3),
        "kv_blocks": ready.kv_blocks if ready else 0,
        "kv_blocks_used": beat.kv_blocks_used,
        "kv_blocks_cached": beat.kv_blocks_cached,
        "prefix_tokens": beat.prefix_tokens,
        "prefix_hit_tokens": beat.prefix_hit_tokens,
        "kv_blocks_booked": replica.ledger.kv_blocks.booked if replica else 0,
        "store_bytes": ready.store_bytes if ready else 0,
        "store_bytes_used": beat.store_bytes_used,
        "store_bytes_cached": replica.cached_bytes if replica else 0,
        "store_bytes_booked": replica.ledger.store_bytes.booked if replica else 0,
        "staging_bytes": ready.staging_bytes if ready else 0,
        "staging_bytes_used": beat.staging_bytes_used,
        "staging_bytes_booked": replica.ledger.staging_bytes.booked if replica else 0,
        "pending_tokens": replica.pending_tokens if replica else 0,
        "pending_image_tokens": replica.pending_image_tokens if replica else 0,
        "running": beat.running,
        "waiting": beat.waiting,
        "links": beat.links,
        "quarantined_bytes": beat.quarantined_bytes,
        "resident_bytes": beat.resident_bytes,
        "tokens": beat.tokens,
        "image_tokens": beat.image_tokens,
        "tokens_per_s": round(member.rate(lambda beat: beat.tokens) or 0.0, 2),
        "image_tokens_per_s": round(member.rate(lambda beat: beat.image_tokens) or 0.0, 2),
        "image_token_s": beat.image_token_s,
        "prompt_token_s": beat.prompt_token_s,
        "decode_s": beat.decode_s,
        "busy": round(member.busy or 0.0, 2),
    }


def _state(member: Member, replica: Replica | None) -> str:
    if member.standing is Standing.LOADING:
        return "loading"
    if member.standing is Standing.LEAVING:
        return "draining"
    if member.standing is Standing.SWITCHING or (replica is not None and replica.becomes):
        return "switching"
    return "late" if replica is None or replica.late else "ready"


def _loaded(member: Member) -> float:
    """The share of the weights that is in memory."""
    if member.standing is not Standing.LOADING:
        return 1.0
    done = member.loading
    return round(done.done_bytes / max(1, done.total_bytes), 3) if done else 0.0
