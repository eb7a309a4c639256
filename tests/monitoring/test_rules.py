"""The alerts of docs/prometheus-rules.yml: what they name exists, and promtool's own tests of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.monitoring.conftest import Metrics
from tests.monitoring.promql import FOREIGN, labels_of, names_of

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "docs/prometheus-rules.yml"
DOCUMENT = ROOT / "docs/fleet-monitoring.md"
CASES = sorted(Path(__file__).parent.glob("rules-of-*.yml"))
PROMTOOL = shutil.which("promtool")

needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed: scripts/test-fleet-rules fetches it"
)


def expressions() -> dict[str, str]:
    """Every expression, by the name of its rule."""
    found = re.findall(
        r"^ +- (?:alert|record): (\S+)\n +expr: (\|\n(?:(?: {10,}.*)?\n)+|.*\n)", RULES.read_text(), re.MULTILINE
    )
    assert len(found) == len(re.findall(r"^ +expr:", RULES.read_text(), re.MULTILINE)) > 20
    return {name: expression.removeprefix("|") for name, expression in found}


def test_every_metric_is_one_that_camera_demo_has_or_a_rule_records(metrics: Metrics) -> None:
    rules = expressions()
    known = set(metrics) | {name for name in rules if ":" in name} | set(FOREIGN)
    for name, expression in rules.items():
        assert names_of(expression), name
        assert names_of(expression) <= known, name
    assert {"camera_demo_labels_total", "mobilenet_edge_board_info"} <= names_of(" ".join(rules.values()))


def test_every_label_is_one_that_its_metrics_have(metrics: Metrics) -> None:
    every = {label for labels in (*metrics.values(), *FOREIGN.values()) for label in labels}
    for name, expression in expressions().items():
        own = {label for metric in names_of(expression) for label in metrics.get(metric, FOREIGN.get(metric, every))}
        assert labels_of(expression) <= own | {"job", "instance"}, name


def test_every_alert_is_tested_where_it_fires_and_where_it_does_not() -> None:
    text = "".join(path.read_text() for path in CASES)
    silent = set(re.findall(r"\{alertname: (\w+), eval_time: \w+, exp_alerts: \[\]\}", text))
    firing = set(re.findall(r"- alertname: (\w+)\n +eval_time: \w+\n +exp_alerts:\n +- exp_labels", text))
    alerts = {name for name in expressions() if ":" not in name}
    assert alerts == firing == silent


def test_every_alert_says_what_is_wrong_and_how_bad_it_is() -> None:
    alerts = re.split(r"^ +- alert: ", RULES.read_text(), flags=re.MULTILINE)[1:]
    for alert in alerts:
        assert re.search(r"severity: (critical|warning|info)\}", alert) and "summary: " in alert, alert[:40]
        assert "$labels." in alert or "$value" in alert, alert[:40]


def test_the_document_names_every_alert_and_metrics_that_there_are(metrics: Metrics) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    alerts = {name for name in expressions() if ":" not in name}
    table = text.partition("| alert | when |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([A-Z]\w+)`", table)) == alerts
    assert set(re.findall(r"`((?:mobilenet_edge|camera_demo|process)_\w+)`", text)) <= set(metrics)
    ours = {name for name in metrics if name.startswith("mobilenet_edge_")}
    assert ours <= set(re.findall(r"`(mobilenet_edge_\w+)`", text)), "every metric of the fleet is documented"


@needs_promtool
def test_promtool_finds_the_rules_right() -> None:
    assert PROMTOOL is not None
    command = [PROMTOOL, "check", "rules", "--lint=all", "--lint-fatal", str(RULES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_each_alert_fires_where_it_should_and_nowhere_else(case: Path) -> None:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, "test", "rules", str(case)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout
