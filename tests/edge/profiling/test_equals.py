"""Profiles of equal boards: published, found, checked here, and refused where the boards are not equal."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from edge.board.device import Device
from edge.board.health import Health
from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.variant import Variant
from edge.errors import DownloadError, EdgeError, ProfileError, UnequalBoardError
from edge.profiling import equals, profile_cache
from edge.profiling.equals import choose_to_check, take_from_equal
from edge.profiling.measure import Machine
from edge.profiling.profile import LatencyProfile, load_profile
from edge.profiling.profile_folder import INDEX, publish
from tests.edge.conftest import calm_machine, make_bundle, make_profile, make_row

TIMES = {"1.00_224": 40.0, "0.50_160": 9.0, "0.25_128": 3.0}
DEVICE = Device(board="Raspberry Pi 4 Model B Rev 1.4", cpu_count=4, os="Debian GNU/Linux 12 (bookworm)")
HEALTH = Health(governor="ondemand", clock_max_mhz=(1800,) * 4)


def theirs(**changes: Any) -> LatencyProfile:
    """A profile that another board measured."""
    board: dict[str, Any] = {"backend": "fake", "backend_version": "fake 1", "device": DEVICE, "before": HEALTH}
    return make_profile(TIMES, **board | changes)


@dataclass
class Desk:
    """This board: how much slower it is, by variant, and what it has measured."""

    bundle: Bundle
    machine: Machine
    factor: dict[str, float] = field(default_factory=dict)
    objections: tuple[str, ...] = ()
    measured: list[dict[Variant, int]] = field(default_factory=list)

    def take(self, place: str | Path, **wanted: Any) -> LatencyProfile:
        options: dict[str, Any] = {"backend": "fake", "threads": 4, "machine": self.machine}
        return take_from_equal(self.bundle, str(place), **options | wanted)

    def refused(self, place: str | Path, error: type[EdgeError] = UnequalBoardError) -> str:
        with pytest.raises(error) as refused:
            self.take(place)
        assert "\n" not in str(refused.value)
        return str(refused.value)


@pytest.fixture
def desk(bundle_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    machine = calm_machine(describe=lambda: replace(DEVICE, memory_mb=8000), look=lambda: HEALTH)
    made = Desk(open_bundle(bundle_folder), machine)

    def measure(bundle: Bundle, *, variants: list[Variant], threads: Any, **options: Any) -> LatencyProfile:
        made.measured.append(dict(threads))
        rows = [name for name in TIMES if Variant.parse(name) in variants]
        objections = made.objections
        times = {name: TIMES[name] * made.factor.get(name, 1.0) for name in rows}
        return make_profile(times, valid=not objections, objections=objections)

    monkeypatch.setattr(equals, "measure", measure)
    monkeypatch.setenv("XDG_STATE_HOME", str(bundle_folder.parent / "state"))
    return made


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Path], str]]:
    """Serves a folder, and gives its address."""
    servers: list[ThreadingHTTPServer] = []

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    def start(folder: Path) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class TestTaking:
    @pytest.mark.parametrize("kind", ["file", "folder", "address of the file", "address of the folder"])
    def test_an_equals_profile_is_taken_and_says_so(
        self, desk: Desk, tmp_path: Path, serve: Callable[[Path], str], kind: str
    ) -> None:
        file = publish(theirs(), desk.bundle, tmp_path / "profiles", host="attic-3")
        root = serve(tmp_path) if kind.startswith("address") else str(tmp_path)
        place = f"{root}/profiles" if kind.endswith("folder") else f"{root}/profiles/{file.name}"
        desk.factor = {"1.00_224": 1.05, "0.25_128": 0.97}
        taken = desk.take(place)
        assert taken.equal is not None
        assert (taken.equal.host, taken.equal.place) == ("attic-3", f"{root}/profiles/{file.name}")
        assert taken.equal.ratios == {
            "mobilenet_v1_1.00_224": 1.05,
            "mobilenet_v1_0.50_160": 1.0,
            "mobilenet_v1_0.25_128": 0.97,
        }
        assert taken.equal.tolerance == 0.1
        assert [row.latency for row in taken.rows] == [row.latency for row in theirs().rows]
        assert (taken.created, taken.device.memory_mb) == (theirs().created, 8000)
        taken.save(tmp_path / "mine.json")
        assert load_profile(tmp_path / "mine.json") == taken

    def test_the_heat_of_another_place_is_left_out(self, desk: Desk, tmp_path: Path) -> None:
        rows = tuple(replace(row, sustained_p95_ms=99.0) for row in theirs().rows)
        theirs(rows=rows).save(tmp_path / "a.json")
        assert {row.sustained_p95_ms for row in desk.take(tmp_path / "a.json").rows} == {None}

    def test_a_board_of_another_revision_and_a_system_with_updates_are_equal(self, desk: Desk, tmp_path: Path) -> None:
        device = replace(DEVICE, board="Raspberry Pi 4 Model B Rev 1.5", os="Debian GNU/Linux 12 (bookworm)")
        theirs(device=device).save(tmp_path / "a.json")
        assert desk.take(tmp_path / "a.json").equal is not None
        ubuntu = replace(DEVICE, os="Ubuntu 22.04.4 LTS")
        theirs(device=ubuntu).save(tmp_path / "a.json")
        desk.machine = replace(desk.machine, describe=lambda: replace(DEVICE, os="Ubuntu 22.04.5 LTS"))
        assert desk.take(tmp_path / "a.json").equal is not None

    def test_each_variant_is_checked_with_the_threads_it_was_measured_with(self, desk: Desk, tmp_path: Path) -> None:
        rows = tuple(replace(row, num_threads=count) for row, count in zip(theirs().rows, (4, 2, 1), strict=True))
        theirs(threads=None, rows=rows).save(tmp_path / "a.json")
        assert desk.take(tmp_path / "a.json", threads="auto").equal is not None
        [counts] = desk.measured
        assert {variant.name[-8:]: count for variant, count in counts.items()} == {
            "1.00_224": 4,
            "0.50_160": 2,
            "0.25_128": 1,
        }


class TestRefusing:
    @pytest.mark.parametrize(("factor", "shown"), [(1.31, "47.16"), (0.8, "28.80")])
    def test_the_furthest_variant_is_named_with_how_much(
        self, desk: Desk, tmp_path: Path, factor: float, shown: str
    ) -> None:
        publish(theirs(), desk.bundle, tmp_path, host="attic-3")
        desk.factor = {"1.00_224": factor, "0.25_128": 1.12}
        assert desk.refused(tmp_path) == (
            f"This board is not an equal of attic-3: mobilenet_v1_1.00_224 takes {shown} ms here and 36.00 ms there, "
            f"{factor:.2f} times as long, expected 1 ± 10 %."
        )

    def test_work_that_may_be_the_reason_is_named(self, desk: Desk, tmp_path: Path) -> None:
        publish(theirs(), desk.bundle, tmp_path, host="attic-3")
        desk.factor, desk.objections = {"1.00_224": 2.0}, ("Other processes kept 90 % of one CPU busy.",)
        assert desk.refused(tmp_path).endswith(
            " This board was not at rest: Other processes kept 90 % of one CPU busy."
        )

    @pytest.mark.parametrize(
        ("changes", "clause"),
        [
            (
                {"device": replace(DEVICE, board="Raspberry Pi 5 Model B Rev 1.0")},
                "board raspberry-pi-4-model-b here, raspberry-pi-5-model-b on attic-3",
            ),
            ({"device": replace(DEVICE, cpu_count=2)}, "CPUs 4 here, 2 on attic-3"),
            (
                {"device": replace(DEVICE, os="Ubuntu 24.04 LTS")},
                "operating system Debian GNU/Linux 12 (bookworm) here, Ubuntu 24.04 LTS on attic-3",
            ),
            ({"device": replace(DEVICE, l4t="36.4.3")}, "Jetson Linux unknown here, 36.4.3 on attic-3"),
            ({"device": replace(DEVICE, pointer_bits=32)}, "pointer bits unknown here, 32 on attic-3"),
            (
                {"before": replace(HEALTH, governor="performance")},
                "governor ondemand here, performance on attic-3",
            ),
            ({"before": replace(HEALTH, power_mode="15W")}, "power mode unknown here, 15W on attic-3"),
            (
                {"before": replace(HEALTH, clock_max_mhz=(1500,) * 4)},
                "highest clock in MHz 1800 here, 1500 on attic-3",
            ),
            ({"backend_version": "fake 2"}, "runtime fake 1 here, fake 2 on attic-3"),
            ({"threads": 2}, "threads 4 here, 2 on attic-3"),
            ({"frame_size": (320, 240)}, "size of frames 640x480 here, 320x240 on attic-3"),
        ],
    )
    def test_a_condition_that_differs_is_named_and_nothing_is_measured(
        self, desk: Desk, tmp_path: Path, changes: dict[str, Any], clause: str
    ) -> None:
        publish(theirs(**changes), desk.bundle, tmp_path, host="attic-3")
        refusal = f"{tmp_path} holds no profile of an equal board, it is attic-3's: {clause}."
        assert (desk.refused(tmp_path), desk.measured) == (refusal, [])

    def test_other_model_files_are_not_equal(self, desk: Desk, tmp_path: Path) -> None:
        rows = (replace(theirs().rows[0], model_sha256="0" * 64), *theirs().rows[1:])
        theirs(rows=rows).save(tmp_path / "a.json")
        assert desk.refused(tmp_path / "a.json").endswith("it is a.json's: model files differ.")

    def test_of_many_the_nearest_is_named(self, desk: Desk, tmp_path: Path, serve: Callable[[Path], str]) -> None:
        far = theirs(threads=2, before=replace(HEALTH, governor="powersave"))
        publish(far, desk.bundle, tmp_path, host="far")
        publish(theirs(threads=2), desk.bundle, tmp_path, host="near")
        clause = "holds no profile of an equal board, of 2, the nearest is near's: threads 4 here, 2 on near."
        assert desk.refused(tmp_path) == f"{tmp_path} {clause}"
        address = serve(tmp_path)
        assert desk.refused(address) == f"{address} {clause}"

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            (
                {"valid": False, "objections": ("It was hot.",)},
                "is no measurement to rely on (not valid: It was hot.).",
            ),
            ({"source": "somebody"}, "is no measurement to rely on (figures of somebody)."),
        ],
    )
    def test_what_is_no_measurement_to_rely_on(
        self, desk: Desk, tmp_path: Path, changes: dict[str, Any], reason: str
    ) -> None:
        theirs(**changes).save(tmp_path / "a.json")
        assert desk.refused(tmp_path / "a.json", ProfileError) == f"{tmp_path / 'a.json'} {reason}"

    def test_what_was_itself_taken_is_not_taken_again(self, desk: Desk, tmp_path: Path) -> None:
        theirs().save(tmp_path / "a.json")
        desk.take(tmp_path / "a.json").save(tmp_path / "b.json")
        refusal = f"{tmp_path / 'b.json'} was itself taken from a.json: expected that board's own profile."
        assert desk.refused(tmp_path / "b.json", ProfileError) == refusal

    def test_predictions_alone_prove_nothing(self) -> None:
        rows = tuple(replace(row, provenance="predicted") for row in theirs().rows)
        with pytest.raises(ProfileError, match="Nothing in that profile was measured"):
            choose_to_check(theirs(rows=rows))


def test_the_fastest_the_slowest_and_one_between_are_checked() -> None:
    times = {"1.00_224": 100.0, "1.00_160": 90.0, "0.50_224": 80.0, "0.50_160": 11.0, "0.25_128": 1.0}
    assert [row.variant.name[-8:] for row in choose_to_check(make_profile(times))] == [
        "0.25_128",
        "0.50_160",
        "1.00_224",
    ]
    for count in (1, 2):
        few = make_profile(dict(list(times.items())[:count]))
        assert len(choose_to_check(few)) == count


class TestFolder:
    def test_a_later_profile_takes_the_place_of_its_kind_alone(self, desk: Desk, tmp_path: Path) -> None:
        first = publish(theirs(), desk.bundle, tmp_path, host="attic-3")
        other = publish(theirs(threads=2), desk.bundle, tmp_path, host="attic-3")
        assert publish(theirs(), desk.bundle, tmp_path, host="attic-4") == first
        assert first.name.startswith("raspberry-pi-4-model-b--tiny--fake-4--") and len(first.name) == 55
        listed = json.loads((tmp_path / INDEX).read_text())["profiles"]
        assert {one["file"]: one["host"] for one in listed} == {first.name: "attic-4", other.name: "attic-3"}
        other.unlink()
        publish(theirs(), desk.bundle, tmp_path, host="attic-4")
        assert len(json.loads((tmp_path / INDEX).read_text())["profiles"]) == 1

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            (
                {"valid": False, "objections": ("It was hot.",)},
                "A profile that is not valid is not published: It was hot.",
            ),
            ({"rows": (make_row("1.00_224", 40.0),)}, "The profile lacks mobilenet_v1_0.50_160, and is not published"),
            ({"source": "somebody"}, "Only what was measured on this board is published"),
        ],
    )
    def test_what_equals_could_not_rely_on_is_not_published(
        self, tmp_path: Path, changes: dict[str, Any], reason: str
    ) -> None:
        with pytest.raises(ProfileError, match=reason):
            publish(theirs(**changes), make_bundle(), tmp_path / "profiles", host="attic-3")
        assert not (tmp_path / "profiles").exists()

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda text: text[:40], "is not JSON"),
            (
                lambda text: text.replace('"schema_version": 1', '"schema_version": 2'),
                "has schema 2, this version reads 1.",
            ),
            (lambda text: text.replace('"file": "', '"file": "../'), "expected the name of a .json file"),
            (lambda text: text.replace('"host"', '"hostess"'), "lacks 'profiles[0].host': publish the profiles again."),
        ],
    )
    def test_a_list_that_is_damaged_is_refused(
        self,
        desk: Desk,
        tmp_path: Path,
        serve: Callable[[Path], str],
        change: Callable[[str], str],
        reason: str,
    ) -> None:
        publish(theirs(), desk.bundle, tmp_path, host="attic-3")
        (tmp_path / INDEX).write_text(change((tmp_path / INDEX).read_text()))
        assert reason in desk.refused(serve(tmp_path), ProfileError)

    def test_a_file_that_is_not_the_listed_one_is_refused(
        self, desk: Desk, tmp_path: Path, serve: Callable[[Path], str]
    ) -> None:
        file = publish(theirs(), desk.bundle, tmp_path, host="attic-3")
        theirs(created="2026-01-01T00:00:00+00:00").save(file)
        assert "is not the file expected" in desk.refused(serve(tmp_path), DownloadError)

    def test_a_damaged_profile_is_named_by_its_address(
        self, desk: Desk, tmp_path: Path, serve: Callable[[Path], str]
    ) -> None:
        (tmp_path / "a.json").write_text("{}")
        address = f"{serve(tmp_path)}/a.json"
        assert desk.refused(address, ProfileError).startswith(f"Latency profile {address} has schema None")

    def test_no_way_leads_over_plain_http(self, desk: Desk) -> None:
        assert "is not encrypted" in desk.refused("http://example.com/profiles", DownloadError)

    def test_an_empty_folder_and_a_missing_file(self, desk: Desk, tmp_path: Path) -> None:
        refusal = f"{tmp_path / 'empty'} holds no profile: edge profile --publish FOLDER writes one."
        (tmp_path / "empty").mkdir()
        assert desk.refused(tmp_path / "empty") == refusal
        assert desk.refused(tmp_path / "no.json", ProfileError).endswith("no.json: no such file or directory.")


class TestStored:
    def ask(self, desk: Desk, monkeypatch: pytest.MonkeyPatch, **wanted: Any) -> tuple[LatencyProfile, list[str]]:
        """What a program asks for, on this board."""
        said: list[str] = []
        monkeypatch.setattr(profile_cache, "describe", desk.machine.describe)
        here = functools.partial(take_from_equal, machine=desk.machine)
        monkeypatch.setattr(profile_cache, "take_from_equal", here)
        options: dict[str, Any] = {"backend": "fake", "threads": 4, "announce": said.append}
        return profile_cache.profile(desk.bundle, **options | wanted), said

    def test_what_was_taken_serves_from_then_on(
        self, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish(theirs(), desk.bundle, tmp_path / "profiles", host="attic-3")
        taken, said = self.ask(desk, monkeypatch, like=tmp_path / "profiles")
        because = "because this machine has no profile of it"
        assert said == [f"checking an equal board's profile of bundle tiny for a moment, {because}"]
        assert self.ask(desk, monkeypatch) == (taken, [])
        assert self.ask(desk, monkeypatch, like="nowhere") == (taken, [])
        assert len(desk.measured) == 1

    def test_rows_of_two_boards_are_not_mixed(
        self, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish(theirs(), desk.bundle, tmp_path / "profiles", host="attic-3")
        taken, _ = self.ask(desk, monkeypatch, like=tmp_path / "profiles")
        taken.save(tmp_path / "mine.json")
        own = theirs(rows=theirs().rows[:1], device=desk.machine.describe())
        assert profile_cache.merged(tmp_path / "mine.json", own, desk.bundle) is None

    def test_a_refusal_stores_nothing(self, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        publish(theirs(), desk.bundle, tmp_path / "profiles", host="attic-3")
        desk.factor = {"0.25_128": 1.5}
        with pytest.raises(UnequalBoardError):
            self.ask(desk, monkeypatch, like=tmp_path / "profiles")
        assert not list((tmp_path / "state").rglob("*.json"))

    @pytest.mark.parametrize("wanted", [{"variants": ["0.25_128"]}, {"predict_rest": True}, {"sustained_s": 60.0}])
    def test_ways_to_measure_do_not_go_with_it(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, Any]
    ) -> None:
        with pytest.raises(ProfileError, match="is taken whole"):
            self.ask(desk, monkeypatch, like="x.json", **wanted)
