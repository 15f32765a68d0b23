"""Recognise credentials in text: no message, log or result shows a credential."""

from __future__ import annotations

import re

HIDDEN = "***"

# A password may hold anything but the end of the line, so that only the last @ of the line ends the password of a URL.
_OF_URL = re.compile(r"(\b[A-Za-z][\w+.-]*:/{1,3}[^\s:/@\[]*):.*@")
# Without a kind a number and a blank after the colon are a line or a port. After an @ stands a host with a port.
_OF_USER = re.compile(r"(?<![^\s/,'\"])([^\s:/@'\"]+):(?!//)(?:(?!\d+(?::\d+)*:?\s|\s).*@|\S*@)")
# What a system call says of a file is no credential, and /etc/passwd has none.
_FILE_ERRORS = (
    r"(?:\[Errno \d+\] )?(?:permission denied|no such file or directory|operation not permitted|is a directory|"
    r"not a directory|file exists|read-only file system|no space left on device|input/output error|too many levels of "
    r"symbolic links|file name too long|text file busy|stale file handle)(?=[.,:;)'\"\]]|\s*$)"
)
# After a colon the whole rest of the line is hidden: a plain value of YAML may begin with a quoted word.
_NAMED = re.compile(
    r"(?<![\w-])(?!(?<=/etc/)passwd\b)"
    r"([\w-]*(?:password|passwd|pwd|passfile|passphrase|secret|token|credential|api_?key)[\w-]*\\*[\"']?"
    rf"[^\S\n]*(?:=|(:)(?![^\S\n]+{_FILE_ERRORS}))[^\S\n]*)(?(2).+|(?:(['\"])(?:.*\3\S*|.*)|\S+))",
    re.IGNORECASE | re.MULTILINE,
)


def without_credentials(text: str) -> str:
    """Return text with *** for passwords of URLs and for the values of passwords, tokens and password files.

    The hidden part ends at the end of a line at the latest. Rather too much of a line is hidden than too little.
    """
    if "@" in text:
        text = _OF_USER.sub(rf"\1:{HIDDEN}@", _OF_URL.sub(rf"\1:{HIDDEN}@", text))
    return _NAMED.sub(rf"\1{HIDDEN}", text) if "=" in text or ":" in text else text
