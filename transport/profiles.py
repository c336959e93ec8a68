"""Profile files on this host: one for each component and device, or several in one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..scheduler.costs.profile import BadProfile, Profile
from ..scheduler.costs.written import read, write


class NotSaved(Exception):
    """One sentence."""


def load_profiles(path: Path) -> list[Profile]:
    """Of a file, or of all *.json in a folder; raises BadProfile, in one sentence."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise BadProfile(f"expected a profile in {path}, got an empty folder")
    return [profile for file in files for profile in _load(file)]


def save_profiles(profiles: Iterable[Profile], out: Path) -> list[Path]:
    """All in one file where `out` ends in .json, else one for each in that folder; the files.

    Raises NotSaved.
    """
    try:
        if out.suffix == ".json":
            out.write_text(write(list(profiles)), encoding="utf-8")
            return [out]
        out.mkdir(parents=True, exist_ok=True)
        files = {out / file_name(profile): write([profile]) for profile in profiles}
        for file, text in files.items():
            file.write_text(text, encoding="utf-8")
        return list(files)
    except OSError as error:
        raise NotSaved(f"cannot write {error.filename or out}: {error.strerror}") from error


def file_name(profile: Profile) -> str:
    """By what it depends on, so that a component that models share has one file."""
    told = profile.component, profile.fingerprint, profile.device, profile.dtype
    return "-".join((*told, f"tp{profile.tp}", f"{profile.threads}threads")) + ".json"


def _load(file: Path) -> list[Profile]:
    try:
        return read(file.read_bytes())
    except OSError as error:
        raise BadProfile(f"expected a profile at {file}, got {error.strerror}") from error
    except BadProfile as error:
        raise BadProfile(f"{error} in {file}") from error
