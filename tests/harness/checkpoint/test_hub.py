"""Names of the hub, against a server on this machine that answers as the hub does."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from benchmarks.backbone import digest
from harness.checkpoint.hub import on_hub, short_name
from tests.harness.checkpoint.conftest import trained

ROOT = Path(__file__).resolve().parents[3]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
Repositories = dict[str, dict[str, bytes]]


class Hub(http.server.BaseHTTPRequestHandler):
    """What ``huggingface_hub/file_download.py`` and ``hf_api.py`` ask for: files with commit and hash, and lists."""

    repositories: Repositories

    def do_HEAD(self) -> None:
        self.do_GET(body=False)

    def do_GET(self, body: bool = True) -> None:
        parts = self.path.partition("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            files = self.repositories.get("/".join(parts[2:4]))
            listing = {"id": "x/y", "siblings": [{"rfilename": name} for name in files or ()]}
            self._answer(None if files is None else json.dumps(listing).encode(), body, "RepoNotFound")
            return
        files = self.repositories.get("/".join(parts[:2]))
        if files is None:
            self._answer(None, body, "RepoNotFound")
        elif parts[3] not in ("main", COMMIT):
            self._answer(None, body, "RevisionNotFound")
        else:
            self._answer(files.get("/".join(parts[4:])), body, "EntryNotFound")

    def _answer(self, content: bytes | None, body: bool, error: str) -> None:
        self.send_response(404 if content is None else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        if content is None:
            self.send_header("X-Error-Code", error)
        self.send_header("ETag", f'"{hashlib.sha256(content or b"").hexdigest()}"')
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        if body and content:
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def backbone() -> dict[str, torch.Tensor]:
    return trained(0)


@pytest.fixture(scope="module")
def hub(backbone: dict[str, torch.Tensor]) -> Iterator[str]:
    weights = save(backbone, metadata={"format": "pt"})
    config = json.dumps({"architecture": "resnetaa50"}).encode()
    Hub.repositories = {
        "timm/resnet50.a1_in1k": {"model.safetensors": weights, "config.json": b'{"architecture": "resnet50"}'},
        "someone/blurred": {"model.safetensors": weights, "config.json": config},
        "someone/one": {"README.md": b"#", "weights/simclr.pth": weights},
        "someone/two": {"a.pth": weights, "b.ckpt": weights},
    }
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def inspect(folder: Path, endpoint: str, name: str, *more: str, status: int = 0, offline: bool = False) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "hf"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    environment |= {"HF_HUB_OFFLINE": "1"} if offline else {}
    command = [
        sys.executable,
        "-P",
        "-m",
        "harness",
        "inspect",
        "--ckpt",
        name,
        "--workspace",
        str(folder / "w"),
        *more,
    ]
    ended = subprocess.run(
        command, cwd=folder, env=environment | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == status, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout + ended.stderr


def test_names() -> None:
    assert on_hub("hf://a/b")
    assert on_hub("timm:resnet50.a1_in1k")
    assert not on_hub("simclr.pth")
    assert short_name("hf://a/b.c/d/e.pth@main") == "b.c"
    assert short_name("timm:resnet50.a1_in1k") == "resnet50.a1_in1k"


def test_a_file_is_fetched_read_and_remembered(hub: str, backbone: dict[str, torch.Tensor], tmp_path: Path) -> None:
    found = inspect(tmp_path, hub, "timm:resnet50.a1_in1k")
    assert digest(backbone) in found
    assert f"checkpoint    hf://timm/resnet50.a1_in1k/model.safetensors@{COMMIT[:12]}" in found
    # From the cache of the library, without the hub.
    assert digest(backbone) in inspect(tmp_path, "http://127.0.0.1:9", "timm:resnet50.a1_in1k", offline=True)


@pytest.mark.parametrize(
    "name", ["hf://someone/one", "hf://someone/one/weights/simclr.pth", f"hf://someone/one/weights/simclr.pth@{COMMIT}"]
)
def test_the_only_checkpoint_of_a_repository(
    hub: str, backbone: dict[str, torch.Tensor], tmp_path: Path, name: str
) -> None:
    found = inspect(tmp_path, hub, name)
    assert digest(backbone) in found
    assert f"hf://someone/one/weights/simclr.pth@{COMMIT[:12]}" in found


def test_the_config_of_the_repository_stands_beside_the_file(hub: str, tmp_path: Path) -> None:
    assert "says architecture resnetaa50" in inspect(tmp_path, hub, "hf://someone/blurred", status=2)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hf://someone/two", "2 files that may be the checkpoint: a.pth, b.ckpt"),
        ("hf://nobody/nothing", "the hub has no such repository"),
        ("hf://someone/one/nothing.pth", "the hub has no such file"),
        ("hf://someone/one/weights/simclr.pth@v9", "the hub has no such revision"),
        ("hf://someone", "cannot read this name"),
        ("hf://a/b/c@d@e", "cannot read this name"),
        ("timm:", "cannot read this name"),
    ],
)
def test_names_that_lead_nowhere(hub: str, tmp_path: Path, name: str, said: str) -> None:
    found = inspect(tmp_path, hub, name, status=2)
    assert said in found
    assert "mend:" in found


def test_a_hub_that_cannot_be_reached(tmp_path: Path) -> None:
    found = inspect(tmp_path, "http://127.0.0.1:9", "hf://someone/one/weights/simclr.pth", status=2)
    assert "cannot be reached" in found or "cannot be fetched" in found


@pytest.mark.skipif("timm" in sys.modules, reason="timm is installed")
def test_timm_without_a_tag_and_without_timm(tmp_path: Path) -> None:
    assert "timm:resnet50.a1_in1k" in inspect(tmp_path, "http://127.0.0.1:9", "timm:resnet50", status=2)
