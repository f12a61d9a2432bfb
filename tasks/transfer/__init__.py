"""Files from a hub to this machine: what the steps `download` and `datasets` share.

The transfer itself is in `pixtrack.tasks.transfer.download`, which needs httpx.
"""

from pixtrack.tasks.transfer.hashing import CHUNK_BYTES, Digests, hash_file
from pixtrack.tasks.transfer.remote import Progress, RemoteFile, human

__all__ = ["CHUNK_BYTES", "Digests", "Progress", "RemoteFile", "hash_file", "human"]
