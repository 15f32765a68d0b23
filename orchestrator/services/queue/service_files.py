"""Write what puts a daemon on a server for good: a systemd unit, or a compose file with PostgreSQL beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from orchestrator import __version__
from orchestrator.domain.credentials import without_credentials
from orchestrator.domain.errors import ConfigError

_UNIT = "/etc/systemd/system/benchfleet.service"


class ServiceFile(StrEnum):
    """Name the files that can be printed."""

    SYSTEMD = "systemd"
    COMPOSE = "compose"


@dataclass(frozen=True, slots=True)
class Place:
    """Say how a daemon is to run: in which folder, as whom, by which program, with which flags and variables.

    `flags` are settings by the flag's name, in order. `uses_ray`: sessions or sites run on Ray, in the cluster at
    `ray_address` if there is one.
    """

    folder: Path
    user: str
    program: Sequence[str]
    flags: Sequence[tuple[str, str]] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    uses_ray: bool = False
    ray_address: str | None = None


def service_file(named: str, place: Place) -> str:
    """Return the text of a service's file. Raise ConfigError for another name, and for a password in the settings."""
    if named not in list(ServiceFile):
        raise ConfigError(f"--print {named}: there is no such file", f"known: {', '.join(ServiceFile)}")
    told = [*place.program, *(value for _, value in place.flags), *place.variables.values()]
    if any(without_credentials(one) != one for one in told):
        raise ConfigError("the database's URL has a password, which everybody could read in the file", _PASSFILE)
    if any(not one.isprintable() for one in (*told, str(place.folder))):
        raise ConfigError("a line break cannot stand in the file", "name the lab's folder and settings without one")
    return _unit(place) if named == ServiceFile.SYSTEMD else _compose(place)


_PASSFILE = "put the password into ~/.pgpass of the daemon's user"


def _unit(place: Place) -> str:
    words = [*place.program, "daemon", *(word for flag in place.flags for word in flag)]
    # Only a command has $ expanded.
    command = " ".join(_quoted(one).replace("$", "$$") for one in words)
    variables = "".join(f"Environment={_quoted(f'{name}={value}')}\n" for name, value in place.variables.items())
    return f"""\
# PostgreSQL and the daemon on this machine; the lab's folder has `db = "postgresql:///benchfleet"` in benchfleet.toml:
#   sudo apt-get install postgresql && sudo -u postgres createuser {place.user} && \
sudo -u postgres createdb --owner={place.user} benchfleet
#   benchfleet db upgrade --db postgresql:///benchfleet
#   benchfleet daemon --print systemd | sudo tee {_UNIT} && sudo systemctl enable --now benchfleet
[Unit]
Description=benchfleet daemon
Wants=network-online.target
After=network-online.target postgresql.service
# A database that is away for long, or a wrong file, must not end the service for good.
StartLimitIntervalSec=0

[Service]
User={place.user}
WorkingDirectory={str(place.folder).replace("%", "%%")}
{variables}ExecStart={command}
Restart=always
RestartSec=10
# Devices go on by themselves: only the daemon is ended.
KillMode=mixed
TimeoutStopSec=30

[Install]
WantedBy=multi-user.target
"""


def _quoted(word: str) -> str:
    """Return a word for a unit, in quotes if need be."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return escaped if word and not set(word) & set(" \t'\"\\;") else f'"{escaped}"'


def _compose(place: Place) -> str:
    # JSON is YAML: no text of a folder or a flag can mean anything else there. Compose expands $.
    words = ["benchfleet", "daemon", *(word for flag in place.flags if flag[0] != "--db" for word in flag)]
    command = json.dumps(words, ensure_ascii=False).replace("$", "$$")
    variables = "".join(
        f"      {name}: {json.dumps(value, ensure_ascii=False).replace('$', '$$')}\n"
        for name, value in place.variables.items()
        if name != "BENCHFLEET_DB"
    )
    joins = place.ray_address is not None
    told = {
        "@COMMAND@": command,
        "@VARIABLES@": variables,
        "@VERSION@": __version__,
        "@EXTRAS@": "postgres,ray" if place.uses_ray else "postgres",
        "@HOST@": "127.0.0.1" if joins else "database",
        "@NETWORK@": _NODE_NETWORK if joins else "",
        "@JOIN@": _JOIN.replace("@ADDRESS@", json.dumps(place.ray_address).replace("$", "$$")) if joins else "",
        "@START@": _START if joins else "",
        "@TOKEN@": "      - ~/.ray:/root/.ray:ro\n" if joins else "",
    }
    # At once: no value is looked through for the next.
    return re.sub("|".join(told), lambda found: told[found[0]], _COMPOSE)


# A driver must be on a node of its cluster: the container is one, under the server's own address.
_NODE_NETWORK = """\
    network_mode: host
    shm_size: 1gb
"""
_JOIN = """\
      RAY_ADDRESS_TO_JOIN: @ADDRESS@
"""
_START = 'ray start --address="$$RAY_ADDRESS_TO_JOIN" --disable-usage-stats >&2 && '
_COMPOSE = """\
# PostgreSQL and the daemon, in the lab's folder:
#   benchfleet daemon --print compose > compose.yaml && (umask 077 && openssl rand -hex 16 > database-password)
#   docker compose run --build --rm daemon benchfleet db upgrade
#   docker compose up --detach
# Submit from this machine by --db postgresql://lab@127.0.0.1/benchfleet, with the password in ~/.pgpass.
name: benchfleet
services:
  database:
    image: postgres:17
    restart: unless-stopped
    environment:
      POSTGRES_USER: lab
      POSTGRES_DB: benchfleet
      POSTGRES_PASSWORD_FILE: /run/secrets/database-password
    secrets: [database-password]
    # Other machines that submit need another address here.
    ports: ["127.0.0.1:5432:5432"]
    volumes: ["database:/var/lib/postgresql/data"]
    healthcheck:
      test: [CMD, pg_isready, --username=lab, --dbname=benchfleet]
      interval: 5s
      retries: 24
  daemon:
    build:
      dockerfile_inline: |
        FROM python:3.11-slim
        RUN apt-get update && apt-get install --yes --no-install-recommends openssh-client
        RUN pip install --no-cache-dir "benchfleet[@EXTRAS@]==@VERSION@"
    # Leases name the host: the name of a container would be another each time.
    hostname: benchfleet-daemon
    init: true
    restart: unless-stopped
@NETWORK@    depends_on:
      database: {condition: service_healthy}
    environment:
      BENCHFLEET_DB: postgresql://lab@@HOST@/benchfleet
@JOIN@@VARIABLES@    secrets: [database-password]
    entrypoint: [sh, -c, '@START@PGPASSWORD="$$(cat /run/secrets/database-password)" exec "$$@"', sh]
    command: @COMMAND@
    working_dir: /srv/lab
    volumes:
      - .:/srv/lab:ro
      - cache:/root/.cache
      - ~/.ssh:/root/.ssh:ro
      - ~/.config/benchfleet:/root/.config/benchfleet:ro
@TOKEN@secrets:
  database-password:
    file: database-password
volumes:
  database:
  cache:
"""
