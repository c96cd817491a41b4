"""Metrics, alerts and the dashboard ask for what the APIs have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import promql_parser
import pytest

from infra.api_names import deployment_name
from infra.manifests import K8S
from tests.infra.manifests import (
    of_kind,
    selects,
    served,
)
from tests.serving.servers import Server, serving


def test_the_api_is_watched() -> None:
    (monitor,) = of_kind("production", "ServiceMonitor")
    services = [
        one
        for one in of_kind("production", "Service")
        if selects(monitor["spec"]["selector"], one["metadata"].get("labels", {}))
    ]
    assert sorted(one["metadata"]["name"] for one in services) == sorted(map(deployment_name, served("production")))
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["path"] == "/metrics"
    assert all(endpoint["port"] in {port["name"] for port in one["spec"]["ports"]} for one in services)


@pytest.fixture(scope="module")
def known_metrics(promoted_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Every name that a running API's /metrics has, once it has answered."""
    with serving("music", promoted_bundle, tmp_path_factory.mktemp("metrics")) as server:
        server.client.get("/info")
        return set(_names(server))


def _names(server: Server) -> Iterator[str]:
    for line in server.client.get("/metrics").text.splitlines():
        if not line.startswith("#"):
            yield re.split(r"[{ ]", line)[0]


OF_THE_CLUSTER = {
    "kube_horizontalpodautoscaler_status_current_replicas",
    "kube_horizontalpodautoscaler_spec_max_replicas",
}
"""kube-state-metrics'."""


def test_alerts_and_dashboard_ask_for_what_there_is(known_metrics: set[str]) -> None:
    (rules,) = of_kind("production", "PrometheusRule")
    alerts = {rule["alert"]: rule for group in rules["spec"]["groups"] for rule in group["rules"]}
    assert {"ApiErrors", "ApiSlow", "ApiSaturated", "ModelNotPassed"} <= set(alerts)
    for rule in alerts.values():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert set(rule["annotations"]) == {"summary", "action"}
    dashboard = json.loads((K8S / "base" / "monitoring" / "dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(queries) >= 8
    asked = set()
    for query in [*queries, *(rule["expr"] for rule in alerts.values())]:
        promql_parser.parse(query.replace("$__rate_interval", "5m"))
        asked |= set(re.findall(r"([a-zA-Z_:][\w:]*)\{", query))
    assert asked - known_metrics - OF_THE_CLUSTER == set()


def test_a_waived_or_failed_audit_raises_the_alarm(known_metrics: set[str]) -> None:
    (rules,) = of_kind("production", "PrometheusRule")
    (alert,) = (
        rule for group in rules["spec"]["groups"] for rule in group["rules"] if rule["alert"] == "ModelNotPassed"
    )
    (quiet,) = re.findall(r'audit!~"([^"]*)"', alert["expr"])
    assert sorted(quiet.split("|")) == ["PASS", "none"]
    assert "model_info" in known_metrics
