"""/metrics over HTTP: the cluster's figures, and what came through this door."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from modserve.gateway.keys import make_key
from modserve.tests.cli.test_asking import reporting
from modserve.tests.cli.top.statuses import recorded
from modserve.tests.client.scripted import scripted
from modserve.tests.gateway.front import front


def test_a_gateway_tells_of_the_cluster_and_of_its_own_answers(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    bearer = {"authorization": f"Bearer {make_key(keys, 'alice')}"}
    with (
        scripted(reporting(recorded("three")[0])) as controller,
        front(controller.endpoint, api_keys=keys) as served,
        served.http() as http,
    ):
        assert http.get("/metrics").status_code == 401
        http.get("/v1/models/no-such-model", headers=bearer)
        answer = http.get("/metrics", headers=bearer)
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = {one.name: one for one in text_string_to_metric_families(answer.text)}
    assert "modserve_kv_cache_usage_perc" in families
    told = [one.labels for one in families["modserve_gateway_requests"].samples]
    assert {"route": "/metrics", "method": "GET", "status": "401", "key": "-"} in told
    missing = {"route": "/v1/models/{name:path}", "method": "GET", "status": "404", "key": "alice"}
    assert missing in told
