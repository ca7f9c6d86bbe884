"""Tables line up in the terminal, and hold together in Markdown."""

from offbeat.tables import markdown_table, text_table

ROWS = [["", "found"], ["a", "7"], ["longer|name", "12"]]


def test_columns_line_up_under_a_heading_and_a_rule():
    lines = text_table(ROWS).splitlines()
    assert lines == ["             found", "-----------  -----", "a                7", "longer|name     12"]


def test_a_bar_in_a_cell_does_not_split_it_in_markdown():
    assert markdown_table(ROWS).splitlines() == [
        "|  | found |",
        "| --- | --- |",
        "| a | 7 |",
        "| longer\\|name | 12 |",
    ]
