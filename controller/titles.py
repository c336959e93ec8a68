"""What a model is called by those who ask for it."""

from __future__ import annotations

from pathlib import Path

TINY = ("tiny", "checkpoint")  # where the model that ships lies, in the package
MARK = "models--"  # a hub's cache: models--ORGANIZATION--NAME/snapshots/REVISION


def title_of(folder: Path) -> str:
    """A hub's id for what came from there, else the folder's name; tiny for what ships."""
    if folder.parts[-2:] == TINY:
        return TINY[0]
    if len(folder.parts) > 2 and folder.parts[-2] == "snapshots":
        repository = folder.parts[-3]
        if repository.startswith(MARK):
            return repository.removeprefix(MARK).replace("--", "/", 1)
    return folder.name
