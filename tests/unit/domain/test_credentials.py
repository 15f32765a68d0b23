"""No text shows a credential: passwords of any form, in the forms in which files, URLs and commands hold them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from urllib.parse import quote

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.domain.credentials import HIDDEN, without_credentials

_LINES = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=30)
_AWKWARD = st.text(st.sampled_from("abc12 @:/'\"\\,;&=)(}{]#%?"), min_size=1, max_size=30)
_WORDS = _AWKWARD.map(lambda text: "".join(text.split()).lstrip("/")).filter(bool)


def _of_libpq(password: str) -> str:
    escaped = password.replace("\\", "\\\\").replace("'", "\\'")
    return f"password='{escaped}'"


HOLDERS: dict[str, Callable[[str], str]] = {
    "url": lambda password: f"postgresql://ann:{password}@db:5432/lab",
    "url of nobody": lambda password: f"postgresql://:{password}@db/lab",
    "url of one slash": lambda password: f"postgresql:/ann:{password}@db/lab",
    "quoted url": lambda password: f"no answer from 'postgresql://ann:{quote(password)}@db/lab'",
    "libpq": _of_libpq,
    "shell": lambda password: f"PGPASSWORD={shlex.quote(password)}",
    "json": lambda password: json.dumps({"password": password}),
    "unescaped json": lambda password: json.dumps({"user": "ann", "api_key": password}, ensure_ascii=False),
    "python": lambda password: repr({"password": password}),
    "yaml": lambda password: yaml.safe_dump({"password": password}, width=10**6, allow_unicode=True),
    "plain yaml": lambda password: f"line 3\n  password: {password}\nline 5",
}


def fragments(text: str) -> set[str]:
    return {text[start : start + 3] for start in range(len(text) - 2)}


@pytest.mark.parametrize("holder", HOLDERS)
@example(password='"" 00')
@given(password=_LINES | _AWKWARD)
def test_no_part_of_a_password_stays(holder: str, password: str) -> None:
    hold = HOLDERS[holder]
    shown = without_credentials(hold(password))
    assert HIDDEN in shown
    assert fragments(password) & fragments(shown) <= fragments(hold(HIDDEN)), shown


@given(password=_WORDS)
def test_no_part_of_a_password_of_one_word_stays(password: str) -> None:
    for text in (f"error near ann:{password}@db", f"host=db password={password} dbname=lab", f"?token={password}"):
        shown = without_credentials(text)
        assert fragments(password) & fragments(shown) <= fragments(text.replace(password, HIDDEN)), shown


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:123,hunter2@host/db",
        "u:123,hunter2@host",
        "u:s3'hunter2@host",
        'u:a"hunter2@host',
        "u:pa hunter2@host",
        "password=x)hunter2",
        "password=x'hunter2",
        "password=x;hunter2",
        "password=x,hunter2&a",
        '{"password": "hunter2"}',
        "password: hunter2",
        "password: hunter1 hunter2",
        "password='x hunter2",
        "DB_PASSWORD : hunter2",
    ],
)
def test_a_password_is_hidden_whatever_stands_in_it(text: str) -> None:
    assert "hunter" not in without_credentials(text)
    assert HIDDEN in without_credentials(text)


@pytest.mark.parametrize(
    "text",
    [
        "pi@10.0.0.3:22: no answer",
        "sweeps/a.yaml:3: ann@desk",
        "a@h1:22,b@h2:22",
        "a@h1:22 b@h2:22",
        "postgresql://ann@db:5432/lab",
        "postgresql://ann@h1:5432,h2:5433/lab",
        "postgresql://h1:5432,h2:5433/lab",
        "unreachable: ann@desk, bob@desk",
        "the password is refused: ask for another",
        "lab.yaml:3: connect: unknown key 'password'",
    ],
)
def test_other_texts_stay(text: str) -> None:
    assert without_credentials(text) == text


@pytest.mark.parametrize("part", ["a:", "password=", "'", "a:b c@", "password='\\'", ":/", "token"])
def test_a_long_text_takes_no_long_time(part: str) -> None:
    line = (part * 2_000)[:2_000]
    assert len(without_credentials("\n".join([line] * 10))) <= 20_009 * 2


@pytest.mark.parametrize(
    "text",
    [
        "/etc/passwd: Permission denied",
        "/etc/passwd:12: no such user",
        "cannot read /run/secrets/db_password: [Errno 13] Permission denied: it is root's",
        "/home/ann/token: No such file or directory",
        "~/.config/lab/api_key: Is a directory\nnext",
    ],
)
def test_what_the_system_says_of_a_file_is_no_credential(text: str) -> None:
    assert without_credentials(text) == text


@pytest.mark.parametrize("text", ["password: Permission denied hunter2", "passwd: hunter2", "/etc/password: hunter2"])
def test_a_word_of_the_system_hides_no_credential(text: str) -> None:
    assert "hunter2" not in without_credentials(text)
