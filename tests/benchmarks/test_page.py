"""The page that `make bench` writes."""

from xml.etree import ElementTree as ET

from tests.benchmarks import schedule_page
from tests.benchmarks.chart import Axis, Series, line_chart
from tests.benchmarks.figures import Figure, page
from tests.benchmarks.simulation import Load, simulate
from tests.benchmarks.tables import Goal, markdown_table

SVG = "{http://www.w3.org/2000/svg}"


def test_a_chart_is_xml_with_axis_titles_and_a_name_for_each_line() -> None:
    x, y = Axis("mails", (1, 10, 100), logarithmic=True), Axis("calls & more", (0, 50))
    drawn = line_chart("Calls", x, y, [Series("before", [(1, 0), (100, 50)], 1, dots=True)])

    texts = [element.text for element in ET.fromstring(drawn).iter(f"{SVG}text")]  # noqa: S314 - our own
    assert {"Calls", "mails", "calls & more", "before", "100", "50"} <= set(texts)
    assert drawn == line_chart("Calls", x, y, [Series("before", [(1, 0), (100, 50)], 1, dots=True)])


def test_a_logarithmic_axis_gives_each_power_of_ten_the_same_length() -> None:
    axis = Axis("mails", (1, 10, 100), logarithmic=True)

    assert [axis.place(value) for value in (1, 10, 100)] == [0, 0.5, 1]


def test_a_missed_goal_is_highlighted() -> None:
    assert Goal("calls", 20.004, 20).cells()[-1] == "yes"
    assert Goal("calls", 20.01, 20, "1 host").cells() == ("calls", "≤ 20", "20.01", "1 host", "**no**")


def test_numbers_are_right_aligned() -> None:
    assert markdown_table(("a", "b"), [("x", 1)], numbers_from=1) == "| a | b |\n|---|---:|\n| x | 1 |"


def test_the_page_has_the_figures_and_then_each_section() -> None:
    written = page([Figure("a", "b", 0.5, 0.9, "how")], ["## One", "## Two"])

    assert written.endswith("| a | b | 0.50 | ≤ 0.9 | yes | how |\n\n## One\n\n## Two\n")


def test_the_simulation_table_shows_earlier_values_and_missed_goals() -> None:
    results = [simulate(Load(100, 1, set_pace=pace)) for pace in (0, 30)]
    text, met = schedule_page.section(results, alone=6)

    assert "| 100, 1 host | learned | 22 | 13.2 |" in text
    assert "| table calls of a mail without a backlog | ≤ 5 | 6 |" in text
    assert not met
