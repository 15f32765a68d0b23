"""Draw commands that can be copied from a console of any width."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from orchestrator.reporting.text import clean

_FURTHER = "   "
_WORD = re.compile(r"""(?:'[^']*'|"[^"]*"|\\.|\S)+""")
"""A word of a shell, as written: blanks inside quotes end no word."""
_VERBS = (
    "shows|says|lists|has|waits|makes|describes|plans|names|goes|collects|removes|ends|takes|writes|tells|clears|"
    "runs (?:them|it|the)|gives|and|or|once|in"
)
_COMMAND = re.compile(rf"benchfleet(?: (?!(?:{_VERBS})\b)(?:'[^']*'|[^\s,;:`'])+)+")
"""A command in a sentence: up to a sign that ends the clause, or the clause's verb."""


@dataclass(frozen=True, slots=True)
class CommandLines:
    """Render a command: what is too long for the console goes on in the next line, behind a backslash.

    No word is broken, so that a line may be longer than the console. `lead` stands before the command.
    """

    command: str
    lead: str = ""
    indent: int = 2

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lead, line, width = Text(f"{' ' * self.indent}{self.lead}"), "", options.max_width
        lead.stylize("bold", self.indent)
        for word in map(clean, _WORD.findall(self.command)):
            # Two more characters for the blank and the backslash.
            if line and lead.cell_len + Text(f"{line} {word}").cell_len + 2 > width:
                yield _whole(lead, f"{line} \\")
                lead, line = Text(" " * self.indent + _FURTHER), word
            else:
                line = f"{line} {word}" if line else word
        yield _whole(lead, line)


@dataclass(frozen=True, slots=True)
class HintLines:
    """Render a hint. Where the hint has no room in one line, a command in the hint has a line of its own."""

    hint: str
    device: str | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        hint = clean(self.hint)
        lead = Text.assemble(("hint: ", "bold"), "" if self.device is None else f"{clean(self.device)}: ")
        found = _COMMAND.search(hint)
        if found is None or lead.cell_len + Text(hint).cell_len <= options.max_width:
            yield lead.append(hint)
            return
        before, after = hint[: found.start()].strip(" `:;,"), hint[found.end() :].strip(" `:;,")
        yield lead.append(f"{before}:" if before else "")
        yield CommandLines(found[0])
        if after:
            yield Text(f"  {after}")


def _whole(lead: Text, line: str) -> Text:
    text = lead.copy().append(line)
    # Neither folded nor cut: half a word of a command cannot be copied.
    text.no_wrap, text.overflow = True, "ignore"
    return text
