"""What a child gets of the environment: everything but the secrets that are not its own."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pixtrack.configs.paths import Home
from pixtrack.tasks.inference.host.process import EngineProcess
from pixtrack.tasks.secrets import database_secrets, is_secret, without_secrets
from pixtrack.tasks.servers.launcher import Launched
from pixtrack.tasks.servers.prefect_server import prefect_server
from pixtrack.tasks.tracking.server import mlflow_server
from tests.doubles.endpoint import Endpoint, endpoint_spec

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
    "MYTOKEN": "t", "DBPASSWORD": "p", "accessToken": "t", "client-secret": "s", "SECRETKEY": "s",
    "MYAPIKEY": "k", "API_TOKENS": "a,b", "HF_TOKEN_PATH": "/t", "VLLM_API_KEY": "k", "A_JWT": "j",
    "S3_ACCESS_KEY_ID": "a", "S3_SECRET_ACCESS_KEY": "s", "OPENROUTER_API_KEY": "o", "GH_PAT": "p",
    "DB_CONNECTION_STRING": "Server=x", "SIGNING_SALT": "s", "VAULT_ADDR": "v", "AUTH_TOKEN_FILE": "/t",
    "NOTE": "use hf_abcdefghijklmnopqrst", "MINE": "sk-proj-abcdefghijklmnop", "X1": "AKIAABCDEFGHIJKLMNOP",
    "HINT": "https://ghp_x@github.com/a/b", "PEM": "-----BEGIN RSA PRIVATE KEY-----",
    "SENTRY_DSN": "https://k@s", "HTTPS_PROXY": "http://me:pw@proxy:3128",
}  # fmt: skip
HARMLESS = {
    "PATH": "/bin", "HOME": "/root", "PWD": "/x", "LD_LIBRARY_PATH": "/cuda", "LANG": "C.UTF-8",
    "CUDA_VISIBLE_DEVICES": "0", "CUDA_HOME": "/cuda", "NCCL_DEBUG": "INFO", "OMP_NUM_THREADS": "2",
    "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_CPU_KVCACHE_SPACE": "1", "TOKENIZERS_PARALLELISM": "false",
    "HF_HOME": "/hf", "HF_ENDPOINT": "https://mirror", "TORCH_HOME": "/t", "IX_VISIBLE_DEVICES": "0",
    "PYTHONPATH": "/p", "HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "localhost", "TERM": "xterm",
    "VLLM_MULTI_STREAM_GEMM_TOKEN_THRESHOLD": "1024", "VLLM_MAX_TOKENS_PER_EXPERT_FP4_MOE": "163840",
    "VLLM_MAX_BAD_WORDS_TOTAL_TOKENS": "99", "MAX_TOKENS": "512", "COMPASS": "N", "OLDPWD": "/y",
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
    patterns = ["PREFECT_SERVER_*", ""]
    kept = without_secrets(everything, patterns).keys() - HARMLESS.keys()
    assert kept == {"PREFECT_SERVER_API_AUTH_STRING"}
    assert without_secrets(everything, ["OPENAI_API_KEY"]) == HARMLESS | {"OPENAI_API_KEY": "sk"}


@pytest.mark.engine
def test_every_variable_of_vllms_own_passes_but_its_keys() -> None:
    envs = importlib.util.find_spec("vllm")
    assert envs is not None and envs.origin is not None
    source = Path(envs.origin).with_name("envs.py").read_text(encoding="utf-8")
    names = re.findall(r'^    "([A-Z][A-Z0-9_]+)": ', source, re.MULTILINE)
    secret = {name for name in names if is_secret(name, "1")}
    assert len(names) > 100
    assert secret <= {"S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY", "VLLM_API_KEY"}


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc")
def test_a_real_child_gets_its_own_key_and_nobody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TINY_KEY", "its own")
    monkeypatch.setenv("NCCL_DEBUG", "INFO")
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
    assert "NCCL_DEBUG" in names and names & SECRETS.keys() <= {
        "HTTPS_PROXY"
    }  # the way to an endpoint outside


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("kind", "own"),
    [
        ("prefect", {"PREFECT_SERVER_API_AUTH_STRING"}),
        ("mlflow", {"MLFLOW_FLASK_SERVER_SECRET_KEY"}),
    ],
)
def test_a_server_gets_its_own_secrets_and_nobody_elses(
    kind: str, own: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**SECRETS, "MLFLOW_FLASK_SERVER_SECRET_KEY": "f"}.items():
        monkeypatch.setenv(name, value)
    log = tmp_path / "log"
    made = (
        prefect_server(Home(tmp_path), 9, log, pages=False)
        if kind == "prefect"
        else mlflow_server(f"sqlite:///{tmp_path}/m.db", 9, log)
    )
    sleeper = replace(made, command=(sys.executable, "-c", "input()"))
    launched = Launched(sleeper)
    try:
        seen = Path(f"/proc/{launched.process.pid}/environ").read_bytes().split(b"\0")
    finally:
        launched.stop()
    names = {pair.partition(b"=")[0].decode() for pair in seen}
    assert "PATH" in names
    assert names & (SECRETS.keys() | own) == own


def test_a_server_of_postgresql_reads_its_login_from_where_postgresql_does() -> None:
    assert database_secrets("", "sqlite:///x") == ()
    kept = without_secrets({"PGPASSWORD": "p"}, database_secrets("postgresql+asyncpg://h/d"))
    assert kept == {"PGPASSWORD": "p"}


def _session(pid: str) -> int | None:
    try:
        return os.getsid(int(pid))
    except ProcessLookupError:
        return None
