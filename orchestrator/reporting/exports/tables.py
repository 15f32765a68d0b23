"""Declare the writer of one table of an export, and open the writer of each format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from orchestrator.domain.export import ColumnKind, ExportFormat, SampleBlock, SampleFormat


class TableWriter(Protocol):
    """Write one file of rows. The file is complete after the context is left without an error."""

    rows: int

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write rows, with a value for each column."""

    def write_block(self, block: SampleBlock) -> None:
        """Write the samples of a block: the values that are the same, then position and value."""

    def __enter__(self) -> Self:
        """Open the file."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the file."""


Opener = Callable[[Path, Mapping[str, ColumnKind]], TableWriter]


def writer_of(form: ExportFormat) -> Opener:
    """Return the opener of a format's files. Raise ConfigError where a library is missing."""
    if form is ExportFormat.CSV:
        from orchestrator.reporting.exports.csv_table import CsvTable

        return CsvTable
    from orchestrator.reporting.exports.parquet_table import parquet_table

    return parquet_table()


def sample_writer_of(form: SampleFormat) -> Opener:
    """Return the opener of a format's files of raw samples. Raise ConfigError where a library is missing."""
    if form is SampleFormat.NPZ:
        from orchestrator.reporting.exports.npz_table import NpzTable

        return NpzTable
    return writer_of(ExportFormat(form.value))
