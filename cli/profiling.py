"""profile: how long each component of a model takes on this host, by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer

from ..scheduler.costs.profile import Profile
from ..scheduler.costs.written import write
from ..transport.profiles import save_profiles
from ..transport.state import profiles_folder
from .controlling import model_folder
from .options import Json
from .plots import NotDrawn, check_plot
from .printing import console
from .workers import device_of


def add(app: typer.Typer) -> None:
    app.command(epilog="Example: msctl profile --model tiny --threads 1 --plot profile.png")(
        profile
    )


def profile(
    model: Annotated[
        str, typer.Option(metavar="PATH_OR_ID", help="As `msctl start-controller` takes it.")
    ],
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="cpu, cuda:N or auto: a GPU where there is one.")
    ] = "auto",
    threads: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="CPU threads; as many as the workers will have. 0: as many as there are cores.",
        ),
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|DIR",
            help="One NAME.json for all, or a folder with a file for each component; by default "
            "this user's folder of profiles.",
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer points, and seconds instead of minutes.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw what was measured and predicted.")
    ] = None,
    json: Json = False,
) -> None:
    """Measure preprocessing, encode, prefill and decode of a model, each alone, on this host.

    Fits what a batch of each takes, shows how far predictions are from points that the fit has not
    seen, and writes a profile for each component. Nothing else should use the machine meanwhile.
    """
    from .measuring import measure  # it takes a moment to import

    if plot is not None:
        check_plot(plot)
    where = profiles_folder() if out is None else out
    _check_out(where)
    folder = model_folder(model)
    options = {
        "model": str(folder),
        "name": Path(model).name or folder.name,  # not that of a hub's snapshot
        "device": device_of(None, device),
        "threads": threads,
        "quick": quick,
    }
    profiles = measure(options)
    files = save_profiles(profiles, where)
    if plot is not None:
        _draw(profiles, plot)
    _print(profiles, files, as_json=json)


def _print(profiles: list[Profile], files: list[Path], *, as_json: bool) -> None:
    from .profile_tables import show

    if as_json:
        told = {**orjson.loads(write(profiles)), "files": [str(file) for file in files]}
        print(orjson.dumps(told).decode(), flush=True)
        return
    show(profiles, console())
    for file in files:
        print(f"profile {file}")


def _check_out(out: Path) -> None:
    """Before minutes are spent on measuring."""
    if out.suffix == ".json" and not out.absolute().parent.is_dir():
        raise typer.BadParameter(f"expected a folder for {out}, got none")
    if out.suffix != ".json" and out.exists() and not out.is_dir():
        raise typer.BadParameter(f"expected NAME.json or a folder, got {out}")


def _draw(profiles: list[Profile], plot: Path) -> None:
    from .profile_plot import draw

    try:
        draw(profiles, plot)
    except OSError as error:
        raise NotDrawn(f"cannot write {plot}: {error.strerror}") from error
