"""What the person sees: a line for everything that happens, what is going on now, a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .phases import phase_at
from .story import Row, Sample, Story

KINDS = {"scaling": "cyan", "joined": "green", "left": "yellow", "lost": "red", "given-up": "red"}


@contextmanager
def progress(story: Story, out: Console) -> Iterator[Callable[[Story, Sample], None]]:
    """Events as they happen; on a terminal with what is going on below them."""
    told = 0

    def look(story: Story, now: Sample) -> None:
        nonlocal told
        for one in story.told[told:]:
            if one.event.kind in KINDS:
                out.print(_line(one.at_s, one.event.sentence, KINDS[one.event.kind]))
        told = len(story.told)
        if live is not None:
            live.update(_now(story, now))

    live = Live(console=out, transient=True) if out.is_terminal else None
    if live is None:
        yield look
    else:
        with live:
            yield look


def _line(at_s: float, sentence: str, colour: str) -> Text:
    return Text.assemble(f"{at_s:6.1f} s  ", (sentence, colour))


def _now(story: Story, now: Sample) -> Group:
    number = phase_at(story.plan, now.at_s)
    phase, total_s = story.plan[number], sum(one.seconds for one in story.plan)
    share = story.lately(now.at_s)
    serving = "  ".join(f"{count} {role}" for role, count in sorted(now.serving.items()))
    coming = f", {now.coming} coming or going" if now.coming else ""
    table = Table.grid(padding=(0, 3))
    table.add_row("now", Text(phase.name, "bold red" if "burst" in phase.name else "bold"))
    rates = phase.rates
    table.add_row("load", f"{rates.image:.1f} image, {rates.text:.1f} text requests/s")
    table.add_row("workers", f"{serving}{coming}")
    table.add_row("in time", "-" if share is None else f"{share:.0%} of the last 10 s")
    table.add_row("open", f"{now.open} requests")
    return Group("", table, ProgressBar(total=total_s, completed=now.at_s, width=60))


def summary(story: Story) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    table.add_column("phase", no_wrap=True)
    headings = (
        "s",
        "image/s",
        "text/s",
        "sent",
        "failed",
        "in time",
        "TTFT p50",
        "p99",
        "cores",
    )
    for heading in (*headings, "encode", "text"):
        table.add_column(heading, no_wrap=True, justify="right")
    for row in story.rows():
        table.add_row(*_cells(row))
    return table


def _cells(row: Row) -> Iterator[str]:
    yield row.phase.name
    yield f"{row.phase.seconds:.0f}"
    yield f"{row.phase.rates.image:.1f}"
    yield f"{row.phase.rates.text:.1f}"
    yield str(row.sent)
    yield str(row.failed)
    yield "-" if row.attainment is None else f"{row.attainment:.1%}"
    for at in (0, 1):
        yield "-" if row.ttft_ms is None else f"{row.ttft_ms[at]:.0f} ms"
    yield "-" if row.cores is None else f"{row.cores:.1f}"
    for role in ("encode", "text"):
        yield _span(row, role)


def _span(row: Row, role: str) -> str:
    """Workers of that role: the fewest to the most, or the one number."""
    least, most = row.workers.get(role, (0, 0))
    return f"{least}" if least == most else f"{least}-{most}"
