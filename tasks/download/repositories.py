"""Repositories of model files on the Hugging Face hub (or a mirror) and on ModelScope."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import httpx

from pixtrack.configs.errors import UserError
from pixtrack.tasks.download.hub_settings import hub_endpoint
from pixtrack.tasks.retrying import TryAgain, retry_after_seconds, retrying
from pixtrack.tasks.transfer import RemoteFile
from pixtrack.tasks.transfer.download import TIMEOUT

LIST_ATTEMPTS = 3
"""Attempts to list files where the source answers 429 or 5xx; one and two seconds apart."""


@dataclass(frozen=True)
class Listing:
    """A repository at one commit."""

    revision: str
    """The commit that the requested revision stands for; "" where the source does not say it."""
    files: tuple[RemoteFile, ...]
    licence: str = ""
    """As the repository's card names it; "" where the source does not tell."""


class HuggingFace:
    """One model repository on the hub."""

    name = "huggingface"

    def __init__(self, repo: str, revision: str) -> None:
        from huggingface_hub import get_token

        self.repo = repo
        self.revision = revision
        self.endpoint = hub_endpoint()
        self._token = get_token()

    def list(self) -> Listing:
        """The repository's files, at the commit that the revision stands for.

        Raises UserError where they cannot be listed.
        """
        try:
            return retrying(LIST_ATTEMPTS)(self._list)
        except TryAgain as failure:
            raise self._fails(str(failure)) from None

    def _list(self) -> Listing:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        api = HfApi(endpoint=self.endpoint, token=self._token or False)
        try:
            # One request, without the retries of list_repo_tree (23 s where nobody answers).
            info = api.model_info(
                self.repo, revision=self.revision, files_metadata=True, timeout=30
            )
        except GatedRepoError:
            raise self._gated() from None
        except RevisionNotFoundError:
            raise UserError(
                f"{self.endpoint}/{self.repo} has no revision {self.revision!r}: "
                "correct it (source.revision in a model's file)"
            ) from None
        except RepositoryNotFoundError:
            raise UserError(
                f"{self.endpoint} has no model {self.repo!r} that you may see: correct its name "
                "(source.repo in a model's file), or set HF_TOKEN if it is private"
            ) from None
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status == 429 or status >= 500:
                asked = retry_after_seconds(error.response.headers.get("retry-after"))
                raise TryAgain(f"HTTP {status}", asked) from None
            raise self._fails(f"HTTP {status}") from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"{self.endpoint} answers for {self.repo} with what is no listing of a model "
                f"({type(error).__name__}: {error}): check HF_ENDPOINT"
            ) from None
        except Exception as error:
            # The hub's client has changed its HTTP library twice (requests, httpx, httpx2), so a
            # failed connection is recognised by the package of its class.
            if type(error).__module__.partition(".")[0] not in {"httpx", "httpx2", "requests"}:
                raise
            raise unreachable(self.endpoint, error, "HF_ENDPOINT") from None
        self.revision = info.sha or self.revision
        return Listing(
            info.sha or "",
            tuple(
                RemoteFile(
                    path=entry.rfilename,
                    size=entry.size or 0,
                    sha256=entry.lfs.sha256 if entry.lfs else "",
                    git_sha1="" if entry.lfs else entry.blob_id or "",
                )
                for entry in info.siblings or ()
            ),
            str(getattr(info.card_data, "license", None) or ""),
        )

    def _fails(self, how: str) -> UserError:
        return UserError(
            f"{self.endpoint} answers {how} for {self.repo}: try again later, or set HF_ENDPOINT to "
            "a mirror"
        )

    def url(self, path: str) -> str:
        """The address of a file's content."""
        return f"{self.endpoint}/{self.repo}/resolve/{self.revision}/{quote(path)}"

    def headers(self) -> Mapping[str, str]:
        """The headers of every request: the token, where there is one."""
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def refusal(self, response: httpx.Response, path: str) -> UserError | None:
        """The error for a reply of the hub after which trying again is useless; None for others."""
        code = response.headers.get("x-error-code", "")
        if code == "GatedRepo":
            return self._gated()
        if response.status_code in (401, 403):
            return UserError(
                f"{self.endpoint} refuses {self.repo}/{path} (HTTP {response.status_code}): set "
                f"HF_TOKEN to a token that may read it ({self.endpoint}/settings/tokens)"
            )
        if response.status_code == 404:
            return UserError(f"{self.endpoint}/{self.repo} has no {path} at {self.revision[:12]}")
        return None

    def _gated(self) -> UserError:
        page = f"https://huggingface.co/{self.repo}"
        token = "your token has no access yet" if self._token else "no token is set"
        return UserError(
            f"{self.repo} is gated and {token}: accept its conditions at {page}, then set HF_TOKEN "
            "to a token with read access (https://huggingface.co/settings/tokens)"
        )


