"""Checks of what this package keeps on the machine: bundles, profiles, the service, the channel; and of the clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Final

from edge.bundles.registry import bundles_folders, installed_bundles
from edge.doctor.environment import Surroundings
from edge.doctor.finding import Finding, ok, problem, warning
from edge.errors import EdgeError
from edge.fleet.state import find_state
from edge.fleet.timestamps import parse_time
from edge.paths import found_in

__all__ = ["bundles", "channel", "clock", "profiles", "service"]

_RELEASED: Final = datetime(2026, 11, 1, tzinfo=timezone.utc)
"""No right clock tells an earlier time to this version."""


def bundles(around: Surroundings) -> Iterator[Finding]:
    """The bundle ``demo`` and those in use by name are whole, and each variant gives its golden answers here."""
    if around.import_check("numpy") or around.import_check("cv2"):
        return  # which is reported already
    installed = []
    try:
        installed = [one.name for one in installed_bundles(bundles_folders()) if one.active is not None]
    except EdgeError as reason:
        yield warning("bundles", str(reason), "edge bundle activate installs it again")
    for name in dict.fromkeys(("demo", *installed)):
        is_right, message = around.self_test(name)
        fix = f"edge bundle rollback {name}" if name in installed else "Run ./install.sh again"
        yield ok(f"bundle {name}", message) if is_right else problem(f"bundle {name}", message, fix)


def clock(around: Surroundings) -> Iterator[Finding]:
    """The clock is right, as far as can be known: with a wrong one, certificates are refused and profiles misdated."""
    now = datetime.fromtimestamp(around.now_s, timezone.utc)
    if now < _RELEASED:
        message = f"The clock says {now:%Y-%m-%d}, which is before this version was made."
        yield warning(
            "clock", message, "sudo timedatectl set-ntp true, with a network; or sudo date -s '2026-11-24 12:00'"
        )
    else:
        yield ok("clock", f"{now:%Y-%m-%d %H:%M} UTC")


def profiles(around: Surroundings) -> Iterator[Finding]:
    """The profiles measured on this board are valid, and of the runtime that is installed now."""
    try:
        from edge.profiling.profile import load_profile
        from edge.profiling.profile_cache import profiles_folder
    except Exception:  # noqa: BLE001 - NumPy or OpenCV may be broken in any way, which another check reports
        return
    start = f"{around.device.board_slug}--"
    for path in sorted(found_in(profiles_folder(), f"{start}*.json")):
        check, again = f"profile {path.stem.removeprefix(start)}", "edge profile --bundle NAME measures again"
        try:
            profile = load_profile(path)
        except EdgeError as reason:
            yield warning(check, str(reason), again)
            continue
        again = again.replace("NAME", profile.bundle)
        if not profile.valid:
            yield warning(check, f"not valid: {profile.objections[0]}", again)
        elif profile.backend_version not in _runtimes(around):
            yield warning(check, f"measured with {profile.backend_version}, which is not installed now", again)
        else:
            yield ok(check, f"valid, of {profile.created[:10]}, {profile.backend_version}")


def service(around: Surroundings) -> Iterator[Finding]:
    """Where the service is installed: whether it runs."""
    message = around.run(
        ("systemctl", "show", "mobilenet-edge", "--property=LoadState,ActiveState,SubState,Result,NRestarts")
    )
    values = dict(line.split("=", 1) for line in (message or "").splitlines() if "=" in line)
    if values.get("LoadState") != "loaded":
        return
    state, restarts = values.get("ActiveState", "unknown"), values.get("NRestarts", "0")
    if state == "failed":
        message = f"mobilenet-edge has failed ({values.get('Result', 'unknown')}) after {restarts} restarts."
        yield warning(
            "service", message, "journalctl -u mobilenet-edge -n 50 tells why; sudo systemctl restart mobilenet-edge"
        )
    elif state == "active" and restarts not in ("0", ""):
        message = f"mobilenet-edge runs, and was restarted {restarts} times."
        yield warning("service", message, "journalctl -u mobilenet-edge -n 50 tells why")
    else:
        yield ok("service", f"mobilenet-edge is {state} ({values.get('SubState', 'unknown')})")


def channel(around: Surroundings) -> Iterator[Finding]:
    """Where a channel is followed: whether steps are taken, and what the last one came to."""
    try:
        state = find_state()
    except EdgeError as reason:
        yield warning("channel", str(reason), "sudo edge channel follow takes the next step")
        return
    if state is None:
        return
    try:
        quiet = datetime.fromtimestamp(around.now_s, timezone.utc) - parse_time(state.checked)
    except ValueError:
        quiet = timedelta(0)
    name = f"{state.channel or 'not read yet'}, serial {state.serial}, ring {state.ring or 'none'}"
    if quiet > timedelta(days=1):
        message = f"{name}: no step was taken for {quiet.days} days."
        yield warning("channel", message, "systemctl status mobilenet-edge-follow.timer tells why")
    elif state.phase == "failed":
        yield warning("channel", f"{name}: {state.error}", "journalctl -u mobilenet-edge-follow tells when it began")
    elif state.phase == "rolled_back":
        message = f"{name}: version {state.bad[-1].version if state.bad else '?'} was rolled back: {state.error}"
        yield warning("channel", message, "another release, or sudo edge channel follow --retry to try it again")
    else:
        yield ok("channel", f"{name}: {state.phase}{f', {state.error}' if state.error else ''}")


def _runtimes(around: Surroundings) -> list[str]:
    """The runtimes that can be used now, with their versions, as profiles name them."""
    return [report.detail for report in around.backends() if report.is_available]
