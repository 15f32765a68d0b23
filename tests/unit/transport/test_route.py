"""The way to a device, worked out from the inventory and the ssh configuration."""

import getpass
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import Unreachable
from orchestrator.transport.ssh.config import SshConfig
from orchestrator.transport.ssh.route import Hop, Routes

OWN = Path("/var/lib/benchfleet/known_hosts")
PI = Device("pi", TransportKind.SSH, "pi.lab")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def route(device: Device, config: str, directory: Path) -> tuple[Hop, ...]:
    file = directory / "config"
    file.write_text(config)
    return Routes(SshConfig(file), OWN).to(device)


def names(hops: tuple[Hop, ...]) -> list[str]:
    return [hop.name for hop in hops]


class TestHop:
    def test_without_configuration_is_what_ssh_would_assume(self, home: Path) -> None:
        (hop,) = route(PI, "", home)

        assert (hop.host, hop.port, hop.user) == ("pi.lab", 22, getpass.getuser())
        assert str(hop.host_name) == "pi.lab"
        assert hop.keys.files is None
        assert hop.keys.agent
        assert hop.known_hosts[0] == OWN
        assert hop.known_hosts[1:3] == (home / ".ssh/known_hosts", home / ".ssh/known_hosts2")
        assert hop.known_hosts[3] == Path("/etc/ssh/ssh_known_hosts")
        assert hop.enrollable

    def test_of_a_device_without_host_is_called_like_the_device(self, home: Path) -> None:
        (hop,) = route(replace(PI, host=None), "Host pi\n  HostName 10.0.0.7\n", home)

        assert (hop.name, hop.host) == ("pi", "10.0.0.7")

    def test_takes_the_configuration_unless_the_inventory_says_otherwise(self, home: Path) -> None:
        config = "Host pi.lab\n  HostName 10.0.0.7\n  User bob\n  Port 2200\n  IdentityFile ~/.ssh/lab\n"

        (configured,) = route(PI, config, home)
        (overridden,) = route(replace(PI, user="eve", port=22, identity_file="/k"), config, home)

        assert (configured.host, configured.user, configured.port) == ("10.0.0.7", "bob", 2200)
        assert configured.keys.files == (home / ".ssh/lab",)
        assert not configured.keys.only
        assert (overridden.host, overridden.user, overridden.port) == ("10.0.0.7", "eve", 22)
        assert overridden.keys.files == (Path("/k"),)
        assert overridden.keys.only

    def test_is_known_by_its_alias_alone_where_it_has_one(self, home: Path) -> None:
        (hop,) = route(replace(PI, port=2222), "HostKeyAlias the-pi\n", home)

        assert str(hop.host_name) == "the-pi"

    def test_is_known_by_name_and_unusual_port(self, home: Path) -> None:
        (hop,) = route(replace(PI, host="PI.lab", port=2222), "", home)

        assert str(hop.host_name) == "[pi.lab]:2222"

    def test_looks_into_the_files_that_the_configuration_names(self, home: Path) -> None:
        config = 'UserKnownHostsFile "/a b" /c\nGlobalKnownHostsFile none\n'

        (hop,) = route(PI, config, home)

        assert hop.known_hosts == (OWN, Path("/a b"), Path("/c"))

    def test_leaves_agent_and_other_keys_alone_if_told_to(self, home: Path) -> None:
        (hop,) = route(PI, "IdentityAgent none\nIdentitiesOnly yes\nIdentityFile none\n", home)

        assert (hop.keys.agent, hop.keys.only, hop.keys.files) == (False, True, ())

    def test_shares_a_door_with_the_other_ports_of_its_host(self, home: Path) -> None:
        (one,), (other,), (elsewhere,) = (
            route(replace(PI, host=host, port=port), "", home)
            for host, port in [("nat", 2201), ("nat", 2202), ("b", 22)]
        )

        assert one.door == other.door
        assert one.door != elsewhere.door

    def test_shares_a_door_with_all_behind_the_same_proxy_command(self, home: Path) -> None:
        config = "Host *\n  ProxyCommand ssh -W %h:%p gateway\n"

        (one,), (other,) = (route(replace(PI, host=host), config, home) for host in ("10.0.0.1", "10.0.0.2"))

        assert one.door == other.door == "ssh -W %h:%p gateway"

    def test_fills_in_a_proxy_command_with_what_the_inventory_says(self, home: Path) -> None:
        (hop,) = route(replace(PI, user="eve", port=2222), "ProxyCommand nc -l %r %h %p\n", home)

        assert hop.proxy_command == "nc -l eve pi.lab 2222"

    @pytest.mark.parametrize("port", ["many", "0", "70000"])
    def test_has_a_port_or_none(self, home: Path, port: str) -> None:
        with pytest.raises(Unreachable, match="for a port"):
            route(PI, f"Port {port}\n", home)


