"""Brings model files from the hub, ModelScope or a local folder onto this disk, and verifies
them.
"""

from pixtrack.tasks.download.completeness import problems, read_header, require_complete
from pixtrack.tasks.download.fetch import (
    SourceName,
    fetch_model,
    local_files,
    model_directory,
    model_identity,
    verify_model,
)
from pixtrack.tasks.download.hub_settings import hub_endpoint, offline
from pixtrack.tasks.download.known_files import Manifest
from pixtrack.tasks.download.known_files import read as read_manifest
from pixtrack.tasks.download.model_sources import Availability, files_of

__all__ = [
    "Availability",
    "Manifest",
    "SourceName",
    "fetch_model",
    "files_of",
    "hub_endpoint",
    "local_files",
    "model_directory",
    "model_identity",
    "offline",
    "problems",
    "read_header",
    "read_manifest",
    "require_complete",
    "verify_model",
]
