"""One step of a board that follows a channel, as far as it has come."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import urljoin

from edge.bundles.bundle import open_bundle
from edge.bundles.registry import find_installed
from edge.errors import BundleError, ChannelError, EdgeError, SelfTestError
from edge.files import check_room, shown_name, writing
from edge.fleet.channel import Channel, Release
from edge.fleet.choosing import Choice, choose
from edge.fleet.clock import Reading
from edge.fleet.package import inspect
from edge.fleet.rings import Board
from edge.fleet.state import FollowState, read_state, state_file, timestamp, write_state
from edge.fleet.transitions import failed, labels_of, repaired, resting
from edge.fleet.trusting import accept
from edge.fleet.watching import watch
from edge.progress import Progress
from edge.updates.download import Limits, download, read_small, shown
from edge.updates.install import activate

__all__ = ["DOWNLOADS", "Step"]

DOWNLOADS: Final = "downloads"
_MOST_BYTES: Final = 1_000_000
"""Of a channel's file."""
_NOTE_EVERY_S: Final = 2.0


@dataclass(slots=True, kw_only=True)
class Step:
    """One step. The folder's lock is held, and ``state`` is that of a board that never followed."""

    url: str
    configured: tuple[str, ...]
    board: Board
    folder: Path
    bundle_key: Path | None
    backend: str
    limits: Limits
    progress: Progress
    on_change: Callable[[FollowState], None]
    clock: Callable[[], datetime]
    state: FollowState
    has_noted: bool = False
    """Whether the state's file was written by this step: if it is gone then, somebody removes what is here."""

    def run(self, *, retries_bad: bool) -> FollowState:
        """Do all of it; what goes wrong is noted in the state and raised."""
        self._tidy()
        before = read_state(self.folder)
        state = repaired(before or self.state, self.board, self._in_use(before), self.clock())
        if retries_bad:
            state = replace(state, bad=(), passed_over=None)
        self._note(replace(state, checked=timestamp(self.clock())))
        try:
            if state.phase == "watching":
                self._watch()
            self._advance(*self._read())
        except EdgeError as error:
            with contextlib.suppress(EdgeError):  # a full disk, for example: what went wrong first counts
                self._note(failed(self.state, error, self.clock()))
            raise
        return self.state

    def _tidy(self) -> None:
        """Remove what a killed step left half-written."""
        for path in self.folder.glob(f".{state_file(self.folder).name}.*"):
            path.unlink(missing_ok=True)

    def _note(self, state: FollowState) -> None:
        if self.has_noted:
            self._check_there()
        self.state = state
        write_state(state, self.folder)
        self.has_noted = True
        self.on_change(state)

    def _check_there(self) -> None:
        if not state_file(self.folder).exists():
            raise ChannelError(f"{self.folder} was removed on the way: nothing more is done.")

    def _in_use(self, state: FollowState | None, name: str | None = None) -> tuple[str | None, str | None]:
        """The version in use and the one before, of the channel's bundle."""
        name = name or (state.bundle if state is not None else None)
        with contextlib.suppress(BundleError):  # its note is damaged: installing writes it again
            installed = find_installed(name, (self.folder / "bundles",)) if name else None
            return (installed.active, installed.previous) if installed else (None, None)
        return None, None

    def _watch(self) -> None:
        self._note(
            watch(
                self.state,
                bundles=self.folder / "bundles",
                key=self.bundle_key,
                backend=self.backend,
                now=self.clock(),
            )
        )

    def _read(self) -> tuple[Channel, Reading]:
        """The channel, if this board may act on it; remembered, so that nothing older is accepted any more."""
        file = read_small(self.url, max_bytes=_MOST_BYTES, limits=self.limits)
        channel, trust, reading = accept(
            file.content,
            self.url,
            f"Channel file {shown(self.url)}",
            configured=self.configured,
            state=self.state,
            local=self.clock(),
            server=file.date,
        )
        state = replace(self.state, channel=channel.name, serial=channel.serial, expires=channel.expires, trust=trust)
        if channel.releases and (name := channel.releases[-1].bundle_name) != state.bundle:
            installed, previous = self._in_use(state, name)  # and what was watched is watched no more
            state = replace(state, bundle=name, installed=installed, previous=previous, passed_over=None)
            state = state.in_phase("idle", self.clock())
        if state != self.state:
            self._note(state)
        return channel, reading

    def _advance(self, channel: Channel, reading: Reading) -> None:
        """Install what is meant for this board, or say what it waits for."""
        choice = choose(
            channel,
            self.board,
            installed=self.state.installed,
            bad=self.state.bad_versions,
            passed_over=self.state.passed_over,
            now=reading.earliest,
        )
        latest = choice.latest.version if choice.latest else None
        state = replace(self.state, latest=latest, ring=choice.ring, labels=labels_of(channel, self.state, latest))
        if state.phase == "watching" and not choice.is_older:  # one after the other, unless this one is withdrawn
            self._note_if_new(replace(state, error=choice.waits_for if choice.is_withdrawn else reading.remark))
        elif choice.release is None:
            self._note_if_new(resting(state, choice, reading.remark, self.clock()))
            self._clear_downloads(latest)
        else:
            self.state = state
            self._install(choice.release, choice)

    def _note_if_new(self, state: FollowState) -> None:
        if state != self.state:
            self._note(state)

    def _install(self, release: Release, choice: Choice) -> None:
        """Fetch, test and activate a release."""
        now = self.clock()
        self._clear_downloads(release.version)
        is_back = choice.is_older
        self._note(self.state.in_phase("downloading", now, target=release.version, progress=0.0))
        source = self._kept(release) or self._fetch(release)
        gate = None if is_back else release.gate
        self._note(self.state.in_phase("testing", self.clock(), target=release.version, gate=gate))
        self._check_there()
        try:
            activation = activate(
                str(source),
                key=self.bundle_key,
                allow_older=is_back,
                backend=self.backend,
                folder=self.folder / "bundles",
            )
        except (SelfTestError, BundleError) as error:
            self._refuse(release, error)
        installed = activation.installed
        state = replace(self.state, installed=installed.active, previous=installed.previous, passed_over=None)
        self._note(state.in_phase("idle" if is_back else "watching", self.clock(), gate=gate))
        self._clear_downloads(None)

    def _kept(self, release: Release) -> Path | None:
        """Where the release is already, as the version before; None if it is not, or is damaged."""
        if release.version != self.state.previous:
            return None
        kept = self.folder / "bundles" / release.bundle_name / "versions" / release.version
        with contextlib.suppress(BundleError):
            return open_bundle(kept).root
        return None

    def _fetch(self, release: Release) -> Path:
        place = self._download_of(release)
        with writing(place.parent):
            place.parent.mkdir(mode=0o755, exist_ok=True)
        here = sum(path.stat().st_size for path in place.parent.glob(f"*{release.version}*"))
        check_room(place, release.size_bytes - here + release.installed_bytes + self.limits.spare_bytes)
        noted = time.monotonic()

        def step(stage: str, share: float) -> None:
            nonlocal noted
            self.progress(stage, share)
            if time.monotonic() - noted >= _NOTE_EVERY_S:
                noted = time.monotonic()
                self._note(replace(self.state, progress=round(share, 3)))

        download(
            urljoin(self.url, release.url),
            place,
            expected_sha256=release.sha256,
            expected_bytes=release.size_bytes,
            limits=self.limits,
            progress=step,
        )
        try:
            found = inspect(place)
        except BundleError as error:
            self._refuse(release, error)
        if (found.bundle_name, found.version) != (release.bundle_name, release.version):
            self._refuse(
                release,
                BundleError(
                    f"{shown_name(place.name)} holds version {found.version} of bundle {found.bundle_name}, and the "
                    f"channel says {release.version} of {release.bundle_name}: publish it again."
                ),
            )
        return place

    def _refuse(self, release: Release, error: EdgeError) -> NoReturn:
        """Remember a release as bad before it was ever in use."""
        self.state = self.state.with_bad(release.version, str(error), self.clock(), was_in_use=False)
        self._download_of(release).unlink(missing_ok=True)
        raise error

    def _download_of(self, release: Release) -> Path:
        return self.folder / DOWNLOADS / f"{release.version}.zip"

    def _clear_downloads(self, version: str | None) -> None:
        """Remove what was fetched, but for one version."""
        for path in (self.folder / DOWNLOADS).glob("*"):
            if version is None or version not in path.name:
                path.unlink(missing_ok=True)
