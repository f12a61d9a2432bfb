"""Dataset repositories on the hub: their commits, their files, and how to fetch them.

HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are honoured. The token is sent to the endpoint only, and
is never written into a message, a manifest or a path.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import httpx
from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile

from pixtrack.configs.errors import UserError
from pixtrack.tasks.datasets.annotations import file_sha256
from pixtrack.tasks.retrying import TryAgain, retry_after_seconds, retrying
from pixtrack.tasks.transfer import RemoteFile

T = TypeVar("T")

COMMIT = re.compile(r"[0-9a-f]{40}")
SHORT_COMMIT = re.compile(r"[0-9a-f]{7,39}")
ATTEMPTS = 5
REACH_ATTEMPTS = 3
CONNECT_SECONDS = 10
_REACHED: set[str] = set()
"""Endpoints that have answered a request of this process."""
PASSING = (408, 429, 500, 502, 503, 504)
"""HTTP statuses after which another attempt may succeed."""


def offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids the network."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


class DatasetRepo:
    """One dataset repository; `resolve` pins it to a commit."""

    def __init__(self, repo: str) -> None:
        self.name = repo
        self.endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        self.commit = ""
        self._token = get_token()
        self._api = HfApi(endpoint=self.endpoint, token=self._token or False)

    @property
    def page(self) -> str:
        """The repository's address, for messages."""
        return f"{self.endpoint}/datasets/{self.name}"

    def resolve(self, revision: str) -> str:
        """Pins the repository to the commit that `revision` stands for, and returns it.

        A full hash is taken as it is; the hub does not know short ones, so they are looked up in
        the list of commits; anything else is a branch or tag. Raises UserError.
        """
        if COMMIT.fullmatch(revision):
            self.commit = revision
        elif SHORT_COMMIT.fullmatch(revision):
            commits = self._ask(
                lambda: list(self._api.list_repo_commits(self.name, repo_type="dataset")), revision
            )
            found = sorted({c.commit_id for c in commits if c.commit_id.startswith(revision)})
            if len(found) != 1:
                what = (
                    f"fits {len(found)} commits" if found else "is none of its commits (any more)"
                )
                newest = f"; the newest is {commits[0].commit_id}" if commits else ""
                raise UserError(
                    f"{self.page}: revision {revision!r} {what}{newest}: put a full hash into"
                    " source.revision"
                )
            self.commit = found[0]
        else:
            info = self._ask(
                lambda: self._api.dataset_info(self.name, revision=revision, timeout=30), revision
            )
            self.commit = str(info.sha)
        return self.commit

    def list(self, patterns: Sequence[str], keys: str = "source.files") -> list[RemoteFile]:
        """Lists the files that match the patterns, sorted by path.

        Args:
            patterns: glob patterns
            keys: the configuration keys that the patterns come from, for messages

        Raises:
            UserError: no file matches one of the patterns; the message lists the files there are
        """
        entries = self._ask(
            lambda: list(
                self._api.list_repo_tree(
                    self.name, repo_type="dataset", revision=self.commit, recursive=True
                )
            ),
            self.commit,
        )
        files = [entry for entry in entries if isinstance(entry, RepoFile)]
        chosen = {}
        for pattern in patterns:
            matching = [f for f in files if fnmatch.fnmatchcase(f.path, pattern)]
            if not matching:
                raise nothing_matches(
                    f"{self.page} at {self.commit[:12]}", pattern, keys, [f.path for f in files]
                )
            chosen.update({f.path: f for f in matching})
        return [
            RemoteFile(
                path=path,
                size=file.size,
                sha256=file.lfs.sha256 if file.lfs else "",
                git_sha1="" if file.lfs else file.blob_id,
            )
            for path, file in sorted(chosen.items())
        ]

    def _ask(self, call: Callable[[], T], revision: str) -> T:
        """Calls the hub, again after a pause where it is busy. Raises UserError where it
        refuses.
        """
        self._reach()
        try:
            answer: T = retrying(ATTEMPTS)(self._ask_once, call, revision)
            return answer
        except TryAgain as failure:
            raise self._fails(str(failure)) from None

    def _ask_once(self, call: Callable[[], T], revision: str) -> T:
        try:
            return call()
        except GatedRepoError:
            raise self._gated() from None
        except RevisionNotFoundError:
            raise UserError(
                f"{self.page} has no revision {revision!r} (any more): see {self.page}/commits"
                " and correct source.revision"
            ) from None
        except RepositoryNotFoundError:
            raise UserError(
                f"{self.endpoint} has no dataset {self.name!r} that you may see: correct"
                " source.repo, or set HF_TOKEN if it is private"
            ) from None
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status not in PASSING:
                raise self._fails(f"HTTP {status}") from None
            asked = retry_after_seconds(error.response.headers.get("retry-after"))
            raise TryAgain(f"HTTP {status}", asked) from None
        except Exception as error:
            # The client has changed its HTTP library before (requests, httpx, httpx2), so a
            # failed connection is recognised by the package of its class. The client has
            # already tried again itself.
            if type(error).__module__.partition(".")[0] not in {"httpx", "httpx2", "requests"}:
                raise
            raise self._unreachable(error) from None

    def _reach(self) -> None:
        """Raises UserError within seconds where nothing answers.

        The hub's client itself would go on trying for half a minute.
        """
        if self.endpoint in _REACHED:
            return
        try:
            retrying(REACH_ATTEMPTS)(self._reach_once)
        except TryAgain as failure:
            raise self._unreachable(failure.__cause__ or failure) from None

    def _reach_once(self) -> None:
        try:
            httpx.head(self.endpoint, timeout=CONNECT_SECONDS)
        except httpx.HTTPError as error:
            raise TryAgain(type(error).__name__) from error
        _REACHED.add(self.endpoint)

    def _fails(self, how: str) -> UserError:
        return UserError(
            f"{self.endpoint} answers {how} for {self.name}: try again later, or set HF_ENDPOINT"
            " to a mirror"
        )

    def _unreachable(self, error: BaseException) -> UserError:
        return UserError(
            f"{self.endpoint} cannot be reached ({type(error).__name__}): check the network, or"
            " set HF_ENDPOINT to a mirror"
        )

    def _gated(self) -> UserError:
        token = "your token has no access yet" if self._token else "no token is set"
        return UserError(
            f"dataset {self.name} is gated and {token}: accept its conditions at"
            f" https://huggingface.co/datasets/{self.name}, then set HF_TOKEN to a token with"
            " read access"
        )

    # The methods that pixtrack.tasks.transfer.download needs.

    def url(self, path: str) -> str:
        """The address of a file's content."""
        return f"{self.endpoint}/datasets/{self.name}/resolve/{self.commit}/{quote(path)}"

    def headers(self) -> Mapping[str, str]:
        """The headers of every request: the token, where there is one."""
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def refusal(self, response: httpx.Response, path: str) -> UserError | None:
        """The error for a response after which trying again is useless; None for any other."""
        if response.headers.get("x-error-code") == "GatedRepo":
            return self._gated()
        if response.status_code in (401, 403):
            return UserError(
                f"{self.page}: {path}: refused (HTTP {response.status_code}): set HF_TOKEN to a"
                " token that may read it"
            )
        if response.status_code == 404:
            return UserError(
                f"{self.page}: {path}: gone at {self.commit[:12]}: see {self.page}/commits and"
                " correct source.revision"
            )
        return None


