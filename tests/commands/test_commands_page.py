"""docs/reference/commands.md says all that the help says; tests/test_docs.py holds it current."""

from pathlib import Path

from typer.main import get_command

from hnscc.commands.cli import app

ROOT = Path(__file__).parents[2]
PAGE = Path("docs/reference/commands.md")


def test_the_page_says_what_writes_it():
    assert "`make docs`" in (ROOT / PAGE).read_text()


def test_every_command_stands_there_with_its_options_and_example():
    sections = dict(
        part.split("\n", 1) for part in ("\n" + (ROOT / PAGE).read_text()).split("\n## hnscc ")[1:]
    )
    commands = get_command(app).commands
    assert sections.keys() == commands.keys()
    for name, command in commands.items():
        assert f"\n    hnscc {name} " in sections[name].partition("Example:")[2]
        for parameter in command.params:
            for each in (*parameter.opts, *parameter.secondary_opts):
                assert f"`{each if each.startswith('-') else each.upper()}`" in sections[name]
            assert parameter.help, f"{name} {parameter.name} has no help"


def test_defaults_and_kinds_stand_there():
    page = (ROOT / PAGE).read_text()
    assert "| `--seed` | whole number; default `2023` | The same seed gives the same files. |" in page
    assert "| `--pixel-mm` | number |" in page
    assert "| `--json` | flag |" in page
    assert "runs/&lt;name of the study>" in page