class ModelScope:
    """One model repository on ModelScope (MODELSCOPE_DOMAIN names another host)."""

    name = "modelscope"

    def __init__(self, repo: str, revision: str = "master") -> None:
        self.repo = repo
        self.revision = revision
        domain = (os.environ.get("MODELSCOPE_DOMAIN") or "modelscope.cn").rstrip("/")
        self.endpoint = domain if "://" in domain else f"https://{domain}"
        self._token = os.environ.get("MODELSCOPE_API_TOKEN", "")

    def list(self) -> Listing:
        """The repository's files, each with its sha256."""
        url = f"{self.endpoint}/api/v1/models/{self.repo}/repo/files"
        query = {"Revision": self.revision, "Recursive": "True"}
        try:
            response = httpx.get(
                url,
                params=query,
                headers=dict(self.headers()),
                timeout=TIMEOUT,
                follow_redirects=True,
            )
        except httpx.HTTPError as error:
            raise unreachable(self.endpoint, error, "MODELSCOPE_DOMAIN") from None
        if response.status_code != 200:
            raise self.refusal(response, "") or UserError(
                f"{self.endpoint} answers HTTP {response.status_code} for {self.repo}: try again later"
            )
        try:
            entries = response.json()["Data"]["Files"]
            files = tuple(
                RemoteFile(
                    path=entry["Path"], size=int(entry["Size"]), sha256=entry.get("Sha256") or ""
                )
                for entry in entries
                if entry.get("Type") != "tree"
            )
        except (ValueError, KeyError, TypeError):
            raise UserError(
                f"{url} does not answer as ModelScope's file list: check MODELSCOPE_DOMAIN"
            ) from None
        return Listing(revision="", files=files)

    def url(self, path: str) -> str:
        """The address of a file's content."""
        query = urlencode({"Revision": self.revision, "FilePath": path})
        return f"{self.endpoint}/api/v1/models/{self.repo}/repo?{query}"

    def headers(self) -> Mapping[str, str]:
        """The headers of every request: the token, where there is one."""
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def refusal(self, response: httpx.Response, path: str) -> UserError | None:
        """The error for a reply of ModelScope after which trying again is useless; else None."""
        if response.status_code in (401, 403):
            return UserError(
                f"{self.endpoint} refuses {self.repo} (HTTP {response.status_code}): set "
                "MODELSCOPE_API_TOKEN to a token that may read it"
            )
        if response.status_code == 404:
            what = f"{self.repo}/{path}" if path else self.repo
            return UserError(f"{self.endpoint} has no {what}: correct source.modelscope")
        return None


def unreachable(endpoint: str, error: Exception, variable: str) -> UserError:
    """The error for a source that does not answer; `variable` is the setting of another host."""
    return UserError(
        f"{endpoint} cannot be reached ({type(error).__name__}): check the network, set {variable} "
        "to a mirror, or give a downloaded copy with --model-dir"
    )
