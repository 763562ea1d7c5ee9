from __future__ import annotations

from results.pages.parse import parse_tables


def test_markdown_tables_come_with_their_heading_and_line() -> None:
    text = "# A\n\n| x | y |\n|---|---|\n| `1` | [2](b) |\n\n## *B* c\n\ntext\n\n| z |\n|---|\n"
    first, second = parse_tables(text)
    assert (first.line, first.heading, first.header, first.rows) == (3, "A", ("x", "y"), (("1", "2"),))
    assert (second.line, second.heading, second.header, second.rows) == (11, "B c", ("z",), ())


def test_spans_are_filled_in_and_two_rows_of_heads_are_joined() -> None:
    text = """## T

<table class="docutils">
<thead>
<tr><th rowspan="2">Algorithm</th><th colspan="2">Results</th></tr>
<tr><th>Linear</th><th>Fine</th></tr>
</thead>
<tbody>
<tr><td rowspan="2">SimCLR</td><td>62.7</td><td>/</td></tr>
<tr><td>66.9</td><td>1</td></tr>
<tr><td>x</td><td colspan="2">y</td></tr>
</tbody>
</table>
"""
    (table,) = parse_tables(text)
    assert (table.line, table.heading) == (3, "T")
    assert table.header == ("Algorithm", "Results / Linear", "Results / Fine")
    assert table.rows == (("SimCLR", "62.7", "/"), ("SimCLR", "66.9", "1"), ("x", "y", "y"))


def test_absurd_spans_and_broken_html_do_not_hurt() -> None:
    text = '<table><tr><td rowspan="99999999999" colspan="-1">a</td><td>b</table>\n\n<table><td>c\n'
    assert ("a", "b") not in [row for table in parse_tables(text) for row in table.rows if len(row) > 1000]
    assert len(parse_tables(text)) == 2


def test_a_table_in_a_code_block_is_none() -> None:
    assert parse_tables("```\n| a |\n|---|\n| 1 |\n```\n") == []
