"""A version that is activated or rolled back reaches the running loop: no restart, no camera reopened."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import camera_demo.session
import edge
from camera_demo import switching
from camera_demo.errors import ConfigError
from camera_demo.live import Answers
from camera_demo.model_changes import ModelChanges
from camera_demo.run_state import RunState
from camera_demo.session import run
from camera_demo.settings import Settings
from camera_demo.source_status import SourceStatus
from camera_demo.sources import open_source
from camera_demo.stop import Stop
from camera_demo.switching import InUse
from camera_demo.teaching import Teacher
from edge.budget import Budget
from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.registry import Installed
from edge.errors import BackendError, BundleError, ConfidenceError, TeachingError
from edge.fleet.health_minute import HealthMinute
from edge.fleet.health_record import read_minutes
from edge.fleet.state import FollowState
from edge.fleet.timestamps import timestamp
from edge.fleet.watching import Clocks, Outcome, decide
from edge.inference.classifier import Classifier
from edge.inference.live_classifier import LiveClassifier
from edge.profiling.profile import LatencyProfile
from tests.edge.conftest import make_profile, make_row


@pytest.fixture
def installed(bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """The grey bundle, installed in two versions: the second was in use before the first."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(switching, "_LOOK_S", 0.02)
    monkeypatch.setattr(switching, "_LET_GO_S", 0.02)
    found = Installed(home=tmp_path / "data" / "mobilenet-edge" / "bundles" / "greys")
    for model in (b"second model", b"first model"):
        found = found.switch(install(found, bundle_folder, {"model.tflite": model}))
    return found


def install(found: Installed, folder: Path, files: dict[str, bytes]) -> str:
    """Add a version with other files, and return its name."""
    new = found.home / "new"
    shutil.copytree(folder, new)
    text = (new / "manifest.json").read_text()
    for name, content in files.items():
        old = (new / name).read_bytes()
        (new / name).write_bytes(content)
        text = text.replace(hashlib.sha256(old).hexdigest(), hashlib.sha256(content).hexdigest())
        text = text.replace(f'"size_bytes": {len(old)}', f'"size_bytes": {len(content)}')
    (new / "manifest.json").write_text(text)
    version = open_bundle(new).version
    found.versions.mkdir(parents=True, exist_ok=True)
    new.rename(found.folder(version))
    return version


