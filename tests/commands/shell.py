"""A parser that splits shell text into commands and their words.

What only a run could tell becomes `UNKNOWN`: an unset variable, the output of another command. `bash -n` and
ShellCheck check the syntax (test_scripts.py); here it is assumed to be correct.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

#: A value that options for numbers and options for text both take.
UNKNOWN = "1"
#: By the last word of a placeholder.
_VALUES = {"id": "6f1c0000-0000-4000-8000-0000000c0701", "address": "someone@contoso.com"}
#: What a person replaces, such as <client id>; a shell would read it as a redirection.
PLACEHOLDER = re.compile(r"<[A-Za-z](?:[\w ,.'-]*\w)?>")

_KEYWORDS = frozenset(
    {"if", "then", "else", "elif", "while", "until", "do", "!", "{", "time", "export", "local"}
)
_ASSIGNMENT = re.compile(r"(\w+)\+?=(.*)", re.DOTALL)
_EXPANSION = re.compile(r"\w+|[@*#?!$-]")
_REDIRECTION = re.compile(r"(&?>>?&?|<<<|<<-?|<&?)[ \t]*")
_ARRAY = re.compile(r"\"?\$\{\w+\[[@*]\][^}]*\}\"?")
_SEPARATORS = "\n;&|("
_END_OF_WORD = " \t\n;&|()<>"


@dataclass(frozen=True)
class Command:
    """One command: its words and the line on which it starts, from 0."""

    words: tuple[str, ...]
    line: int


def split(text: str) -> list[Command]:
    """Return the commands of a shell text, substitutions first."""
    scanner = _Scanner(PLACEHOLDER.sub(_value_of, text))
    while scanner.at < len(scanner.text):
        scanner.run()
    return scanner.commands


def _value_of(placeholder: re.Match[str]) -> str:
    return _VALUES.get(placeholder[0].strip("<>").split()[-1], UNKNOWN)


@dataclass
class _Scanner:
    """A position in a text, and the commands and variables before it."""

    text: str
    at: int = 0
    commands: list[Command] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    heredocs: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Read commands behind the next closing bracket, or to the end."""
        words: list[str] = []
        begin = self.at
        while self.at < len(self.text) and self.text[self.at] != ")":
            redirection = None if self.at_substitution() else _REDIRECTION.match(self.text, self.at)
            if redirection:
                self.redirect(redirection, words)
            elif self.text[self.at] in _SEPARATORS:
                self.end_command(words, begin)
                words = []
                self.read_separator()
            elif not self.skip_blanks():
                begin = begin if words else self.at
                self.read_word(words)
        self.at += 1
        self.end_command(words, begin)

    def at_substitution(self) -> bool:
        return self.text.startswith(("<(", ">("), self.at)

    def skip_blanks(self) -> bool:
        """Skip blanks, a continuation or a comment; return whether one existed."""
        found = re.compile(r"[ \t]+|\\\n|#[^\n]*").match(self.text, self.at)
        self.at = found.end() if found else self.at
        return found is not None

    def read_separator(self) -> None:
        separator = self.text[self.at]
        self.at += 1
        if separator == "(":
            self.run()
        if separator == "\n":
            for end in self.heredocs:
                found = re.compile(rf"^\t*{re.escape(end)}$", re.MULTILINE).search(self.text, self.at)
                self.at = found.end() if found else len(self.text)
            self.heredocs.clear()

    def end_command(self, words: list[str], begin: int) -> None:
        while words and words[0] in _KEYWORDS:
            words = words[1:]
        while words and (assignment := _ASSIGNMENT.fullmatch(words[0])):
            self.variables[assignment[1]] = assignment[2]
            words = words[1:]
        if words:
            self.commands.append(Command(tuple(words), self.text.count("\n", 0, begin)))

    def redirect(self, operator: re.Match[str], words: list[str]) -> None:
        """Skip a redirection and its target.

        The number of a numbered file descriptor is the word before it.
        """
        if words and words[-1].isdigit() and self.text[self.at - 1].isdigit():
            words.pop()
        self.at = operator.end()
        named: list[str] = []
        self.read_word(named)
        if operator[1] in {"<<", "<<-"}:
            self.heredocs.extend(named)

    def read_word(self, words: list[str]) -> None:
        begin, parts = self.at, list[str]()
        while self.at < len(self.text) and (self.text[self.at] not in _END_OF_WORD or self.at_substitution()):
            parts.append(self.read_part())
        # The words of an array are not known, nor how many they are.
        if not _ARRAY.fullmatch(self.text, begin, self.at):
            words.append("".join(parts))

    def read_part(self) -> str:
        match self.text[self.at]:
            case "'":
                return self.take_to("'")
            case '"':
                return self.read_quoted()
            case "$" | "`":
                return self.expand()
            case "<" | ">":
                self.at += 2
                self.run()
                return UNKNOWN
            case "\\":
                self.at += 2
                return self.text[self.at - 1 : self.at].strip("\n")
            case literal:
                self.at += 1
                return literal

    def take_to(self, end: str) -> str:
        """Read literally from behind this character to the next one of a kind."""
        begin = self.at + 1
        found = self.text.find(end, begin)
        found = len(self.text) if found < 0 else found
        self.at = found + 1
        return self.text[begin:found]

    def read_quoted(self) -> str:
        parts = []
        self.at += 1
        while self.at < len(self.text) and self.text[self.at] != '"':
            if self.text[self.at] in "$`\\":
                parts.append(self.read_part())
            else:
                parts.append(self.text[self.at])
                self.at += 1
        self.at += 1
        return "".join(parts)

    def expand(self) -> str:
        if self.text[self.at] == "`":
            self.commands += split(self.take_to("`"))
            return UNKNOWN
        self.at += 1
        rest = self.text[self.at : self.at + 2]
        if rest == "((":
            self.at = self.text.index("))", self.at) + 2
        elif rest.startswith("("):
            self.at += 1
            self.run()
        elif rest.startswith("{"):
            return self.expand_braces()
        elif rest.startswith("'"):
            return self.take_to("'")
        elif name := _EXPANSION.match(self.text, self.at):
            self.at = name.end()
            return self.variables.get(name[0], UNKNOWN)
        else:
            return "$"
        return UNKNOWN

    def expand_braces(self) -> str:
        begin, depth = self.at + 1, 0
        while self.at < len(self.text):
            depth += {"{": 1, "}": -1}.get(self.text[self.at], 0)
            self.at += 1
            if depth == 0:
                break
        return self.variables.get(self.text[begin : self.at - 1], UNKNOWN)
