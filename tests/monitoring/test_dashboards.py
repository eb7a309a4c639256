"""The Grafana dashboards of docs/: they show metrics that there are, and are what Grafana takes."""

from __future__ import annotations

import enum
import json
import re
import subprocess
from collections.abc import Iterator
from copy import deepcopy
from itertools import combinations
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from tests.monitoring.conftest import Metrics
from tests.monitoring.promql import FOREIGN, labels_of, names_of
from tests.monitoring.test_rules import PROMTOOL, ROOT, expressions, needs_promtool

DASHBOARDS = sorted((ROOT / "docs").glob("grafana*.json"))
KINDS = {"stat", "timeseries", "heatmap", "state-timeline", "table"}

each = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def queries(dashboard: dict[str, Any]) -> list[str]:
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    variables = dashboard["templating"]["list"]
    return shown + [variable["definition"] for variable in variables if variable["type"] == "query"]


def test_there_are_one_of_a_camera_and_one_of_a_fleet() -> None:
    assert [path.stem for path in DASHBOARDS] == ["grafana-fleet", "grafana"]


@each
def test_it_shows_metrics_that_there_are_by_labels_that_they_have(path: Path, metrics: Metrics) -> None:
    recorded = {name for name in expressions() if ":" in name}
    every = {label for labels in (*metrics.values(), *FOREIGN.values()) for label in labels}
    for expression in queries(read(path)):
        assert expression.count("(") == expression.count(")") and expression.count("{") == expression.count("}")
        names = names_of(expression)
        assert names and names <= set(metrics) | recorded | set(FOREIGN), expression
        own = {label for name in names for label in metrics.get(name, FOREIGN.get(name, every))}
        assert labels_of(expression) <= own | {"job", "instance"}, expression
    legends = [target["legendFormat"] for panel in read(path)["panels"] for target in panel["targets"]]
    assert {name for legend in legends for name in re.findall(r"\{\{(\w+)\}\}", legend)} <= every | {"instance"}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("grafana", "labels_total confidence_bucket unknown_total events_total event_active kept_total"),
        ("grafana-fleet", "late_total capture_to_answer_seconds_bucket temperature_celsius source_up unknown_total"),
    ],
)
def test_what_a_dashboard_must_show(name: str, shown: str) -> None:
    names = {one for query in queries(read(ROOT / f"docs/{name}.json")) for one in names_of(query)}
    assert {f"camera_demo_{one}" for one in shown.split()} <= names
    if name == "grafana-fleet":
        assert {"mobilenet_edge_update_info", "mobilenet_edge_update_bad", "ALERTS", "up"} <= names


@each
def test_its_panels_have_a_place_each_and_use_its_variables(path: Path) -> None:
    dashboard = read(path)
    assert dashboard["title"] and dashboard["uid"] and dashboard["schemaVersion"] >= 36
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps([dashboard["panels"], dashboard["templating"]])))
    assert "datasource" in variables and variables <= used <= variables | {"__rate_interval", "__range", "__all"}
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["type"] in KINDS
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24 and min(place["w"], place["h"]) > 0
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        apart = [one[a] + one[s] <= other[a] or other[a] + other[s] <= one[a] for a, s in (("x", "w"), ("y", "h"))]
        assert any(apart), "no panel lies on another"


def test_the_two_have_ids_of_their_own() -> None:
    assert len({read(path)["uid"] for path in DASHBOARDS}) == len({read(path)["title"] for path in DASHBOARDS}) == 2


def lost(given: Any, kept: Any, path: str = "") -> Iterator[str]:
    """Where ``given`` has what ``kept`` has not."""
    if isinstance(given, dict):
        for key, value in given.items():
            if not isinstance(kept, dict) or key not in kept:
                yield f"{path}.{key}"
            else:
                yield from lost(value, kept[key], f"{path}.{key}")
    elif isinstance(given, list):
        for index, value in enumerate(given):
            yield from lost(value, kept[index] if index < len(kept) else None, f"{path}[{index}]")
    elif given != kept:
        yield path


def outside(value: Any, path: str = "") -> Iterator[str]:
    """Where a value of Grafana's model is none of those that its schema lists for the field."""
    if isinstance(value, list):
        for index, one in enumerate(value):
            yield from outside(one, f"{path}[{index}]")
    if not type(value).__module__.startswith("grafana_foundation_sdk.models"):
        return
    for name, hint in get_type_hints(type(value)).items():
        found = getattr(value, name, None)
        kinds = [kind for kind in (hint, *get_args(hint)) if isinstance(kind, type)]
        listed = {one.value for kind in kinds if issubclass(kind, enum.Enum) for one in kind}
        if listed and found is not None and getattr(found, "value", found) not in listed:
            yield f"{path}.{name}"
        yield from outside(found, f"{path}.{name}")


def faults(dashboard: dict[str, Any]) -> set[str]:
    """What Grafana would drop of a dashboard, and what it would not understand, without the numbers."""
    model = pytest.importorskip("grafana_foundation_sdk.models.dashboard", reason="pip install grafana-foundation-sdk")
    encoder = pytest.importorskip("grafana_foundation_sdk.cog.encoder")
    pytest.importorskip("grafana_foundation_sdk.cog.plugins").register_default_plugins()  # of each kind of panel
    known = model.Dashboard.from_json(deepcopy(dashboard))
    dropped = lost(dashboard, json.loads(encoder.JSONEncoder().encode(known)))
    return {re.sub(r"\[\d+\]", "", one) for one in (*dropped, *outside(known))}


@each
def test_grafanas_own_model_of_a_dashboard_knows_every_key_and_value_of_it(path: Path) -> None:
    """The model is made by Grafana Labs of Grafana's schema; ``definition`` is what its page shows of a variable."""
    assert faults(read(path)) <= {".templating.list.definition"}


def test_what_grafana_does_not_know_is_found() -> None:
    dashboard = read(ROOT / "docs/grafana.json")
    panel = next(panel for panel in dashboard["panels"] if panel["type"] == "timeseries")
    panel["gridPosition"] = panel.pop("gridPos")
    panel["targets"][0]["expression"] = "up"
    panel["fieldConfig"]["defaults"]["unitt"] = "s"
    panel["fieldConfig"]["defaults"].setdefault("custom", {})["drawStyle"] = "lines"
    panel.setdefault("options", {})["legnd"] = {}
    dashboard["templating"]["list"][0]["type"] = "datasrc"
    found = " ".join(faults(dashboard))
    for word in ("gridPosition", "targets.expression", "unitt", "draw_style", "options.legnd", "type_val"):
        assert word in found, word


@needs_promtool
@each
def test_prometheus_can_parse_every_expression(path: Path, tmp_path: Path) -> None:
    assert PROMTOOL is not None
    texts = [query for query in queries(read(path)) if not query.startswith("label_values")]
    texts = [re.sub(r"\$(?:__rate_interval|__range)", "5m", text) for text in texts]
    rules = [{"record": f"r{number}", "expr": text} for number, text in enumerate(texts)]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"groups": [{"name": "g", "rules": rules}]}))
    done = subprocess.run([PROMTOOL, "check", "rules", str(file)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and f"{len(rules)} rules found" in done.stdout, done.stdout + done.stderr
