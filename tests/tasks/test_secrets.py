"""What a child gets of the environment: everything but the secrets that are not its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pixtrack.tasks.inference.host.process import EngineProcess
from pixtrack.tasks.secrets import is_secret, without_secrets
from tests.doubles.endpoint import Endpoint
from tests.tasks.inference.engines.test_openai import spec as endpoint_spec

SECRETS = {
    "HF_TOKEN": "hf_x", "HUGGING_FACE_HUB_TOKEN": "hf_y", "AWS_ACCESS_KEY_ID": "AKIA",
    "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t", "AWS_PROFILE": "prod",
    "MLFLOW_TRACKING_PASSWORD": "p", "MLFLOW_TRACKING_URI": "http://u:p@h", "PREFECT_API_KEY": "k",
    "PREFECT_API_AUTH_STRING": "admin:x", "PREFECT_SERVER_API_AUTH_STRING": "admin:x",
    "DATABASE_URL": "postgresql://u:p@h/d", "PGPASSWORD": "p", "GITHUB_TOKEN": "g",
    "OPENAI_API_KEY": "sk", "ANTHROPIC_API_KEY": "sk", "AZURE_STORAGE_KEY": "z",
    "GOOGLE_APPLICATION_CREDENTIALS": "/x.json", "MY_SERVICE_PASSWORD": "p", "COOKIE": "c",
    "SOME_ADDRESS": "https://user:pass@example.org/x", "SSH_AUTH_SOCK": "/tmp/agent",
    "MODELSCOPE_API_TOKEN": "m", "SLACK_WEBHOOK": "https://hooks", "db_passwd": "x",
    "SENTRY_DSN": "https://k@s", "HTTPS_PROXY": "http://me:pw@proxy:3128",
}  # fmt: skip
HARMLESS = {
    "PATH": "/bin", "HOME": "/root", "PWD": "/x", "LD_LIBRARY_PATH": "/cuda", "LANG": "C.UTF-8",
    "CUDA_VISIBLE_DEVICES": "0", "CUDA_HOME": "/cuda", "NCCL_DEBUG": "INFO", "OMP_NUM_THREADS": "2",
    "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_CPU_KVCACHE_SPACE": "1", "TOKENIZERS_PARALLELISM": "false",
    "HF_HOME": "/hf", "HF_ENDPOINT": "https://mirror", "TORCH_HOME": "/t", "IX_VISIBLE_DEVICES": "0",
    "PYTHONPATH": "/p", "HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "localhost", "TERM": "xterm",
    "KEYBOARD": "us", "MONKEY_BUSINESS": "1", "PASSAGE": "x", "AUTHOR": "me",
}  # fmt: skip


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_known_by_its_name_its_owner_or_its_value(name: str) -> None:
    assert is_secret(name, SECRETS[name])


@pytest.mark.parametrize("name", HARMLESS)
def test_what_an_engine_needs_is_none(name: str) -> None:
    assert not is_secret(name, HARMLESS[name])


def test_what_is_needed_stays() -> None:
    everything = SECRETS | HARMLESS
    assert without_secrets(everything) == HARMLESS
    assert without_secrets(everything, ["OPENAI_API_KEY"]) == HARMLESS | {"OPENAI_API_KEY": "sk"}


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc")
def test_a_real_child_gets_its_own_key_and_nobody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TINY_KEY", "its own")
    with Endpoint() as endpoint:
        mine = endpoint_spec(endpoint.url)
        with EngineProcess(mine, tmp_path / "engine.log") as process:
            session = process.pid
            assert session is not None
            next(iter(process.events()))
            seen = [
                Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                for pid in os.listdir("/proc")  # noqa: PTH208
                if pid.isdecimal() and _session(pid) == session
            ]
    assert len(seen) >= 2  # the guard and the worker
    names = {pair.partition(b"=")[0].decode() for environment in seen for pair in environment}
    assert "TINY_KEY" in names and "PATH" in names
    assert names & SECRETS.keys() <= {"HTTPS_PROXY"}  # the way to an endpoint outside


def _session(pid: str) -> int | None:
    try:
        return os.getsid(int(pid))
    except ProcessLookupError:
        return None
