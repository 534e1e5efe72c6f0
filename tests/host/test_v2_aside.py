"""Another pack serves `/api/v2/jobs`: it stays theirs, ours is under `/expeditor`, and one line in the log and health say so."""

from __future__ import annotations

from tests.host.stock_walk import TEST_NODES
from tests.support.comfy_server import RealComfyUI

SERVES_V2 = TEST_NODES.parent / "serves_v2"


def test_the_path_stays_theirs_and_ours_is_beside_it() -> None:
    with RealComfyUI(packs=[SERVES_V2]) as server:
        assert server.get("/api/v2/jobs").json()["served_by"] == "another pack"
        assert server.get("/api/v2/health").status_code == 404
        for prefix in ("/expeditor/api/v2", "/api/expeditor/api/v2"):
            answer = server.get(f"{prefix}/health")
            assert (answer.status_code, answer.json()["status"]) == (200, "ok")
            assert answer.headers["X-Comfy-Request-Id"]
        health = server.get("/expeditor/health").json()
        assert health["status"] == "ok"
        assert "/expeditor/api/v2" in health["hooks"]["api_v2"]
        assert server.log_text().count("Hook api_v2 stands down") == 1


def test_both_paths_are_ours_when_nobody_has_them(expeditor_server: RealComfyUI) -> None:
    for prefix in ("/api/v2", "/expeditor/api/v2", "/api/expeditor/api/v2"):
        assert expeditor_server.get(f"{prefix}/health").status_code == 200
        assert expeditor_server.get(f"{prefix}/none").json()["error"]["code"] == "not_found"
    assert expeditor_server.get("/expeditor/health").json()["hooks"]["api_v2"] == "on"
    assert expeditor_server.get("/v2/health").status_code == 404
