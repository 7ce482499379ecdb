"""The forms of an HTML page as the local stack uses them; pure."""

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass(frozen=True)
class Button:
    """A submit button; unnamed ones add no field."""

    name: str
    value: str


@dataclass
class Form:
    """A form as a page shows it.

    Attributes:
        fields: what is filled in; a box that is not ticked is not among them.
        boxes: the checkboxes, ticked or not.
    """

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    boxes: dict[str, str] = field(default_factory=dict)
    buttons: list[Button] = field(default_factory=list)


def read_forms(html: str) -> list[Form]:
    """List a page's forms in their order."""
    reader = _Reader()
    reader.feed(html)
    return reader.forms


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._open = False
        self._area = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(values.get("action", ""), values.get("method", "get").lower()))
            self._open = True
        elif self._open and tag == "input":
            self._input(values)
        elif self._open and tag == "button":
            self.forms[-1].buttons.append(Button(values.get("name", ""), values.get("value", "")))
        elif self._open and tag == "textarea":
            self._area = values.get("name", "")
            self.forms[-1].fields[self._area] = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.forms[-1].fields[self._area] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = False
        if tag == "textarea":
            self._area = ""

    def _input(self, values: dict[str, str]) -> None:
        form, name = self.forms[-1], values.get("name", "")
        if values.get("type") in {"checkbox", "radio"}:
            form.boxes[name] = values.get("value", "on")
            if "checked" in values:
                form.fields[name] = values.get("value", "on")
        elif values.get("type") == "submit":
            form.buttons.append(Button(name, values.get("value", "")))
        elif name:
            form.fields[name] = values.get("value", "")
