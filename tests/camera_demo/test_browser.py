"""The page in a real browser: headless Chromium, driven by selenium."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from camera_demo import session
from camera_demo.errors import SourceError
from camera_demo.settings import Settings
from camera_demo.sources.base import Source
from camera_demo.sources.clip import ClipSource
from camera_demo.sources.demo import DEMO_CLIP
from camera_demo.sources.paced import PacedSource
from camera_demo.sources.prefetch import latest_frames
from camera_demo.sources.reconnecting import ReconnectingSource, Report
from camera_demo.sources.repeated import RepeatedSource
from camera_demo.stop import Stop
from tests.camera_demo.chromium import needs_chromium, start_chromium
from tests.waiting import eventually

pytestmark = [needs_chromium, pytest.mark.timeout(180)]
CLIP = Path(session.__file__).parent / DEMO_CLIP


class Plug:
    """The demo clip as a camera whose plug is at hand."""

    def __init__(self) -> None:
        self.is_in = True

    def open(self, stop: Stop) -> Source:
        if not self.is_in:
            raise SourceError("There is no camera /dev/video0: none is plugged in.")
        return Plugged(RepeatedSource(ClipSource(CLIP), lambda: ClipSource(CLIP)), self)


class Plugged(PacedSource):
    """Breaks off when the plug is pulled."""

    def __init__(self, source: Source, plug: Plug) -> None:
        super().__init__(source)
        self.name, self._plug = "/dev/video0", plug

    def frames(self, stop: Stop) -> Iterator[Any]:
        for frame in super().frames(stop):
            if not self._plug.is_in:
                raise SourceError(f"Camera /dev/video0 was unplugged after {frame.index} frames. Plug it in again.")
            yield frame


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    driver = start_chromium()
    yield driver
    driver.quit()


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Plug:
    made = Plug()

    def open_source(uri: Any, report: Report, **wishes: Any) -> Source:
        return latest_frames(ReconnectingSource(made.open(Stop()), made.open, report, name="/dev/video0"))

    monkeypatch.setattr(session, "open_source", open_source)
    return made


@pytest.fixture
def address(plug: Plug) -> Iterator[str]:
    """Where the page is, of a run with the demo bundle and a budget that a busy machine keeps, too."""
    said, stop = list[str](), Stop()
    settings = Settings(input="demo", outputs=("http://127.0.0.1:0",), threads=1, fps=2)
    thread = threading.Thread(target=session.run, args=(settings, stop), kwargs={"announce": said.append})
    thread.start()
    try:
        end_s = time.monotonic() + 60
        while not any(line.startswith("Using ") for line in said):
            assert time.monotonic() < end_s and thread.is_alive(), said
            time.sleep(0.05)
        yield next(line.split()[-1] for line in said if "live picture" in line)
    finally:
        stop.request()
        thread.join(20)
    assert not thread.is_alive()


def several(look: Callable[[], str], are_enough: Callable[[set[str]], bool]) -> None:
    """Look again and again until enough was seen."""
    seen: set[str] = set()

    def check() -> bool:
        seen.add(look())
        return are_enough(seen)

    eventually(check, 25)


def text(browser: Any, name: str) -> str:
    found: str = browser.execute_script("return document.getElementById(arguments[0]).textContent", name)
    return found


def picture(browser: Any) -> str:
    """What the live picture shows now, as a coarse thumbnail."""
    script = """
        const image = document.getElementById("stream"), canvas = document.createElement("canvas");
        if (!image.naturalWidth) return "";
        canvas.width = 32; canvas.height = 24;
        canvas.getContext("2d").drawImage(image, 0, 0, 32, 24);
        return canvas.toDataURL();
    """
    found: str = browser.execute_script(script)
    return found


def test_the_page_shows_the_live_picture_the_answers_and_what_becomes_of_the_camera(
    browser: Any, address: str, plug: Plug
) -> None:
    browser.get(address)
    eventually(lambda: text(browser, "pill") == "live")
    assert text(browser, "source") == "demo · /dev/video0"
    several(lambda: picture(browser), lambda seen: len(seen - {""}) >= 4)
    several(lambda: text(browser, "best"), lambda seen: {"three", "seven", "zero"} <= seen)
    assert re.fullmatch(r"\d+ %", text(browser, "sure"))
    several(lambda: ", ".join(percentages(browser)), lambda seen: len(seen) >= 4)
    assert shown(browser, "#variants button.is-active"), "the list is scrolled to the active variant"
    assert [text(browser, name) for name in ("heading-top1", "heading-cost")] == ["top-1", "p95"]
    eventually(lambda: float(text(browser, "fps")) > 0)

    press(browser, "#presets button[data-fps='60']")
    eventually(lambda: text(browser, "budget-text").endswith("60 fps"))
    slide_to(browser, 0)
    eventually(lambda: active(browser) == "mobilenet_v1_0.25_128")
    eventually(lambda: text(browser, "budget-text").startswith("0.5 ms"))
    eventually(lambda: text(browser, "why").endswith(" ms."))
    assert " misses the budget of 0.5 ms by " in text(browser, "why")

    press(browser, "#variants button[data-name='mobilenet_v1_0.50_224']")
    eventually(lambda: active(browser) == "mobilenet_v1_0.50_224")
    assert pressed(browser, "#variants button.is-active") and not pressed(browser, "#auto")
    assert shown(browser, "#variants button.is-active")
    eventually(lambda: "0.50_224, which you pinned, misses the budget of 0.5 ms by " in text(browser, "why"))
    press(browser, "#auto")
    eventually(lambda: pressed(browser, "#auto"))

    plug.is_in = False
    eventually(lambda: text(browser, "pill") == "camera lost")
    eventually(lambda: "none is plugged in" in text(browser, "reason"))
    eventually(lambda: text(browser, "lost").startswith("Waiting for the camera, "))
    plug.is_in = True
    eventually(lambda: text(browser, "pill") == "live")
    frozen = picture(browser)
    eventually(lambda: picture(browser) != frozen)

    complaints = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert complaints == [], "no policy of the page's own is broken, and nothing is missing"


@pytest.mark.parametrize(("width", "height"), [(360, 740), (820, 1180), (1600, 900)])
def test_nothing_sticks_out_on_any_screen(browser: Any, address: str, width: int, height: int) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": width < 800}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        browser.get(address)
        eventually(lambda: text(browser, "pill") == "live")
        eventually(lambda: picture(browser))
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width
        small = browser.execute_script(
            "return [...document.querySelectorAll('button:not([hidden])')].filter(b => b.offsetHeight < 36).length"
        )
        assert small == 0, "a finger must hit every button"
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_classes_of_no_share_are_left_out_and_the_chart_has_room_for_its_marks(browser: Any, address: str) -> None:
    browser.get(address)
    eventually(lambda: text(browser, "pill") == "live")
    answer = {
        "labels": [{"label": "three", "probability": 0.9996}, {"label": "two", "probability": 0.0004}],
        "fps": 999.5,
        "capture_to_answer_ms": 4000.0,
        "infer_ms": 3000.0,
        "dropped": 0,
        "variant": "mobilenet_v1_0.25_128",
        "backend": "fake",
    }
    script = """
        events.close();
        showAnswer(arguments[0]);
        samples = [{at: performance.now() / 1000, fps: 999.5, median: 4000, max: 4000}];
        const drawn = [], pen = at("chart").getContext("2d");
        pen.fillText = function (text, x) {
            const width = this.measureText(text).width;
            drawn.push([text, this.textAlign === "right" ? x - width : x, this.textAlign === "right" ? x : x + width]);
        };
        draw();
        return {labels: [...document.querySelectorAll("#labels li")].map(row => row.textContent),
                drawn, width: at("chart").clientWidth};
    """
    found = browser.execute_script(script, answer)
    assert found["labels"] == ["three100 %"]
    assert [mark for mark, *_ in found["drawn"]] == ["0", "2500", "5000 ms", "0", "1000", "2000 fps"]
    assert all(left >= 0 and right <= found["width"] for _, left, right in found["drawn"])


def test_events_are_listed_with_a_picture_the_time_and_how_long_they_lasted(browser: Any, address: str) -> None:
    browser.get(address)
    eventually(lambda: {"three", "seven"} <= {name for name, *_ in listed(browser)}, 30)
    eventually(lambda: any(duration.endswith(" s") for _, duration, *_ in listed(browser)))
    _, duration, when, _ = next(row for row in listed(browser) if row[1].endswith(" s"))
    assert re.fullmatch(r"\d+\.\d s", duration) and re.search(r"\d+:\d\d:\d\d.* · \d+ %", when), (duration, when)
    eventually(lambda: all(row[3] > 0 for row in listed(browser) if row[1] != "now"))
    count = len(listed(browser))
    browser.refresh()
    eventually(lambda: len(listed(browser)) >= count), "those of before are listed again"


def test_what_is_unknown_at_rest_or_being_measured_is_said(browser: Any, address: str) -> None:
    browser.get(address)
    eventually(lambda: text(browser, "pill") == "live")
    answer = {"labels": [], "unknown": True, "kept": True, "fps": 15.0, "capture_to_answer_ms": 4.0, "infer_ms": 0.0,
              "dropped": 0, "variant": "mobilenet_v1_0.25_128", "backend": "fake"}  # fmt: skip
    browser.execute_script("events.close(); showAnswer(arguments[0]);", answer)
    assert [text(browser, name) for name in ("best", "sure", "infer")] == ["unknown", "", "at rest"]
    assert text(browser, "nothing") == "Unknown: probably none of the classes."
    assert percentages(browser) == []
    script = "showLive({...live, measuring: {stage: 'mobilenet_v1_0.50_160', share: 0.4}})"
    browser.execute_script(script)
    assert [text(browser, name) for name in ("pill", "lost")] == ["measuring", "Measuring this machine, 40 %"]
    assert text(browser, "reason").endswith("Now: 0.50_160.")
    browser.execute_script("showLive({...live, measuring: null})")
    assert text(browser, "pill") == "live"


def test_each_region_has_its_answers_and_its_frame_in_the_picture(browser: Any, address: str) -> None:
    browser.get(address)
    eventually(lambda: text(browser, "pill") == "live")
    script = """
        events.close();
        answers.clear();
        const seen = [["gate", 'a <b>"cup"</b>', [0.5, 0, 1, 1]], ["door", "mug", [0, 0, 0.5, 1]]];
        for (const [name, label, region] of seen)
            showAnswer({region_name: name, region, labels: [{label, probability: 0.9}], unknown: false, fps: 15,
                        capture_to_answer_ms: 4, infer_ms: 3, dropped: 0, variant: "v", backend: "fake"});
        const boxes = [...document.querySelectorAll("#rois div")];
        return boxes.map(box => [box.textContent, box.style.left, box.style.width]);
    """
    assert browser.execute_script(script) == [["door: mug", "0%", "50%"], ['gate: a <b>"cup"</b>', "50%", "50%"]]
    inside = """
        showAnswer({region_name: "hall", region: [0, 0, 1, 1], labels: [{label: "mug", probability: 0.9}],
                    unknown: false, fps: 15, capture_to_answer_ms: 4, infer_ms: 3, dropped: 0, variant: "v",
                    backend: "fake"});
        const tops = [...document.querySelectorAll("#rois span")].map(name => name.getBoundingClientRect());
        answers.delete("hall");
        showRegions();
        return tops.map(box => [box.top, box.bottom]);
    """
    (top, bottom), _, (below, _) = browser.execute_script(inside)
    assert top < bottom <= below, "names of regions with one corner stand below each other"
    assert text(browser, "best") == "door: mug"
    press(browser, "#regions button:nth-child(2)")
    assert text(browser, "best") == 'gate: a <b>"cup"</b>'
    assert pressed(browser, "#regions button:nth-child(2)") and not pressed(browser, "#regions button:nth-child(1)")


def listed(browser: Any) -> list[tuple[str, str, str, int]]:
    """The rows of the list of events: label, duration, time, and how wide the picture is."""
    script = """
        return [...document.querySelectorAll("#events li")].map(row => [
            ...["span", "time", "small"].map(name => row.querySelector(name).textContent),
            row.querySelector("img") ? row.querySelector("img").naturalWidth : 0]);
    """
    found: list[tuple[str, str, str, int]] = browser.execute_script(script)
    return found


def percentages(browser: Any) -> list[str]:
    found: list[str] = browser.execute_script(
        "return [...document.querySelectorAll('#labels b')].map(b => b.textContent)"
    )
    return found


def shown(browser: Any, selector: str) -> bool:
    """Whether an element of the list of variants is within what the list shows of it."""
    script = """
        const list = document.getElementById("variants").getBoundingClientRect();
        const button = document.querySelector(arguments[0]).getBoundingClientRect();
        return button.top >= list.top - 1 && button.bottom <= list.bottom + 1;
    """
    return bool(browser.execute_script(script, selector))


def active(browser: Any) -> str:
    found: str = browser.execute_script(
        "const b = document.querySelector('#variants button.is-active'); return b ? b.dataset.name : ''"
    )
    return found


def press(browser: Any, selector: str) -> None:
    eventually(lambda: browser.execute_script("return !!document.querySelector(arguments[0])", selector))
    browser.execute_script("document.querySelector(arguments[0]).click()", selector)


def pressed(browser: Any, selector: str) -> bool:
    script = "return document.querySelector(arguments[0]).getAttribute('aria-pressed') === 'true'"
    return bool(browser.execute_script(script, selector))


def slide_to(browser: Any, position: int) -> None:
    script = """
        const slider = document.getElementById("budget");
        slider.value = arguments[0];
        for (const name of ["input", "change"]) slider.dispatchEvent(new Event(name));
    """
    browser.execute_script(script, position)
