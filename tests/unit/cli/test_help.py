"""Every command explains itself: in full sentences, with an example, in 80 columns, without a colour code."""

from __future__ import annotations

NO_DATABASE = {"init", "devices enroll", "models list", "models tree", "models verify", "models build"}
NO_SETTINGS = {"init"}
