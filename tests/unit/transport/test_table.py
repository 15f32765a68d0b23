"""Every kind of transport has its module, and costs nothing until a device needs it."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.domain.device import TransportKind
from orchestrator.transport.base import Connector
from orchestrator.transport.settings import TransportSettings
from orchestrator.transport.table import Connectors, connector_for

SETTINGS = TransportSettings(Path("/var/lib/benchfleet/known_hosts"), connect_timeout_s=3.0)


@pytest.mark.parametrize("kind", TransportKind)
def test_each_kind_has_a_connector(kind: TransportKind) -> None:
    assert isinstance(connector_for(kind, SETTINGS), Connector)


def test_ssh_gets_the_settings() -> None:
    from orchestrator.transport.ssh import SshConnector

    connector = connector_for(TransportKind.SSH, SETTINGS)

    assert isinstance(connector, SshConnector)
    assert (connector.known_hosts, connector.ssh_config, connector.connect_timeout_s) == (
        SETTINGS.known_hosts,
        None,
        3.0,
    )


def test_all_together_are_a_connector_that_travels() -> None:
    connectors = pickle.loads(pickle.dumps(Connectors(SETTINGS)))

    assert isinstance(connectors, Connector)
    assert connectors == Connectors(SETTINGS)


def test_a_local_device_brings_no_ssh_along() -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from orchestrator.domain.device import Device, TransportKind\n"
        "from orchestrator.transport.settings import TransportSettings\n"
        "from orchestrator.transport.table import Connectors\n"
        "transport = Connectors(TransportSettings(Path('x'))).connect(Device('here', TransportKind.LOCAL))\n"
        "assert transport.run(['true']).exit_status == 0\n"
        "transport.close()\n"
        "print(sorted({'paramiko', 'fabric', 'invoke', 'cryptography'} & set(sys.modules)))\n"
    )

    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)

    assert done.stdout == "[]\n"
