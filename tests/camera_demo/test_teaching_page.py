"""Collected, labelled, taught, used and taken back while the loop runs: by requests, and in a real browser."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

import edge
from camera_demo import session
from camera_demo.settings import Settings
from camera_demo.stop import Stop
from camera_demo.taught_bundle import TaughtBundle
from edge.bundles import registry
from tests.camera_demo.chromium import needs_chromium, start_chromium
from tests.camera_demo.openapi import checked
from tests.camera_demo.sources.mjpeg_camera import HEAD, Send, camera, part
from tests.edge.small_demo import write_small_demo
from tests.edge.teaching.test_teach import scene
from tests.edge.updates.test_signature import make_keys
from tests.waiting import eventually


def write_clip(path: Path) -> Path:
    """Rings for eight seconds, each a little elsewhere, then crosses."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12, (160, 120))
    for number, kind in enumerate(("ring", "cross")):
        for seed in range(24):
            for _ in range(4):
                writer.write(scene(kind, 100 * number + seed))
    writer.release()
    return path


@contextlib.contextmanager
def run(folder: Path, said: list[str], **changes: Any) -> Iterator[str]:
    """The page's address, of a run that collects only what is asked for."""
    settings = Settings(
        input=str(folder / "camera.avi"),
        outputs=("http://127.0.0.1:0", f"collect:{folder / 'seen'}?unsure=no&unknown=no"),
        bundle=str(folder / "bundle"),
        variant="0.25_128",
        threads=1,
        loop=True,
        pace=True,
    )
    stop, errors = Stop(), list[BaseException]()

    def work() -> None:
        try:
            session.run(replace(settings, **changes), stop, announce=said.append)
        except BaseException as error:  # noqa: BLE001 - raised by the test
            errors.append(error)

    said.clear()
    thread = threading.Thread(target=work)
    thread.start()
    try:
        eventually(lambda: errors or any("live picture" in line for line in said))
        assert not errors
        yield next(line.split()[-1] for line in said if "live picture" in line)
    finally:
        stop.request()
        thread.join(30)
    assert not thread.is_alive() and not errors


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a bundle and a clip; bundles are installed in it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    write_small_demo(tmp_path / "bundle")
    write_clip(tmp_path / "camera.avi")
    return tmp_path


@pytest.fixture
def running(folder: Path) -> Iterator[str]:
    with run(folder, []) as address:
        yield address


