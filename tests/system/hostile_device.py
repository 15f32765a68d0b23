"""Stands in the inventory as a device's `python`: a worker that has been taken over, and says what harms a terminal.

It speaks just enough of the protocol to be listened to; MODE in its environment is how far it gets.
"""

import json
import sys

EVIL = "\x1b]0;pwned\x07\x1b[2J\x9b31m\u202egpj.exe\u2066\u200b\nerror: all is well\r\x00" + "A" * 3000


def say(**message: object) -> None:
    """Send one message."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main(mode: str) -> None:
    """Answer until the controller has heard enough."""
    if mode == "loader":
        sys.stdout.write("benchfleet-loader " + json.dumps({"python": "3.11", "error": EVIL, "message": EVIL}) + "\n")
        return
    sys.stdout.write("benchfleet-loader " + json.dumps({"python": "3.11.2", "have": True}) + "\n")
    say(type="hello", protocol=EVIL if mode == "hello" else 1)
    for line in sys.stdin:
        asked = json.loads(line)["type"]
        if asked == "facts" and mode != "error":
            facts = {"machine": EVIL, "python": EVIL, "os_id": EVIL, "board_model": EVIL, "cpu_count": EVIL, EVIL: EVIL}
            say(type="facts", facts={**facts, "libc_name": "glibc", "libc_version": EVIL, "gpus": [EVIL]})
        else:
            say(type="error", kind=EVIL, message=EVIL, hint=EVIL)


if __name__ == "__main__":
    main(sys.argv[0].rpartition("-")[2])
