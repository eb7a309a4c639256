"""Collected, labelled, taught, used and taken back while the loop runs: by requests, and in a real browser."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import jsonschema
import numpy as np
import pytest

import edge
from camera_demo import session
from camera_demo.settings import Settings
from camera_demo.stop import Stop
from tests.edge.small_demo import write_small_demo
from tests.edge.teaching.test_teach import scene

ROOT = Path(__file__).parents[2]
DOCUMENT: dict[str, Any] = json.loads((ROOT / "docs/openapi.json").read_text(encoding="utf-8"))
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


def checked(path: str, answer: httpx.Response) -> Any:
    """The answer's JSON, as ``docs/openapi.json`` describes it."""
    method = "put" if answer.request.method == "PUT" else "get"
    responses = DOCUMENT["paths"][path][method]["responses"]
    schema = responses[str(answer.status_code)]["content"]["application/json"]["schema"]
    jsonschema.validate(answer.json(), {**schema, "components": DOCUMENT["components"]})
    return answer.json()


def write_clip(path: Path) -> Path:
    """Rings for eight seconds, each a little elsewhere, then crosses."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12, (160, 120))
    for number, kind in enumerate(("ring", "cross")):
        for seed in range(24):
            for _ in range(4):
                writer.write(scene(kind, 100 * number + seed))
    writer.release()
    return path


@pytest.fixture
def running(tmp_path: Path) -> Iterator[str]:
    """The page's address, of a run that collects only what is asked for."""
    bundle, clip = write_small_demo(tmp_path / "bundle"), write_clip(tmp_path / "camera.avi")
    seen = f"collect:{tmp_path / 'seen'}?unsure=no&unknown=no"
    settings = Settings(
        input=str(clip),
        outputs=("http://127.0.0.1:0", seen),
        bundle=str(bundle),
        variant="0.25_128",
        threads=1,
        loop=True,
        pace=True,
    )
    stop, said = Stop(), list[str]()
    thread = threading.Thread(target=lambda: session.run(settings, stop, announce=said.append))
    thread.start()
    try:
        eventually(lambda: any("live picture" in line for line in said))
        yield next(line.split()[-1] for line in said if "live picture" in line)
    finally:
        stop.request()
        thread.join(30)
    assert not thread.is_alive()


def eventually(check: Callable[[], Any], timeout_s: float = 60) -> Any:
    end_s = time.monotonic() + timeout_s
    while not (found := check()):
        assert time.monotonic() < end_s, "not in time"
        time.sleep(0.05)
    return found


@pytest.fixture
def client(running: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running, timeout=30, trust_env=False) as client:
        eventually(lambda: client.get("/api/teaching").status_code == 200)
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


def test_no_address_leads_out_of_the_folder(client: httpx.Client) -> None:
    for name in ("..%2F..%2Fetc%2Fpasswd.jpg", "nothing.jpg", ".deleted%2Fx.jpg"):
        assert client.get(f"/api/collected/{name}").status_code == 404


@pytest.mark.skipif(None in (CHROMIUM, DRIVER), reason="no Chromium: apt-get install chromium chromium-driver")
@pytest.mark.timeout(280)
def test_in_a_browser_two_classes_are_taught_by_button(running: str, client: httpx.Client, tmp_path: Path) -> None:
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
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
