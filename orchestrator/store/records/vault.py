"""Keep contents by hash, in chunks: each chunk is a transaction of its own, so that a cut upload goes on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from sqlalchemy import Connection, bindparam, delete, func, select, update

from orchestrator.domain.errors import BlobError
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.database_clock import database_time
from orchestrator.store.sql.engine import Database
from orchestrator.store.sql.upsert import insert_missing

CHUNK_BYTES = 1 << 20
"""Size of a chunk. Both databases hold a whole row in memory, and a driver several times."""


class VaultTable:
    """Play the role `BlobVault`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin_blob(self, sha256: str, size: int) -> tuple[int, Sequence[int]]:
        """Return the size of chunks, and the places of the chunks that are missing. A whole content has none."""
        with self._database.write() as connection:
            row = {"sha256": sha256, "size_bytes": size, "chunk_bytes": CHUNK_BYTES}
            insert_missing(connection, t.stored_blob, [{**row, "begun_at": database_time(connection)}])
            found = connection.execute(_LOCKED, {"sha256": sha256}).one_or_none()
            if found is None:
                raise BlobError(f"{sha256[:12]} was just deleted as abandoned", "give the command again")
            if found.size_bytes != size:
                raise BlobError(f"{sha256[:12]} has {found.size_bytes} bytes in the database, and {size} here")
            if found.stored_at is not None:
                return found.chunk_bytes, ()
            # Else a cut upload of long ago, which goes on now, would count as abandoned.
            connection.execute(_RENEW, {"hash": sha256, "now": database_time(connection)})
            there = set(connection.execute(_POSITIONS, {"sha256": sha256}).scalars())
            # An empty content has no chunk.
            count = -(-size // found.chunk_bytes)
            return found.chunk_bytes, [place for place in range(count) if place not in there]

    def put_chunk(self, sha256: str, position: int, content: bytes) -> None:
        """Store a chunk. The same chunk of another upload meanwhile is no error."""
        with self._database.write() as connection:
            insert_missing(connection, t.blob_chunk, [{"sha256": sha256, "position": position, "content": content}])

    def finish_blob(self, sha256: str) -> None:
        """Record that every chunk is there. Raise BlobError if any is missing."""
        with self._database.write() as connection:
            # Locked before the sum: whoever deletes chunks meanwhile is waited for, or waits.
            found = connection.execute(_LOCKED, {"sha256": sha256}).one_or_none()
            stored = connection.execute(_SUM, {"sha256": sha256}).scalar_one()
            if found is None or found.size_bytes != int(stored):
                raise BlobError(f"{sha256[:12]}: not all of its chunks have arrived", "give the command again")
            if found.stored_at is None:
                connection.execute(_FINISH, {"hash": sha256, "now": database_time(connection)})

    def chunks(self, sha256: str) -> Iterator[bytes]:
        """Yield the chunks of a content in order, each read by a transaction of its own. Raise BlobError without it."""
        position = 0
        while True:
            with self._database.read() as connection:
                found = connection.execute(_BLOB, {"sha256": sha256}).one_or_none()
                if found is None or found.stored_at is None:
                    raise BlobError(f"{sha256[:12]} is not in the database", "submit the sweep again")
                if position * found.chunk_bytes >= found.size_bytes:
                    return
                content = connection.execute(_CHUNK, {"sha256": sha256, "position": position}).scalar()
            if content is None:
                raise BlobError(f"{sha256[:12]}: chunk {position} is not in the database", "submit the sweep again")
            yield bytes(content)
            position += 1

    def drop_blob(self, sha256: str) -> None:
        """Delete the chunks of a content that is not what its hash says, so that it can be uploaded again."""
        with self._database.write() as connection:
            connection.execute(_UNFINISH, {"hash": sha256})
            connection.execute(_DROP_CHUNKS, {"hash": sha256})


def missing_blobs(connection: Connection, hashes: Collection[str]) -> frozenset[str]:
    """Return the contents that are not whole. The rows of the others stay as they are until the transaction's end."""
    found = connection.execute(_WHOLE, {"hashes": sorted(hashes)}).scalars()
    return frozenset(hashes) - frozenset(found)


_BLOB = select(t.stored_blob).where(t.stored_blob.c.sha256 == bindparam("sha256"))
_LOCKED = _BLOB.with_for_update()
_POSITIONS = select(t.blob_chunk.c.position).where(t.blob_chunk.c.sha256 == bindparam("sha256"))
_SUM = select(func.coalesce(func.sum(func.length(t.blob_chunk.c.content)), 0)).where(
    t.blob_chunk.c.sha256 == bindparam("sha256")
)
_CHUNK = select(t.blob_chunk.c.content).where(
    t.blob_chunk.c.sha256 == bindparam("sha256"), t.blob_chunk.c.position == bindparam("position")
)
_FINISH = update(t.stored_blob).where(t.stored_blob.c.sha256 == bindparam("hash")).values(stored_at=bindparam("now"))
_RENEW = update(t.stored_blob).where(t.stored_blob.c.sha256 == bindparam("hash")).values(begun_at=bindparam("now"))
_UNFINISH = update(t.stored_blob).where(t.stored_blob.c.sha256 == bindparam("hash")).values(stored_at=None)
_DROP_CHUNKS = delete(t.blob_chunk).where(t.blob_chunk.c.sha256 == bindparam("hash"))
_WHOLE = (
    select(t.stored_blob.c.sha256)
    .where(t.stored_blob.c.sha256.in_(bindparam("hashes", expanding=True)), t.stored_blob.c.stored_at.is_not(None))
    .with_for_update(read=True)
)
