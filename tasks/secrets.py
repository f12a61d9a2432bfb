"""Recognises environment variables with secrets, and makes environments for children without them.

The inference child runs model code, some of it from a repository, and does not need the keys of the
hub, of a cloud, or of a tracking or workflow server. A server that pixtrack starts does not need
the keys of the others. All other variables are passed on: an engine reads too many (VLLM_*, CUDA_*,
NCCL_*, …) to list them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

_LAST_WORDS = frozenset(
    {
        *("TOKEN", "TOKENS", "SECRET", "SECRETS", "PASSWORD", "PASSWORDS", "PASSWD", "PASSPHRASE"),
        *("PASS", "PWD", "PW", "CREDENTIAL", "CREDENTIALS", "CREDS", "KEY", "KEYS", "AUTH"),
        *("AUTHORIZATION", "COOKIE", "PAT", "DSN", "JWT", "SAS", "SALT"),
    }
)
"""A variable whose name ends with one of these words holds a secret. Words are what stands between
underscores, without final ones that only say a form (_FILE, say)."""
_FORMS = frozenset({"FILE", "PATH", "ID", "STRING", "VALUE", "BASE64", "B64", "JSON"})
_ANYWHERE = re.compile(
    r"SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|API_?KEY|(ACCESS|PRIVATE)_?KEY|CONNECTION_?STRING"
)
"""Words that mark a secret anywhere in a name."""
_OWNERS = (
    *("AWS_", "AZURE_", "GOOGLE_", "GCP_", "GCLOUD_", "DATABRICKS_", "DOCKER_", "KUBE", "VAULT_"),
    *("MLFLOW_", "PREFECT_", "WANDB_", "COMET_", "NEPTUNE_", "CLEARML_", "LANGSMITH_", "SENTRY_"),
    *("GITHUB_", "GITLAB_", "CI_JOB_", "TWINE_", "SLACK_", "SMTP_", "SSH_", "GPG_", "NPM_"),
    *("MODELSCOPE_", "OPENAI_", "ANTHROPIC_", "MISTRAL_", "COHERE_", "GEMINI_", "OPENROUTER_"),
    *("MYSQL_", "POSTGRES_", "REDIS_", "MONGO", "PGHOST", "PGPASS", "PGSERVICE", "PGUSER"),
    *("PIP_INDEX", "PIP_EXTRA_INDEX", "UV_INDEX", "UV_EXTRA_INDEX"),
)
"""Beginnings of the names that services and clouds use; all such variables count as secrets."""
_NAMES = frozenset({"DATABASE_URL", "NETRC"})
_SECRET_VALUE = re.compile(
    r"[a-z][a-z0-9+.-]*://[^/\s@]+@"  # an address with a login, or a token in place of one
    r"|\b(hf_|sk-|gh[pousr]_|github_pat_|glpat-|xox[a-z]-|dapi|nvapi-)[A-Za-z0-9_-]{16,}"
    r"|\b(AKIA|ASIA)[0-9A-Z]{16}\b|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\."
    r"|-----BEGIN [A-Z ]*PRIVATE KEY",
    re.IGNORECASE,
)
"""Values that are secrets whatever the variable's name: addresses with logins, known forms of
keys."""


def is_secret(name: str, value: str) -> bool:
    """Whether the variable is a secret by its name, its owner, or the form of its value.

    PWD, the current directory, is none, nor is a number of tokens (MAX_TOKENS=512).
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[^A-Za-z0-9]", "_", name).upper()
    if words in ("PWD", "OLDPWD"):
        return False
    parts = [part for part in words.split("_") if part]
    while len(parts) > 1 and parts[-1] in _FORMS:
        parts.pop()
    if parts[-1:] == ["TOKENS"] and value.strip().isdigit():
        return False
    return (
        words in _NAMES
        or words.startswith(_OWNERS)
        or not _LAST_WORDS.isdisjoint(parts[-1:])
        or "".join(parts).endswith("TOKEN")
        or bool(_ANYWHERE.search(words))
        or bool(_SECRET_VALUE.search(value))
    )


def without_secrets(environment: Mapping[str, str], needed: Iterable[str] = ()) -> dict[str, str]:
    """An environment for a child, without secrets except those that it needs.

    Args:
        environment: this process's environment
        needed: names of secrets to keep, or patterns of names (`PREFECT_SERVER_*`)
    """
    patterns = [*filter(None, needed)]
    return {
        name: value
        for name, value in environment.items()
        if not is_secret(name, value) or any(fnmatchcase(name, one) for one in patterns)
    }


def database_secrets(*addresses: str) -> tuple[str, ...]:
    """Patterns of the variables from which clients of the databases at these addresses read
    logins.
    """
    return ("PG*",) if any(one.startswith("postgres") for one in addresses) else ()
