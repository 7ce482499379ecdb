"""Shell text is split into the commands that a shell would run."""

import pytest

from tests.commands.shell import UNKNOWN, split


def words(text: str) -> list[str]:
    return [" ".join(command.words) for command in split(text)]


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("az login", ["az login"]),
        ("azd up && az login; az logout | jq .", ["azd up", "az login", "az logout", "jq ."]),
        ("az group delete \\\n  --name x", ["az group delete --name x"]),
        (
            "az group list --query \"[?name=='a b'].id\" -o 'tsv x'",
            ["az group list --query [?name=='a b'].id -o tsv x"],
        ),
        ('az x --y "$(az z --a "b c")"', ["az z --a b c", f"az x --y {UNKNOWN}"]),
        ("source <(azd env get-values)", ["azd env get-values", f"source {UNKNOWN}"]),
        ("az x `az y`", ["az y", f"az x {UNKNOWN}"]),
        ("id=a; az x --id $id --of ${id} --or $other", [f"az x --id a --of a --or {UNKNOWN}"]),
        ("az x ${name:+--y $(z)} $((1 + 2)) end", [f"az x {UNKNOWN} {UNKNOWN} end"]),
        ("az x 2>&1 >/dev/null <in --y", ["az x --y"]),
        ('jq . <<<"$page"', ["jq ."]),
        ("python3 - <<'END'\naz not this\nEND\naz this", ["python3 -", "az this"]),
        ("if ! az x; then az y; fi", ["az x", "az y", "fi"]),
        ("while read -r a; do az x; done < <(az y)", ["read -r a", "az x", "az y", "done"]),
        ('az x "${account[@]}" --y', ["az x --y"]),
        ("az x # az y\n# az z", ["az x"]),
        ("f() {\n  az x\n}", ["f", "az x", "}"]),
        ("A=1 az x", ["az x"]),
        ("az x --id <object id of the user>", ["az x --id 1"]),
        ('az x "a\\"b" c\\ d $\'e\' $', ['az x a"b c d e $']),
    ],
)
def test_a_text_is_split_into_commands(text: str, commands: list[str]) -> None:
    assert words(text) == commands


def test_a_command_knows_the_line_on_which_it_begins() -> None:
    assert [command.line for command in split("az a\n\naz b \\\n  --c\naz d")] == [0, 2, 4]