@contextlib.contextmanager
def client_of(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
        eventually(lambda: client.get("/api/teaching").status_code == 200)
        yield client


@pytest.fixture
def client(running: str) -> Iterator[httpx.Client]:
    with client_of(running) as client:
        yield client


def put(client: httpx.Client, path: str, **values: Any) -> Any:
    answer = client.put(path, json=values)
    assert answer.status_code == 200, answer.text
    return checked(path, answer)


def collect(client: httpx.Client, count: int) -> list[dict[str, Any]]:
    put(client, "/api/collect", count=count)
    eventually(lambda: checked("/api/collected", client.get("/api/collected"))["asked"] == 0)
    listed: list[dict[str, Any]] = checked("/api/collected", client.get("/api/collected"))["pictures"]
    return listed


def kind_of(content: bytes) -> str:
    """What a JPEG shows: a cross has ink where its middle is."""
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    ink = np.argwhere(image < 110).mean(0).astype(int)
    patch = image[ink[0] - 4 : ink[0] + 5, ink[1] - 4 : ink[1] + 5]
    return "cross" if patch.min() < 110 else "ring"


def counts_of(client: httpx.Client) -> dict[str, int]:
    """Pictures of each class."""
    counts: dict[str, int] = client.get("/api/teaching").json()["counts"]
    return counts


def shows(client: httpx.Client, kind: str) -> bool:
    """Whether the camera sees it now."""
    answer = client.get("/snapshot.jpg")
    return answer.status_code == 200 and kind_of(answer.content) == kind


def test_two_classes_are_collected_labelled_taught_used_and_taken_back(client: httpx.Client) -> None:
    by_kind: dict[str, list[str]] = {"ring": [], "cross": []}
    for kind in by_kind:
        eventually(lambda: shows(client, kind))  # noqa: B023 - called at once
        pictures = collect(client, 6)
    assert len(pictures) == 12 and {one["why"] for one in pictures} == {"asked"}
    for one in pictures:
        by_kind[kind_of(client.get(f"/api/collected/{one['file']}").content)].append(one["file"])
    for kind, files in by_kind.items():
        assert len(files) >= 3
        before = put(client, "/api/collected/change", action="label", files=files, label=f"my {kind}")["before"]
        assert set(before.values()) == {""}
    assert put(client, "/api/collected/change", action="delete", files=by_kind["ring"][:1]) == {"count": 1}
    assert put(client, "/api/collected/change", action="restore", files=by_kind["ring"][:1]) == {"count": 1}
    put(client, "/api/teach", action="learn")
    state = eventually(lambda: (s := client.get("/api/teaching").json())["stage"] is None and s)
    assert state["error"] is None and state["can_use"], state
    assert checked("/api/teaching", client.get("/api/teaching"))["result"]["accuracy"] > 0.6
    assert put(client, "/api/teach", action="use")["can_go_back"]

    def label() -> str:
        answer = client.get("/api/state").json()["answer"]
        return answer["labels"][0]["label"] if answer and answer["labels"] else ""

    eventually(lambda: label().startswith("my "))
    losses = client.get("/api/state").json()["source"]["losses"]
    state = put(client, "/api/teach", action="back")
    assert state["can_use"] and not state["can_go_back"] and state["in_use"] == "small"
    eventually(lambda: label() and not label().startswith("my "))
    assert losses == 0  # the camera was never closed
    taught = edge.open_bundle(state["result"]["bundle"])
    assert taught.labels == ("my cross", "my ring")


def write_pictures(folder: Path, names: tuple[str, ...] = ("ring", "cross"), label: str = "my {}") -> None:
    """Collected and labelled before."""
    folder.mkdir(exist_ok=True)
    rows = ["path,label"]
    for number, kind in enumerate(names):
        for seed in range(4):
            cv2.imwrite(str(folder / f"{kind}{seed}_1.jpg"), scene(kind, 100 * number + seed))
            rows.append(f"{kind}{seed}_1.jpg,{label.format(kind)}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def learn(client: httpx.Client) -> Any:
    put(client, "/api/teach", action="learn")
    state = eventually(lambda: (s := client.get("/api/teaching").json())["stage"] is None and s)
    assert state["error"] is None, state
    return state


def shown_label(client: httpx.Client) -> str:
    answer = client.get("/api/state").json()["answer"]
    return answer["labels"][0]["label"] if answer and answer["labels"] else ""


def test_what_was_put_to_use_is_in_use_after_the_next_start_until_it_is_taken_back(folder: Path) -> None:
    write_pictures(folder / "seen")
    said: list[str] = []
    with run(folder, said) as address, client_of(address) as client:
        assert client.get("/api/teaching").json()["note"] is None
        for count in (1, 2):
            learn(client)
            state = put(client, "/api/teach", action="use")
            assert state["note"].startswith("The next start goes on with it: it is installed as taught-")
            write_pictures(folder / "seen", label=f"my {{}} {count}")
            second_s = int(time.time())
            eventually(lambda: int(time.time()) > second_s)  # noqa: B023 - a serial is a second
    (installed,) = registry.installed_bundles()
    name, second = installed.name, installed.active
    assert name.startswith("taught-") and installed.previous is not None and state["in_use"] == name
    with run(folder, said) as address, client_of(address) as client:
        assert any(line.startswith(f"Going on with {name}, which was taught from small") for line in said)
        eventually(lambda: shown_label(client).startswith("my ") and shown_label(client).endswith(" 1"))
        state = put(client, "/api/teach", action="back")
        assert state["can_go_back"] and state["in_use"] == name
        eventually(lambda: shown_label(client) in ("my ring", "my cross"))
        (installed,) = registry.installed_bundles()
        assert installed.previous == second
        state = put(client, "/api/teach", action="back")
        assert (state["in_use"], state["can_go_back"], state["note"]) == ("small", False, None)
        eventually(lambda: not shown_label(client).startswith("my "))
    (installed,) = registry.installed_bundles()
    assert installed.active is None
    with run(folder, said) as address, client_of(address) as client:
        assert client.get("/api/teaching").json()["in_use"] == "small"
        assert not any("Going on" in line for line in said)


@pytest.mark.parametrize("fault", ["damaged", "key", "watch"])
def test_the_next_start_never_fails_for_what_was_taught(
    fault: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(folder / "seen")
    parent, said, changes = edge.open_bundle(folder / "bundle"), list[str](), dict[str, Any]()
    installed = TaughtBundle(folder / "seen", parent)
    edge.teach(folder / "seen", folder / "out", bundle=parent, name=installed.name, threads=1)
    made = installed.use(folder / "out")
    assert installed.in_use() == made
    if fault == "damaged":
        (made.root / "labels.txt").write_text("spoiled")
    elif fault == "key":
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        (folder / "config/mobilenet-edge").mkdir(parents=True)
        make_keys(folder)[1].rename(folder / "config/mobilenet-edge/bundle.pub")
    else:
        changes = {"watch": ["three"]}
    with run(folder, said, **changes) as address, client_of(address) as client:
        assert client.get("/api/teaching").json()["in_use"] == "small"
        (line,) = (line for line in said if " is not used, but small" in line)
        assert line.startswith(installed.name) and "\n" not in line
        if fault == "key":  # nor is it used on the page
            learn(client)
            answer = client.put("/api/teach", json={"action": "use"})
            assert answer.status_code == 400 and "edge bundle pack" in answer.json()["error"]
            assert client.get("/api/teaching").json()["in_use"] == "small"


def test_what_was_taught_is_for_its_own_folder_and_parent(folder: Path) -> None:
    parent = edge.open_bundle(folder / "bundle")
    write_pictures(folder / "seen")
    installed = TaughtBundle(folder / "seen", parent)
    edge.teach(folder / "seen", folder / "out", bundle=parent, name=installed.name, threads=1)
    installed.use(folder / "out")
    third = edge.open_bundle(write_small_demo(folder / "third", name="third"))
    (folder / "again/seen").mkdir(parents=True)
    other = TaughtBundle(folder / "again/seen", parent)
    assert (other.name, other.in_use()) == (f"{installed.name}-2", None)
    assert TaughtBundle(folder / "seen", third).in_use() is None
    again = TaughtBundle(folder / "seen", parent)
    assert again.in_use() is not None and again.name == installed.name
    assert again.back() == parent and again.in_use() is None


def test_where_no_bundle_can_be_installed_it_is_used_until_the_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "file"))
    write_pictures(folder / "seen")
    with run(folder, []) as address, client_of(address) as client:
        learn(client)
        state = put(client, "/api/teach", action="use")
        assert state["note"].startswith("The next start does not go on with it. Cannot write ")
        assert state["can_go_back"]
        eventually(lambda: shown_label(client).startswith("my "))
        state = put(client, "/api/teach", action="back")
        assert (state["in_use"], state["note"]) == ("small", None)


@pytest.mark.parametrize(
    ("path", "values", "says"),
    [
        ("/api/collect", {"count": -1}, "count"),
        ("/api/collect", {"count": 1, "label": "x" * 101}, "cannot be the name of a class"),
        ("/api/collect", {"count": 1, "label": "a\tb"}, "cannot be the name of a class"),
        ("/api/collected/change", {"action": "burn", "files": []}, "one of label, delete, restore"),
        ("/api/collected/change", {"action": "label", "files": "x", "label": "a"}, '"files", a list'),
        ("/api/teach", {"action": "forget"}, "one of learn, use, back"),
        ("/api/teach", {"action": "use"}, "There is nothing new to use: learn first."),
        ("/api/teach", {"action": "back"}, "There is nothing to go back to"),
    ],
)
def test_what_cannot_be_done_is_said(client: httpx.Client, path: str, values: dict[str, Any], says: str) -> None:
    answer = client.put(path, json=values)
    assert answer.status_code == 400 and says in checked(path, answer)["error"]
    assert client.put(path, content=b"{").status_code == 400
    assert client.put(path, content=b'{"a": "' + b"x" * 5000).status_code == 413


def test_a_lesson_without_pictures_says_why(client: httpx.Client) -> None:
    put(client, "/api/teach", action="learn")
    state = eventually(lambda: (s := client.get("/api/teaching").json())["stage"] is None and s)
    assert "has no pictures in folders" in state["error"] and not state["can_use"]


def test_a_camera_that_dies_in_the_middle_of_a_burst_ends_it(folder: Path) -> None:
    _, data = zip(*(cv2.imencode(".jpg", scene("ring", seed)) for seed in range(200)), strict=True)
    pictures, dies, is_back = [one.tobytes() for one in data], threading.Event(), threading.Event()

    def send_some(number: int, end: threading.Event, send: Send, until: threading.Event) -> None:
        send(HEAD)
        while not (end.is_set() or until.is_set()):
            send(part(pictures[number % len(pictures)]))
            number += 1
            end.wait(0.02)

    def second(send: Send, end: threading.Event) -> None:
        is_back.wait(60)
        send_some(100, end, send, end)

    with contextlib.ExitStack() as opened:
        source = opened.enter_context(camera(lambda send, end: send_some(0, end, send, dies), second))
        place = f"http://127.0.0.1:{source.port}/"
        address = opened.enter_context(run(folder, [], input=place, loop=False, pace=None))
        client = opened.enter_context(client_of(address))
        put(client, "/api/collect", count=200, label="cup")
        eventually(lambda: counts_of(client).get("cup", 0) >= 3)
        dies.set()
        listed = eventually(lambda: (now := client.get("/api/collected").json())["note"] and now)
        taken = counts_of(client)["cup"]
        assert listed["asked"] == 0
        assert listed["note"].startswith(f"The camera was lost: {taken} pictures of 'cup' were taken and are kept.")
        is_back.set()
        eventually(lambda: client.get("/api/state").json()["source"]["state"] == "live")
        assert counts_of(client) == {"cup": taken}
        put(client, "/api/collect", count=1, label="cup")
        eventually(lambda: counts_of(client) == {"cup": taken + 1})
        assert client.get("/api/collected").json()["note"] is None


def test_no_address_leads_out_of_the_folder(client: httpx.Client) -> None:
    for name in ("..%2F..%2Fetc%2Fpasswd.jpg", "nothing.jpg", ".deleted%2Fx.jpg"):
        assert client.get(f"/api/collected/{name}").status_code == 404


@needs_chromium
@pytest.mark.timeout(280)
def test_in_a_browser_two_classes_are_taught_by_button(running: str, client: httpx.Client, tmp_path: Path) -> None:
    driver = start_chromium()
    driver.set_window_size(1280, 1000)
    find, run = driver.find_element, driver.execute_script
    gallery = "return document.getElementById('gallery').children.length"
    try:
        driver.get(f"{running}/teach")
        for kind in ("ring", "cross"):
            field = find("id", "name")
            field.clear()
            field.send_keys(f"my {kind}")
            eventually(lambda: shows(client, kind))  # noqa: B023 - called at once
            run("document.getElementById('hold').dispatchEvent(new PointerEvent('pointerdown', {bubbles: true}))")
            eventually(lambda: counts_of(client).get(f"my {kind}", 0) >= 5)  # noqa: B023
            run("window.dispatchEvent(new PointerEvent('pointerup'))")
            eventually(lambda: client.get("/api/collected").json()["asked"] == 0)
        count = client.get("/api/collected").json()["count"]
        eventually(lambda: run(gallery) == count)
        find("id", "learn").click()
        eventually(lambda: find("id", "take").is_enabled())
        assert "right on" in find("id", "stage").text and find("id", "confusion").is_displayed()
        find("id", "take").click()
        eventually(lambda: "taught-" in find("id", "use").text)
        eventually(lambda: shows(client, "ring"))
        driver.save_screenshot(str(tmp_path / "teach.png"))
        find("id", "back").click()
        eventually(lambda: find("id", "use").text == "in use: small")
        run("document.getElementById('gallery').children[0].click()")
        eventually(lambda: find("id", "delete").is_enabled())
        run("document.getElementById('delete').click()")
        eventually(lambda: run(gallery) == count - 1)
        run("document.getElementById('undo').click()")
        eventually(lambda: run(gallery) == count)
        assert not [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
        driver.get(running)
        eventually(lambda: find("id", "teach").is_displayed())
    finally:
        driver.quit()
