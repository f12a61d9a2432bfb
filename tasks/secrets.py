"""Which environment variables are secrets, and an environment without those that a child can spare.

The inference child runs model code, some of it from a repository: it has no use for the keys of the
hub, of a cloud, of a tracking or a workflow server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_WORDS = frozenset(
    [
        "TOKEN",
        "SECRET",
        "SECRETS",
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "PASS",
        "PWD",
        "CREDENTIAL",
        "CREDENTIALS",
        "KEY",
        "KEYS",
        "APIKEY",
        "AUTH",
        "AUTHORIZATION",
        "COOKIE",
        "PAT",
        "DSN",
    ]
)
"""Words of a variable's name, between its underscores, that say that its value is a secret."""
_OWNERS = (
    "AWS_", "AZURE_", "GOOGLE_", "GCP_", "GCLOUD_", "MLFLOW_", "PREFECT_", "WANDB_", "GITHUB_",
    "GITLAB_", "CI_JOB_", "MODELSCOPE_", "OPENAI_", "ANTHROPIC_", "MISTRAL_", "COHERE_", "DATABRICKS_",
    "PG", "MYSQL_", "REDIS_", "SLACK_", "DOCKER_", "KUBE", "SSH_", "GPG_", "NPM_", "PIP_INDEX",
    "PIP_EXTRA_INDEX", "UV_INDEX", "UV_EXTRA_INDEX",
)  # fmt: skip
"""Beginnings of the names that services and clouds use; all of theirs are left out."""
_NAMES = frozenset({"DATABASE_URL", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "NETRC"})
_WITH_LOGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s@]*:[^/\s@]+@", re.IGNORECASE)
"""An address with a password in it."""


def is_secret(name: str, value: str) -> bool:
    """Whether the variable is a secret by its name, its owner, or a login in its value.

    PWD, the current directory, is none, nor is a variable like TOKENIZERS_PARALLELISM.
    """
    upper = name.upper()
    if upper in ("PWD", "OLDPWD"):
        return False
    return (
        upper in _NAMES
        or upper.startswith(_OWNERS)
        or not _WORDS.isdisjoint(upper.split("_"))
        or bool(_WITH_LOGIN.search(value))
    )


def without_secrets(environment: Mapping[str, str], needed: Iterable[str] = ()) -> dict[str, str]:
    """The environment without its secrets, but for those that are `needed`."""
    kept = set(needed)
    return {
        name: value
        for name, value in environment.items()
        if name in kept or not is_secret(name, value)
    }
