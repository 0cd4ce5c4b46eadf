"""The keys of the browser: one table for the bindings, the bottom line and the help."""

from __future__ import annotations

from typing import NamedTuple


class Key(NamedTuple):
    """names: as Textual calls them. action: of the app. short: on the bottom line, empty if it isn't there."""

    names: str
    shown: str
    action: str
    short: str
    help: str


KEYS = (
    Key("space", "Space", "mark", "mark", "Mark the row, or remove its mark."),
    Key("enter,right", "Enter, Right", "open", "open", "Open the row, or close it."),
    Key("left", "Left", "shut", "", "Close the row, or go to the one above."),
    Key("d", "d", "dry_run", "plan", "Show the plan for the marks (a dry run). Enter there carries it out."),
    Key("r", "r", "remove", "remove", "Remove what is marked: shows the plan, then asks for a yes."),
    Key("b", "b", "backup", "", "The same with a backup, which frees the space once it is purged."),
    Key("u", "u", "undo", "", "Restore what the last run removed. Asks first."),
    Key("w", "w", "why", "why", "Explain why the row is kept, or can be removed."),
    Key("s", "s", "sort", "", "Sort by the space it frees, inodes, last use, or name."),
    Key("slash", "/", "filter", "filter", "Show only rows that contain a text. Enter ends it."),
    Key("escape", "Esc", "escape", "", "Show all rows again."),
    Key("tab", "Tab", "view(1)", "", "Go to the next list."),
    Key("1", "1, 2, 3", "view_at(0)", "", "Go to environments, packages, or leftovers and other tools' caches."),
    Key("2", "", "view_at(1)", "", ""),
    Key("3", "", "view_at(2)", "", ""),
    Key("question_mark", "?", "help", "help", "Show this help."),
    Key("q", "q", "quit", "quit", "Quit. The marks are forgotten."),
)

_HELP = """\
conda prune browse shows environments, cached packages, leftovers and the caches of other tools.

  frees      what removing this row alone frees
  shared     what has hard links elsewhere, and stays
  [ ] [x]    can be marked, is marked
  [-]        protected: the line below the list says why

The line at the bottom says what all marks together free. That is more than the sum of single rows if they share files.
A package that only marked environments use can be marked, too.

"""


def help_text() -> str:
    """Return the help."""
    width = max(len(key.shown) for key in KEYS)
    moves = (("Up, Down", "Move. Also j and k, PageUp, PageDown, Home, End, and the mouse."),)
    lines = [(key.shown, key.help) for key in KEYS if key.shown]
    return _HELP + "\n".join(f"  {shown:<{width}}  {text}" for shown, text in (*moves, *lines))


def bottom_line() -> str:
    """Return the most used keys on one line."""
    return "  ".join(f"{key.shown.split(',')[0]} {key.short}" for key in KEYS if key.short)
