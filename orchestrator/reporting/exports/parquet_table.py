"""Write a table of an export as Parquet. pyarrow comes with the extra `export`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.export import ColumnKind, SampleBlock

_ROWS_OF_A_GROUP = 500_000
"""A group of rows is written as a whole, and is what a reader skips or takes."""


def parquet_table() -> type[ParquetTable]:
    """Return the writer of Parquet files. Raise ConfigError where pyarrow cannot be imported."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"Parquet needs pyarrow, which cannot be imported: {error}",
            "pip install 'benchfleet[export]', or --format csv",
        ) from None
    return ParquetTable


class ParquetTable:
    """Play the role `TableWriter`."""

    def __init__(self, path: Path, columns: Mapping[str, ColumnKind]) -> None:
        import pyarrow as pa

        self.rows = 0
        self._path, self._pa = path, pa
        kinds = {
            # Words repeat from row to row: a dictionary keeps them once.
            ColumnKind.TEXT: pa.dictionary(pa.int32(), pa.string()),
            ColumnKind.INTEGER: pa.int64(),
            ColumnKind.NUMBER: pa.float64(),
            ColumnKind.BOOLEAN: pa.bool_(),
            ColumnKind.TIME: pa.timestamp("us", tz="UTC"),
        }
        self._schema = pa.schema([(name, kinds[kind]) for name, kind in columns.items()])

    def __enter__(self) -> Self:
        import pyarrow.parquet as pq

        self._waiting: list[Any] = []
        self._waiting_rows = 0
        self._counted = self._pa.array([], self._pa.int64())
        self._writer = pq.ParquetWriter(self._path, self._schema, compression="zstd")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._flush()
        finally:
            self._writer.close()

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write rows, with a value for each column."""
        arrays = [self._pa.array([row[place] for row in rows], field.type) for place, field in enumerate(self._schema)]
        self._add(self._pa.RecordBatch.from_arrays(arrays, schema=self._schema))

    def write_block(self, block: SampleBlock) -> None:
        """Write the samples of a block, each a row."""
        pa, number = self._pa, len(block.samples)
        same = [pa.repeat(pa.scalar(value, _plain(field.type)), number) for value, field in self._same(block)]
        same = [one.cast(field.type) for one, field in zip(same, self._schema, strict=False)]
        arrays = [*same, self._positions(number), pa.array(block.samples).cast(pa.int64())]
        self._add(pa.RecordBatch.from_arrays(arrays, schema=self._schema))

    def _positions(self, number: int) -> Any:
        """Return the numbers from 0 to `number` - 1. Most blocks have as many samples as the one before."""
        if number > len(self._counted):
            self._counted = self._pa.array(range(number), self._pa.int64())
        return self._counted.slice(0, number)

    def _same(self, block: SampleBlock) -> list[tuple[Any, Any]]:
        return list(zip(block.same, self._schema, strict=False))

    def _add(self, batch: Any) -> None:
        self.rows += batch.num_rows
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        if self._waiting_rows >= _ROWS_OF_A_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            table = self._pa.Table.from_batches(self._waiting, self._schema).unify_dictionaries()
            self._writer.write_table(table, row_group_size=_ROWS_OF_A_GROUP)
        self._waiting, self._waiting_rows = [], 0


def _plain(kind: Any) -> Any:
    """Return the kind of a single value: a dictionary's values are of its own kind."""
    return getattr(kind, "value_type", kind)
