"""A real Prometheus asks three pages: every expression can be evaluated, and the boards are found."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from camera_demo.control import Control
from camera_demo.frames import Result
from camera_demo.run_state import RunState
from camera_demo.sinks.page import PageSink
from camera_demo.source_status import SourceStatus
from edge.board.health import Health
from edge.fleet.hearing import from_prometheus
from edge.inference.classifier import Classifier
from tests.monitoring.conftest import FOLLOWING
from tests.monitoring.test_dashboards import DASHBOARDS, queries, read
from tests.monitoring.test_rules import RULES, expressions
from tests.mosquitto import eventually, free_port

PROMETHEUS = shutil.which("prometheus")
pytestmark = pytest.mark.skipif(
    PROMETHEUS is None, reason="prometheus is not installed: scripts/test-fleet-rules fetches it"
)
Pages = list[PageSink]


@pytest.fixture
def pages(make_result: Callable[..., Result], make_classifier: Callable[..., Classifier]) -> Iterator[Pages]:
    made: Pages = []
    for number in range(3):
        state = RunState(SourceStatus("feed"), camera="attic")
        state.loaded(Control(make_classifier(), ()))
        state.on_health(Health(temperature_c=50.0, limit_c=85.0, throttle_bits=0))
        state.on_follow(replace(FOLLOWING, board_id=f"board{number}", bad=FOLLOWING.bad[: int(number == 1)]))
        page = PageSink("127.0.0.1", 0, state)
        page.show(make_result())
        made.append(page)
    yield made
    for page in made:
        page.close()


@pytest.fixture
def address(tmp_path: Path, pages: Pages) -> Iterator[str]:
    """Of a Prometheus that has asked every page twice."""
    assert PROMETHEUS is not None
    config = tmp_path / "prometheus.yml"
    config.write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(RULES)],
                "scrape_configs": [
                    {
                        "job_name": "mobilenet-edge",
                        "static_configs": [{"targets": [f"127.0.0.1:{page.port}" for page in pages]}],
                    }
                ],
            }
        )
    )
    port = free_port()
    command = [PROMETHEUS, f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: scrapes(address) >= 6, 120)
        yield address
    finally:
        process.kill()
        process.wait(30)


def ask(address: str, expression: str) -> Any:
    url = f"{address}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=30) as answer:
        return json.load(answer)["data"]["result"]


def scrapes(address: str) -> float:
    try:
        return sum(float(one["value"][1]) for one in ask(address, "count_over_time(mobilenet_edge_board_info[1m])"))
    except OSError:
        time.sleep(0.2)
        return 0.0


def test_every_expression_can_be_evaluated_and_boards_are_found(address: str, pages: Pages) -> None:
    every = [query for path in DASHBOARDS for query in queries(read(path)) if not query.startswith("label_values")]
    empty = []
    for expression in [*every, *expressions().values()]:
        text = re.sub(r"\$__rate_interval|\$__range", "10s", expression)
        text = re.sub(r"\$\w+", ".*", text)
        if not ask(address, text):  # raises where it cannot be evaluated
            empty.append(expression)
    fleet = [query for query in queries(read(DASHBOARDS[0])) if query in empty]
    assert {re.sub(r"[({ ].*", "", query) for query in fleet} <= {
        "rate", "sum", "histogram_quantile", "ALERTS", "instance:camera_demo_labels:drift_from_past",
        "instance:camera_demo_labels:drift_from_equals",
    }, "only what takes time or alarms shows nothing"  # fmt: skip
    heard = {board.board_id: board for board in from_prometheus(address).boards}
    assert set(heard) == {"board0", "board1", "board2"}
    assert [len(heard[f"board{number}"].bad) for number in range(3)] == [0, 1, 0]
    assert {(board.channel, board.ring, board.phase) for board in heard.values()} == {("birds", "first", "rolled_back")}
