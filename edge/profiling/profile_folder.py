"""A folder of published profiles, one for each kind of board, for any static host; and finding one's own in it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from edge.bundles.bundle import Bundle
from edge.errors import ProfileError, UnequalBoardError
from edge.files import sha256_of, write_atomically, writing
from edge.json_files import read_json, to_json
from edge.locks import locked
from edge.profiling.conditions import Conditions, conditions_of
from edge.profiling.profile import LatencyProfile, load_profile
from edge.typed_json import from_json
from edge.updates.download import Limits, download, shown

__all__ = ["INDEX", "find_equal", "publish"]

INDEX: Final = "index.json"
"""The list of a folder's profiles, for those who cannot list the folder itself."""
_SCHEMA_VERSION: Final = 1
_LIMITS: Final = Limits(max_bytes=8_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One profile of a folder."""

    file: str
    sha256: str
    host: str
    created: str
    conditions: Conditions

    def __post_init__(self) -> None:
        if Path(self.file).name != self.file or not self.file.endswith(".json"):
            raise ProfileError(f"file is {self.file!r}: expected the name of a .json file")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Index:
    """What a folder has."""

    profiles: tuple[_Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A profile that may be of an equal board."""

    conditions: Conditions
    host: str
    where: str
    load: Callable[[], LatencyProfile]


def publish(profile: LatencyProfile, bundle: Bundle, folder: Path, *, host: str) -> Path:
    """Put this board's profile into a folder for its equals, in place of an older one of its kind.

    Args:
        profile: A valid profile that was measured on this board.
        bundle: The bundle that was measured.
        folder: Is made if it is not there; its ``index.json`` is written last.
        host: What this board is called.

    Returns:
        The profile's file.

    Raises:
        ProfileError: The profile is not valid, lacks variants, or is not this board's own measurement.
        OutputError: The folder cannot be written.
    """
    if not profile.valid:
        raise ProfileError(f"A profile that is not valid is not published: {profile.objections[0]}")
    if profile.equal is not None or profile.source is not None:
        raise ProfileError("Only what was measured on this board is published, and this profile comes from elsewhere.")
    conditions = conditions_of(profile, bundle)
    lacking = [entry.variant.name for entry in bundle.variants if profile.find(entry.variant) is None]
    if lacking:
        raise ProfileError(f"The profile lacks {lacking[0]}, and is not published: measure all variants.")
    threads = profile.threads or "auto"
    name = f"{conditions.board}--{bundle.name[:80]}--{profile.backend}-{threads}--{conditions.key}.json"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    path = folder / name.replace("/", "-")
    with locked(folder / ".lock", lambda: None):
        replace(profile, host=host).save(path)
        others = {} if not (folder / INDEX).exists() else {one.file: one for one in _read(folder / INDEX).profiles}
        others[path.name] = _Entry(
            file=path.name, sha256=sha256_of(path), host=host, created=profile.created, conditions=conditions
        )
        there = [asdict(one) for name, one in sorted(others.items()) if (folder / name).is_file()]
        write_atomically(folder / INDEX, to_json({"schema_version": _SCHEMA_VERSION, "profiles": there}))
    return path


def find_equal(place: str, here: Conditions, bundle: Bundle) -> tuple[LatencyProfile, str, str]:
    """The profile of an equal of this board.

    Args:
        place: A profile, or a folder of them: a path, or ``https://...``. What does not end in ``.json`` is a folder.
        here: This board.
        bundle: The bundle that was measured.

    Returns:
        The profile, the name of the board that was measured, and the file or address.

    Raises:
        UnequalBoardError: There is none of an equal board; the message says how the nearest one differs.
        ProfileError: A file is missing or damaged.
        DownloadError: A file cannot be fetched.
    """
    with tempfile.TemporaryDirectory(prefix="mobilenet-edge-") as scratch:
        candidates = list(_candidates(place, bundle, Path(scratch)))
        if not candidates:
            raise UnequalBoardError(f"{shown(place)} holds no profile: edge profile --publish FOLDER writes one.")
        best = min(candidates, key=lambda one: len(here.differences(one.conditions, one.host)))
        profile = best.load()
        differing = here.differences(best.conditions, best.host)
        differing = differing or here.differences(conditions_of(profile, bundle), best.host)  # an index may be wrong
    if differing:
        nearest = "it is" if len(candidates) == 1 else f"of {len(candidates)}, the nearest is"
        message = f"{shown(place)} holds no profile of an equal board, {nearest} {best.host}'s: {'; '.join(differing)}."
        raise UnequalBoardError(message)
    if profile.equal is not None:
        chain = f"was itself taken from {profile.equal.host}"
        raise ProfileError(f"{best.where} {chain}: expected that board's own profile.")
    if not profile.valid or profile.source is not None:
        doubt = f"figures of {profile.source}" if profile.source else f"not valid: {profile.objections[0]}"
        raise ProfileError(f"{best.where} is no measurement to rely on ({doubt}).")
    return profile, best.host, best.where


def _candidates(place: str, bundle: Bundle, scratch: Path) -> Iterator[_Candidate]:
    """What is in a folder or a file; the files behind an index are fetched when they are loaded."""
    is_file = place.partition("?")[0].endswith(".json")
    if "://" not in place:
        paths = [Path(place)] if not Path(place).is_dir() else sorted(Path(place).glob("[!.]*.json"))
        for path in paths:
            if path.name != INDEX:
                yield _candidate(load_profile(path), bundle, str(path), path.name)
    elif is_file:
        path = download(place, scratch / "profile.json", limits=_LIMITS)
        yield _candidate(_named(path, shown(place)), bundle, shown(place), "another board")
    else:
        folder = place.rstrip("/")
        index = _read(download(f"{folder}/{INDEX}", scratch / INDEX, limits=_LIMITS))
        for entry in index.profiles:
            address = f"{folder}/{entry.file}"
            load = partial(_fetch, address, scratch / entry.file, entry.sha256)
            yield _Candidate(conditions=entry.conditions, host=entry.host, where=shown(address), load=load)


def _candidate(profile: LatencyProfile, bundle: Bundle, where: str, name: str) -> _Candidate:
    conditions = conditions_of(profile, bundle)
    return _Candidate(conditions=conditions, host=profile.host or name, where=where, load=lambda: profile)


def _fetch(address: str, to: Path, sha256: str) -> LatencyProfile:
    return _named(download(address, to, expected_sha256=sha256, limits=_LIMITS), shown(address))


def _named(path: Path, where: str) -> LatencyProfile:
    """A profile that was fetched to ``path``; errors name where it came from."""
    try:
        return load_profile(path)
    except ProfileError as reason:
        raise ProfileError(str(reason).replace(str(path), where)) from reason


def _read(path: Path) -> _Index:
    """A folder's list.

    Raises:
        ProfileError: It is missing, damaged or of another version.
    """
    values = read_json(path, "list of profiles", ProfileError)
    version = values.pop("schema_version", None)
    if version != _SCHEMA_VERSION:
        raise ProfileError(f"The list of profiles has schema {version!r}, this version reads {_SCHEMA_VERSION}.")
    try:
        return from_json(_Index, values)
    except KeyError as reason:
        raise ProfileError(f"The list of profiles lacks {reason}: publish the profiles again.") from reason
    except (TypeError, ValueError) as reason:
        cause = str(reason).rstrip(".")
        raise ProfileError(f"The list of profiles cannot be used: {cause}. Publish the profiles again.") from reason
