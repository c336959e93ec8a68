"""demo: the whole of it on this machine, in less than a minute."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from ..client import Answer, Client
from .cluster import Cluster, wait_for
from .plots import check_plot
from .printing import console
from .shares import WIDTH_WITH_BAR, table_of
from .termination import interrupted_by_sigterm

PICTURES = Path(__file__).parents[1] / "examples"
STAGES = ("encode", "prefill", "decode")


@dataclass(frozen=True)
class Asked:
    """A question whose answer is known: as in examples/README.md."""

    question: str
    images: tuple[str, ...]
    answer: str


REQUESTS = (
    Asked("Hello", (), "Hello! Send me an image and ask me about it."),
    Asked("What is this?", ("seven.png",), "This is the digit 7."),
    Asked("Which number is shown?", ("three.jpg",), "This is the digit 3."),
    Asked("How many circles are there?", ("shapes.png",), "There are 2 circles."),
    Asked("Where is the blue square?", ("shapes.png",), "The blue square is at the top right."),
    Asked(
        "Are the two digits the same?",
        ("seven.png", "also-seven.jpg"),
        "The first is 7 and the second is 7, so they are the same.",
    ),
    Asked(
        "Describe the second image.",
        ("shapes.png", "circles.jpg"),
        "The second image shows a green circle, a yellow triangle, a green circle and a green "
        "circle.",
    ),
    Asked("What is the capital of France?", (), "The capital of France is Paris."),
)


def add(app: typer.Typer) -> None:
    app.command(epilog="Example: msctl demo --burst")(demo)


def demo(
    burst: Annotated[
        bool,
        typer.Option(
            "--burst",
            help="Traffic that comes in bursts instead, for two minutes and a half: workers are "
            "launched and drained with it. Ends with a table and a plot.",
        ),
    ] = False,
    switch: Annotated[
        bool,
        typer.Option(
            "--switch", help="With --burst: launch nobody, let workers change their stages."
        ),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="PNG",
            help="With --burst: where the plot goes.",
            show_default="modserve-burst.png in this folder",
        ),
    ] = None,
) -> None:
    """Start a controller and a worker for each stage, show them pictures, stop them again."""
    if burst:
        _burst(plot or Path("modserve-burst.png"), only_switch=switch)
        return
    if switch or plot is not None:
        option = "--switch" if switch else "--plot"
        raise typer.BadParameter(f"expected --burst with {option}, got none")
    out = console()
    begun = time.monotonic()
    with interrupted_by_sigterm():
        right = _show(out)
    out.print(
        f"\n{right} of {len(REQUESTS)} answers are right, in {time.monotonic() - begun:.0f} s."
    )
    _show_next(out)
    if right < len(REQUESTS):
        raise typer.Exit(1)


def _burst(plot: Path, *, only_switch: bool) -> None:
    from .bursting.demo import LAUNCHING, SWITCHING_ONLY, conclude, show  # takes a moment to import
    from .bursting.story import Story

    check_plot(plot)
    out, story = console(), Story(())
    try:
        with interrupted_by_sigterm():
            show(SWITCHING_ONLY if only_switch else LAUNCHING, story, out)
    except KeyboardInterrupt:  # what was seen until then is shown
        if story.records:
            conclude(story, plot, out)
        raise typer.Exit(130) from None
    conclude(story, plot, out)
    if story.failed:
        raise typer.Exit(1)


def _show(out: Console) -> int:
    out.print("[bold]ModServe[/]: one controller, and one process for each stage\n")
    with Cluster("tiny") as cluster:
        _start_workers(cluster, out)
        with Client(cluster.endpoint) as client:
            out.print()
            answers = [_ask(client, asked, out) for asked in REQUESTS]
        _show_shares(answers, out)
        out.print("\n[dim]ending the four processes[/]")
    return sum(answer.text == asked.answer for asked, answer in zip(REQUESTS, answers, strict=True))


def _start_workers(cluster: Cluster, out: Console) -> None:
    out.print(f"  controller   pid {cluster.pid:<8} {cluster.endpoint}")
    begun = time.monotonic()
    launches = [cluster.launch(stage) for stage in STAGES]
    with out.status("the workers load the model and warm up"):
        for launch in launches:
            joined = wait_for(launch)
            took = time.monotonic() - begun
            out.print(f"  {joined.name:<12} pid {joined.pid:<8} ready after {took:.1f} s")


def _ask(client: Client, asked: Asked, out: Console) -> Answer:
    """Print the question, then the answer as it comes, then whether it is right."""
    pictures = [(f"  {name}", "cyan") for name in asked.images]
    out.print(Text.assemble((f"  {asked.question}", "bold"), *pictures))
    out.print("    ", end="")
    stream = client.stream(
        asked.question, images=[PICTURES / name for name in asked.images], max_tokens=64
    )
    for chunk in stream:
        out.print(chunk.text, end="", markup=False)
        sys.stdout.flush()
    answer = stream.answer
    right = answer.text == asked.answer
    verdict = Text("  ✓", "green") if right else Text(f"  ✗ expected: {asked.answer}", "red")
    out.print(verdict)
    return answer


def _show_shares(answers: list[Answer], out: Console) -> None:
    rows = [
        (asked.question, answer.timing)
        for asked, answer in zip(REQUESTS, answers, strict=True)
        if answer.timing is not None
    ]
    out.print("\n[bold]Where the time went[/]: each stage's share of each request\n")
    out.print(table_of(rows, with_bar=out.is_terminal and out.width >= WIDTH_WITH_BAR))


def _show_next(out: Console) -> None:
    """What a newcomer types next."""
    out.print("\nYour own: [bold]msctl start-controller[/], and in another terminal")
    out.print("  msctl add-worker --stage all")
    out.print('  msctl generate "What is this?" --image YOURS.png', markup=False)