def nothing_matches(where: str, pattern: str, keys: str, paths: Sequence[str]) -> UserError:
    """The error for a pattern that no file matches; it lists the files, numbered shards as one."""
    kinds = sorted({re.sub(r"\d{5}-of-\d{5}", "*", path) for path in paths})
    shown = ", ".join(kinds[:12]) + (f", … ({len(kinds)} kinds)" if len(kinds) > 12 else "")
    return UserError(f"{where}: no file matches {keys} {pattern!r}; there are: {shown or 'none'}")


def cached_files(repo: str, revision: str, patterns: Sequence[str]) -> tuple[str, dict[str, Path]]:
    """The commit and the files of a repository in the hub client's own cache, for offline work.

    Raises UserError where the cache lacks the revision or part of a numbered set of files.
    """
    from huggingface_hub import snapshot_download

    try:
        folder = Path(
            snapshot_download(
                repo,
                repo_type="dataset",
                revision=revision,
                allow_patterns=list(patterns),
                local_files_only=True,
            )
        )
    except (LocalEntryNotFoundError, OSError, ValueError):
        raise UserError(
            f"HF_HUB_OFFLINE is set and dataset {repo} at {revision} is not, or not whole, in the hub's"
            " cache:"
            " unset it, or prepare the dataset where there is a network and copy the data home"
        ) from None
    files = {
        str(path.relative_to(folder)): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and any(fnmatch.fnmatchcase(str(path.relative_to(folder)), one) for one in patterns)
    }
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(path, pattern) for path in files):
            raise nothing_matches(f"the hub's cache of {repo}", pattern, "source.files", [])
    for path in files:
        numbered = re.search(r"-(\d{5})-of-(\d{5})", path)
        if numbered:
            for number in range(int(numbered[2])):
                other = path.replace(numbered[0], f"-{number:05d}-of-{numbered[2]}", 1)
                if other not in files:
                    raise UserError(
                        f"HF_HUB_OFFLINE is set and the hub's cache of {repo} lacks {other}: unset it"
                    )
    return folder.name, files


def cached_file(repo: str, commit: str, file: RemoteFile) -> Path | None:
    """The file in the hub client's cache; None unless it is there with the listed content."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, file.path, revision=commit, repo_type="dataset")
    if not isinstance(found, str) or not file.sha256:
        return None
    path = Path(found)
    right = path.stat().st_size == file.size and file_sha256(path) == file.sha256
    return path if right else None
