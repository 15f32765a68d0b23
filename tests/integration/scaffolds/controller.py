"""Scaffolds of what a controller reaches devices with, keeps and shows."""

from __future__ import annotations

from orchestrator.store.schema.revision import HEAD
from tests.integration.scaffolds.recipe import Command, Scaffold, after, at_the_end, in_turn, instead

NEXT = f"{int(HEAD) + 1:04}"

SHELL = '''"""Reach a device through a program that opens a shell on it; here: this machine's own `env`."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.domain.device import Device
from orchestrator.transport.base import Transport
from orchestrator.transport.local import LocalConnector
from orchestrator.transport.settings import TransportSettings


@dataclass(frozen=True, slots=True)
class ShellConnector:
    """Open shells."""

    end_timeout_s: float = 5.0

    def connect(self, device: Device) -> Transport:
        """Return an open transport to the device."""
        return LocalConnector(self.end_timeout_s).connect(device)


def connector(settings: TransportSettings) -> ShellConnector:
    """Return the connector of this kind; no setting concerns the kind."""
    return ShellConnector()
'''

TRANSPORT = Scaffold(
    name="shell",
    proof="shell",
    files={"orchestrator/transport/shell.py": SHELL},
    edits={
        "orchestrator/domain/device.py": instead(r'^(    SSH = "ssh")$', r'\1\n    SHELL = "shell"'),
        "orchestrator/transport/table.py": after(
            'TransportKind.SSH: "orchestrator.transport.ssh",\n',
            '        TransportKind.SHELL: "orchestrator.transport.shell",\n',
        ),
        "tests/contract/test_transport_contract.py": in_turn(
            instead(r'params=\["local", "ssh", "faulty", ', 'params=["local", "ssh", "faulty", "shell", '),
            after(
                '    """A connector and a device that it reaches."""\n',
                '    if request.param == "shell":\n'
                "        from orchestrator.transport.shell import ShellConnector\n\n"
                '        return ShellConnector(SHORT_S), Device("here", TransportKind.SHELL)\n',
            ),
        ),
    },
)

SHELF = '''"""Declare where devices stand."""

from __future__ import annotations

from sqlalchemy import Table

from orchestrator.store.schema.columns import key, metadata, reference, text

shelf = Table(
    "shelf",
    metadata,
    key(),
    reference("device_id", "device", "The device that stands there.", index=True),
    text("place", "Where in the laboratory."),
    info={"doc": "Where a device stands."},
)
'''

WRITE_DOCUMENT = """
from pathlib import Path
from orchestrator.store.schema.document import schema_document
Path("docs/schema.md").write_text(schema_document(), encoding="utf-8")
"""
DOCUMENT = Command(("-c", WRITE_DOCUMENT))
REVISION = ("orchestrator/store/schema/revision.py", instead(f'^HEAD = "{HEAD}"$', f'HEAD = "{NEXT}"'))

TABLE = Scaffold(
    name="shelf",
    proof="test_up_makes_the_schema_of_the_tables",
    files={"orchestrator/store/schema/tables/shelf.py": SHELF},
    edits={
        "orchestrator/store/schema/tables/__init__.py": at_the_end(
            "from orchestrator.store.schema.tables.shelf import shelf as shelf\n"
        )
    },
    then=(Command(("-m", "orchestrator.store.schema.migrations", "shelf")), REVISION, DOCUMENT),
)

CHATTY = f'''"""The view of how much each device said.

Revision {NEXT} follows {HEAD}.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "{NEXT}"
down_revision = "{HEAD}"
branch_labels = None
depends_on = None

VIEWS = Path(__file__).parent.parent / "views"


def upgrade() -> None:
    op.execute((VIEWS / "v_chatty.1.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("DROP VIEW v_chatty")
'''

VIEW = Scaffold(
    name="v_chatty",
    proof="v_chatty",
    files={
        "migrations/views/v_chatty.1.sql": "CREATE VIEW v_chatty AS\n"
        "SELECT device.name AS device, count(*) AS snapshots\n"
        "FROM device_snapshot JOIN device ON device.id = device_snapshot.device_id\n"
        "GROUP BY device.name\n",
        f"migrations/versions/{NEXT}_v_chatty.py": CHATTY,
    },
    edits={
        "orchestrator/store/schema/views.py": in_turn(
            after(
                "\nVIEWS = (",
                "V_CHATTY, ",
            ),
            instead(
                r"^VIEWS = \(",
                'V_CHATTY = _view("v_chatty", 1, "How much each device said.", '
                '"device     The device\'s name.\\\\nsnapshots  How many dated facts there are.")\n\nVIEWS = (',
            ),
        ),
    },
    then=(REVISION, DOCUMENT),
)
