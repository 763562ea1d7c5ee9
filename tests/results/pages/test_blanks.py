from __future__ import annotations

from typing import Any

from results.record import Column, MetricValue
from tests.results.pages.reading import (
    only,
    read,
    render,
    tables,
)


def test_a_blank_cell_has_its_reason_below(builder: Any) -> None:
    reason = "class sheep has 40 of 64 positives | see <list>"
    builder.finish("voc07_svm", values={"lowshot_k64": reason, "lowshot_k96": reason})
    builder.run({"a": "simclr"})
    page = render(builder.workspace)[1]
    row = tables(page)[0][2][1]
    assert row[-2:] == ["", ""]
    assert all(row[:-2])
    items = [text for tag, text in read(page.read_text()).blocks if tag == "li"]
    assert items == [f"No value: k=64, k=96: {reason}"]


def test_a_note_beside_a_value_is_shown(builder: Any) -> None:
    record = builder.make("zz")
    note = MetricValue(0.0, note="the detector found nothing")
    builder.finish("zz", metrics={"score": note}, key=record.key)
    builder.run({"a": "simclr"})
    page = render(builder.workspace)[1]
    assert tables(page)[0][2][1] == ["a", "0.00"]
    assert "- Note: Score: the detector found nothing" in page.read_text()


def test_a_failed_job_is_a_blank_row_with_its_reason(builder: Any) -> None:
    good, bad = builder.finish(backbone="simclr"), builder.make(backbone="byol")
    reason = "RuntimeError: cannot read '/home/some body/data/x.jpg'\n  at /scratch/somebody/knn.py " + "z" * 500
    builder.attempt(bad, 1, {"status": "failed", "reason": reason})
    builder.run({"a": "simclr", "b": "byol"}, [good, bad])
    zoo = only(render(builder.workspace), "model_zoo.md")
    ((_, _, cells, _),) = tables(zoo)
    assert cells[2] == ["b", "", "", "", ""]
    (item,) = [text for tag, text in read(zoo.read_text()).blocks if tag == "li"]
    assert item.startswith("No value: b, k=10, k=20, k=100, k=200: failed: RuntimeError: cannot read 'x.jpg' at knn.py")
    assert len(item) < 320


def test_a_column_that_a_record_lacks_is_blank_with_a_reason(builder: Any) -> None:
    display = (Column("score", "Score", 2), Column("other", "Other", 1))
    builder.finish("zz", display=display)
    builder.run({"a": "simclr"})
    page = render(builder.workspace)[1]
    assert tables(page)[0][2][1][2] == ""
    assert "- No value: Other: not measured" in page.read_text()