class TestJumps:
    def test_the_inventorys_devices_chain(self, home: Path) -> None:
        outer = Device("outer", TransportKind.SSH, "outer.lab", user="o")
        inner = Device("inner", TransportKind.SSH, "inner.lab", jump="outer", jump_device=outer)

        hops = route(replace(PI, jump="inner", jump_device=inner), "", home)

        assert names(hops) == ["outer", "inner", "pi"]
        assert all(hop.enrollable for hop in hops)
        assert hops[0].user == "o"

    def test_a_host_of_the_configuration_brings_its_own_way(self, home: Path) -> None:
        config = "Host gate\n  HostName 10.0.0.1\n  ProxyJump bob@door:2222\n"

        hops = route(replace(PI, jump="gate"), config, home)

        assert names(hops) == ["bob@door:2222", "gate", "pi"]
        assert (hops[0].host, hops[0].user, hops[0].port) == ("door", "bob", 2222)
        assert hops[1].host == "10.0.0.1"
        assert not hops[1].enrollable

    def test_a_list_is_followed_in_order(self, home: Path) -> None:
        hops = route(PI, "Host pi.lab\n  ProxyJump a,eve@[fe80::1]:2222,ssh://c\n", home)

        assert names(hops) == ["a", "eve@[fe80::1]:2222", "c", "pi"]
        assert (hops[1].host, hops[1].port, hops[1].address) == ("fe80::1", 2222, "[fe80::1]:2222")
        assert hops[2].host == "c"

    def test_only_the_first_of_a_list_has_a_way_of_its_own(self, home: Path) -> None:
        config = "Host a\n  ProxyCommand first %h\nHost b\n  ProxyJump x\nHost pi.lab\n  ProxyJump a,b\n"

        hops = route(PI, config, home)

        assert names(hops) == ["a", "b", "pi"]
        assert [hop.proxy_command for hop in hops] == ["first a", None, None]

    def test_the_inventory_wins_over_the_configuration(self, home: Path) -> None:
        config = "Host pi.lab\n  ProxyJump a\n  ProxyCommand nc %h\n"

        assert names(route(replace(PI, jump="b"), config, home)) == ["b", "pi"]
        (direct,) = route(replace(PI, jump="none"), config, home)
        assert direct.proxy_command is None

    def test_one_for_all_hosts_is_not_for_itself(self, home: Path) -> None:
        config = "Host gate\n  HostName 10.0.0.1\nHost *\n  ProxyJump gate\n"

        assert names(route(PI, config, home)) == ["gate", "pi"]
        assert names(route(replace(PI, host="gate"), config, home)) == ["pi"]

    def test_a_loop_is_told(self, home: Path) -> None:
        config = "Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n"

        with pytest.raises(Unreachable, match="form a loop: pi -> a -> b -> a"):
            route(replace(PI, jump="a"), config, home)

    def test_one_with_tokens_leads_to_a_host_of_the_devices_own(self, home: Path) -> None:
        config = "Host pi.lab\n  ProxyJump %r@gate-%n\nHost gate-pi.lab\n  HostName 10.0.0.1\n"

        assert [hop.host for hop in route(PI, config, home)] == ["10.0.0.1", "pi.lab"]

    def test_a_way_without_an_end_is_told(self, home: Path) -> None:
        with pytest.raises(Unreachable, match=r"more than 16 jump hosts: pi -> x-pi\.lab -> x-x-pi\.lab -> "):
            route(PI, "Host *\n  ProxyJump x-%n\n", home)

    def test_this_machine_leads_nowhere(self, home: Path) -> None:
        here = Device("here", TransportKind.LOCAL, source="lab.yaml:3")

        with pytest.raises(Unreachable, match="here is not reached by ssh") as caught:
            route(replace(PI, jump="here", jump_device=here), "", home)

        assert "lab.yaml:3" in str(caught.value.hint)


class TestIncludes:
    def test_are_read_in_place_and_by_pattern(self, home: Path) -> None:
        parts = home / ".ssh" / "conf.d"
        parts.mkdir(parents=True)
        (parts / "10-lab").write_text("Host pi.lab\n  User first\n")
        (parts / "20-lab").write_text("Host pi.lab\n  User second\n  Port 2222\n")
        (home / "elsewhere").write_text("Host other\n  HostName wrong\n")

        (hop,) = route(PI, f"Include conf.d/* {home}/elsewhere none/such\nHost *\n  User last\n", home)

        assert (hop.user, hop.port, hop.host) == ("first", 2222, "pi.lab")

    def test_inside_a_block_hold_for_its_hosts_only(self, home: Path) -> None:
        (home / "inner").write_text("User inner\nHost *\n  Port 1\n")
        config = f"Host other\n  Include {home}/inner\n  Compression yes\nHost pi.lab\n  Port 2222\n"

        (hop,) = route(PI, config, home)

        assert (hop.user, hop.port) == (getpass.getuser(), 2222)

    def test_of_each_other_are_told(self, home: Path) -> None:
        (home / "config").write_text("")

        with pytest.raises(Unreachable, match="files include each other"):
            route(PI, f"Include {home}/config\n", home)
