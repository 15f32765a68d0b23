"""Write raw samples as a file of numpy's arrays (.npz): `value_0`, `value_1` … and an array for each other column."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from orchestrator.domain.export import ColumnKind, SampleBlock


class NpzTable:
    """Play the role `TableWriter` for samples. The n-th element of each column belongs to `value_n`."""

    def __init__(self, path: Path, columns: Mapping[str, ColumnKind]) -> None:
        self.rows = 0
        self._path, self._columns = path, columns
        self._blocks: list[tuple[Any, ...]] = []

    def __enter__(self) -> Self:
        self._file = zipfile.ZipFile(self._path, "w", zipfile.ZIP_DEFLATED)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._file:
            if error is None:
                self._write_columns()

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Refuse rows: a file of arrays has samples alone."""
        raise NotImplementedError

    def write_block(self, block: SampleBlock) -> None:
        """Write the samples of a block as an array."""
        self._write(f"value_{len(self._blocks)}", block.samples)
        self._blocks.append(block.same)
        self.rows += len(block.samples)

    def _write_columns(self) -> None:
        import numpy as np

        # Position and value are in the arrays of samples.
        for place, (name, kind) in enumerate(list(self._columns.items())[:-2]):
            values = [one[place] for one in self._blocks]
            self._write(name, np.array(values, dtype=np.int64 if kind is ColumnKind.INTEGER else np.str_))

    def _write(self, name: str, array: Any) -> None:
        import numpy as np

        # A member of a zip file that grows beyond 4 GiB has to be announced.
        with self._file.open(f"{name}.npy", "w", force_zip64=True) as stream:
            # Without pickle: a reader needs no trust.
            np.lib.format.write_array(stream, np.asarray(array), allow_pickle=False)