class Demo:
    """A run of the demo that stops itself: after each answer, in the loop's thread, ``on_answer`` says what is next."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state = RunState(SourceStatus("none"))
        self.opened, self.versions, self.stop = 0, list[str](), Stop()
        self.steps: list[Callable[[], object]] = []
        self.on_answer = self.next_step_at_a_new_version
        answer = Answers.__next__

        def opening(*args: Any, **others: Any) -> Any:
            self.opened += 1
            return open_source(*args, **others)

        def answering(answers: Answers) -> Any:
            result = answer(answers)
            self.on_answer()
            return result

        def made(*args: Any, **others: Any) -> RunState:
            self.state = RunState(*args, **others)
            return self.state

        monkeypatch.setattr(camera_demo.session, "RunState", made)
        monkeypatch.setattr(camera_demo.session, "open_source", opening)
        monkeypatch.setattr(Answers, "__next__", answering)

    @property
    def version(self) -> str:
        return "" if self.state.bundle is None else self.state.bundle.version

    def next_step_at_a_new_version(self) -> None:
        if not self.versions or self.versions[-1] != self.version:
            self.versions.append(self.version)
            if self.steps:
                self.steps.pop(0)()
            else:
                self.stop.request()

    def go(self, **changes: Any) -> None:
        usual: dict[str, Any] = {"bundle": "greys", "backend": "fake", "variant": "0.25_128", "threads": 1}
        usual |= {"input": "synthetic:64x64@100", "outputs": ("json:/dev/null",), "switch_versions": True, "fps": 5}
        run(Settings(**{**usual, **changes}), self.stop, announce=lambda line: None)


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> Demo:
    return Demo(monkeypatch)


def minutes(tmp_path: Path) -> list[HealthMinute]:
    return read_minutes([tmp_path / "state" / "mobilenet-edge" / "health.jsonl"])


def test_versions_come_and_go_while_frames_flow(
    installed: Installed, demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = installed.active, installed.previous
    assert first is not None and second is not None
    row = make_row("0.25_128", 12.5, model_sha256=hashlib.sha256(b"first model").hexdigest())
    measured = replace(make_profile({}, bundle="greys", backend="fake", backend_version="fake 1"), rows=(row,))
    seen: list[LatencyProfile] = []
    closed: list[int] = []
    select, close = edge.select, edge.AdaptiveClassifier.close

    def selecting(bundle: Bundle, profile: LatencyProfile, budget: Any) -> Any:
        seen.append(profile)
        return select(bundle, profile, budget)

    def closing(classifier: edge.AdaptiveClassifier) -> None:
        closed.append(id(classifier))
        close(classifier)

    monkeypatch.setattr("edge.profile", lambda bundle, **others: measured)
    monkeypatch.setattr("edge.select", selecting)
    monkeypatch.setattr(edge.AdaptiveClassifier, "close", closing)
    demo.steps = [lambda: installed.switch(second), lambda: replace(installed, active=second).switch(first)]
    demo.go(variant=None)
    assert demo.versions == [first, second, first]
    assert demo.opened == 1, "the camera stays open"
    assert len(set(closed)) == 3
    rows = [(profile.rows[0].provenance, profile.rows[0].latency.p95_ms) for profile in seen]
    assert rows == [("measured", 12.5), ("predicted", 12.5), ("predicted", 12.5)]
    found = minutes(tmp_path)
    assert [one.version for one in found if one.frames] == [first, second, first]
    assert [one.profile_p95_ms for one in found if one.frames] == [{row.variant.name: 12.5}] * 3
    assert (found[0].version, found[0].frames, found[0].restarts) == (first, 0, 0), "a line at the start"
    assert found[-1].stopped and not any(one.stopped for one in found[:-1])


def test_what_people_chose_stays_chosen(
    installed: Installed, demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = make_row("0.25_128", 12.5, model_sha256=hashlib.sha256(b"first model").hexdigest())
    measured = replace(make_profile({}, bundle="greys", backend="fake", backend_version="fake 1"), rows=(row,))
    monkeypatch.setattr("edge.profile", lambda bundle, **others: measured)

    def choose() -> None:
        assert demo.state.control is not None
        demo.state.control.choose("0.25_128")
        demo.state.control.set_budget(77.0)
        installed.switch(installed.previous)

    demo.steps = [choose]
    demo.go(variant=None)
    assert demo.state.control is not None
    found = demo.state.control.to_dict()
    assert (found["mode"], found["budget_ms"]) == ("pinned", 77.0)


def test_a_version_that_cannot_be_loaded_is_refused_until_another_is_active(
    installed: Installed, demo: Demo, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = installed.active, installed.previous
    assert first is not None and second is not None
    (installed.folder(second) / "model.tflite").write_bytes(b"not what it was")
    refusals: list[dict[str, Any]] = []
    outcomes: list[Outcome] = []
    since = timestamp(datetime.now(timezone.utc))
    state = FollowState(board_id="b", bundle="greys", installed=second, previous=first, phase="watching", since=since)

    def on_answer() -> None:
        refused = demo.state.to_dict()["bundle"]["refused"]
        if not demo.versions:
            demo.versions.append(demo.version)
            installed.switch(second)
        elif refused and not refusals and minutes(tmp_path)[-1].refused:
            refusals.append(refused)
            outcomes.append(decide(state, minutes(tmp_path), Clocks(now=datetime.now(timezone.utc), uptime_s=1e6)))
            replace(installed, active=second).switch(first)
        elif refusals and not refused:
            demo.stop.request()

    demo.on_answer = on_answer
    demo.go()
    assert refusals[0]["version"] == second
    assert "model.tflite" in refusals[0]["reason"]
    assert outcomes[0].action == "roll_back"
    assert f"Version {second} of bundle greys cannot be used, version {first} stays: " in caplog.text
    found = minutes(tmp_path)
    assert any(one.refused.startswith(f"{second}: ") for one in found)
    assert {one.version for one in found} == {first}
    assert not found[-1].refused


def test_a_version_without_a_class_that_is_asked_for_is_refused(
    installed: Installed, demo: Demo, bundle_folder: Path
) -> None:
    labels = (bundle_folder / "labels.txt").read_bytes().replace(b"grey 3", b"a mouse")
    third = install(installed, bundle_folder, {"labels.txt": labels})

    def on_answer() -> None:
        if not demo.versions:
            demo.versions.append(demo.version)
            installed.switch(third)
        if demo.state.refused:
            demo.stop.request()

    demo.on_answer = on_answer
    demo.go(watch=["grey 3"])
    assert demo.state.refused is not None
    version, reason = demo.state.refused
    assert (version, demo.version) == (third, installed.active)
    assert reason.startswith("watch: unknown class 'grey 3': did you mean ")


def test_a_damaged_note_of_the_active_version_is_refused(installed: Installed, demo: Demo) -> None:
    def on_answer() -> None:
        if not demo.versions:
            demo.versions.append(demo.version)
            (installed.home / "active.json").write_text("{")
        if demo.state.refused:
            demo.stop.request()

    demo.on_answer = on_answer
    demo.go()
    assert demo.state.refused is not None and "active.json" in demo.state.refused[1]


def test_nothing_is_watched_or_recorded_unless_wanted(installed: Installed, demo: Demo, tmp_path: Path) -> None:
    demo.go(switch_versions=None, max_frames=3)
    assert minutes(tmp_path) == []


def test_a_service_switches_unless_it_is_told_not_to(
    installed: Installed, demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    demo.go(switch_versions=False, max_frames=3)
    assert minutes(tmp_path) == []
    demo.steps = [lambda: installed.switch(installed.previous)]
    demo.versions, demo.stop = [], Stop()
    demo.go(switch_versions=None)
    assert demo.versions == [installed.active, installed.previous]


def test_a_folder_has_no_versions(bundle_folder: Path) -> None:
    assert not switching.is_switchable(str(bundle_folder))
    assert switching.is_switchable("demo")


def test_a_start_that_fails_leaves_a_line(installed: Installed, demo: Demo, tmp_path: Path) -> None:
    """A version without a class that is asked for ends each start: its restarts are what it is judged by."""
    for _ in range(3):
        with pytest.raises(ConfigError):
            demo.go(watch=["a mouse"])
    assert [(one.version, one.restarts) for one in minutes(tmp_path)] == [(installed.active, n > 0) for n in range(3)]


class Lessons:
    """What a teacher that has nothing to teach is given."""

    name = "taught-greys"

    def before(self) -> None:
        """Nothing was in use before."""


def test_what_was_taught_goes_on_with_the_new_version_as_its_parent(
    bundle_folder: Path, make_classifier: Callable[..., Classifier]
) -> None:
    """As the next start does: somebody at the board put it to use."""
    parent, taught, version = (replace(open_bundle(bundle_folder), root=Path(name)) for name in ("a", "b", "c"))
    used: list[Path] = []
    loaded = make_classifier()
    stub: Any = Lessons()
    teacher = Teacher(
        stub, parent, (taught, make_classifier()), stub, lambda *_: loaded, lambda _, b: used.append(b.root)
    )
    assert teacher.is_kept_from(version)
    assert used == []
    stub.back = lambda: version
    teacher.back()
    assert used == [Path("c")]


def test_what_was_loaded_to_go_back_to_is_freed_where_that_fails(
    bundle_folder: Path, make_classifier: Callable[..., Classifier]
) -> None:
    parent, taught = open_bundle(bundle_folder), replace(open_bundle(bundle_folder), root=Path("taught"))
    loaded = make_classifier()
    stub: Any = Lessons()

    def fails() -> None:
        raise BundleError("It does not pass its self-test.")

    stub.back = fails
    teacher = Teacher(stub, parent, (taught, make_classifier()), stub, lambda *_: loaded, lambda *_: None)
    with pytest.raises(BundleError):
        teacher.back()
    with pytest.raises(BackendError, match="closed"):
        loaded.classify(np.zeros((8, 8, 3), np.uint8))


def test_a_parent_in_use_gives_way_to_its_new_version(
    bundle_folder: Path, make_classifier: Callable[..., Classifier]
) -> None:
    parent, version = (replace(open_bundle(bundle_folder), root=Path(name)) for name in ("a", "c"))
    used: list[Path] = []
    stub: Any = Lessons()
    first, second = make_classifier(), make_classifier()
    teacher = Teacher(stub, parent, (parent, first), stub, lambda *_: first, lambda _, b: used.append(b.root))
    assert not teacher.is_kept_from(version)
    teacher.renew(version, second)
    assert used == [Path("c")]
    with pytest.raises(TeachingError, match="nothing to go back to"):
        teacher.back()


def test_what_was_taught_is_held_to_the_settings_as_at_a_start(
    bundle_folder: Path, make_classifier: Callable[..., Classifier]
) -> None:
    """It numbers its classes otherwise: thresholds go by label, and a class that is asked for must be there."""
    parent, fixed = open_bundle(bundle_folder), make_classifier()
    fixed.set_budget(Budget(latency_ms=77.0))
    other = bundle_folder.with_name("other")
    shutil.copytree(bundle_folder, other)
    labels = (other / "labels.txt").read_bytes()
    swapped = labels.replace(b"grey 3", b"grey X").replace(b"grey 7", b"grey 3").replace(b"grey X", b"grey 7")
    (other / "labels.txt").write_bytes(swapped)
    text = (other / "manifest.json").read_text()
    old, new = (hashlib.sha256(content).hexdigest() for content in (labels, swapped))
    (other / "manifest.json").write_text(text.replace(old, new))
    taught, stub = open_bundle(other), SimpleNamespace(classifier=fixed)

    def loaded(**changes: Any) -> LiveClassifier:
        settings = Settings(bundle=str(bundle_folder), variant="0.25_128", backend="fake", threads=1, **changes)
        in_use, answers, budget = InUse(bundle=parent, classifier=fixed, profile=None), stub, Budget(latency_ms=33.0)
        changed = ModelChanges(settings, budget, in_use, answers, RunState(SourceStatus("x")), None)  # type: ignore[arg-type]
        return changed._load_other(taught, taught.most_accurate)

    with loaded(thresholds={"grey 3": 0.99}, watch=("grey 3",)) as classifier:
        assert isinstance(classifier, Classifier) and classifier.class_thresholds == {7: 0.99}
        assert classifier.budget == Budget(latency_ms=77.0), "what people have changed since stays"
    with pytest.raises(ConfigError, match="watch: unknown class 'cup'"):
        loaded(watch=("cup",))
    with pytest.raises(ConfidenceError, match="cup"):
        loaded(thresholds={"cup": 0.9})
