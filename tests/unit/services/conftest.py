"""Give tests of services the fixtures of the driver's tests."""

from __future__ import annotations

from tests.unit.driving.conftest import no_company as no_company
from tests.unit.driving.conftest import store as store
