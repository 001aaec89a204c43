"""The claims about speed and size: each names a row of `make bench` that exists, and the tables of
documents are what bench/table.py makes of a CSV file."""
import fnmatch
import re
import sys

import pytest
from test_documents import DOCUMENTS
from webhook_process import ROOT

sys.path.insert(0, str(ROOT / "bench"))
import scale_model  # noqa: E402
import table  # noqa: E402

MODULES = table.modules(table.SECTIONS)
ROWS = {f"{section}: {what}" for section, module in MODULES.items() for what in module.ROWS}
NAMED = re.compile(r"`((?:" + "|".join(table.SECTIONS) + r"): [^`]+)`")
# What is said to have been measured: figures of speed, and such a word on the line.
FIGURE = re.compile(r"\d ?(?:µs|MB/s|requests/s|connections/s|records/s|reviews/s)|"
                    r"\d ?ms (?:later|for each|of processor)|times (?:as fast|faster)")


def outside_of_blocks(text):
    """Without the generated tables, and without what is said to have been measured once."""
    text = table.BLOCK.sub("", text)
    return re.sub(r"^## Measured once\n.*?(?=^## |\Z)", "", text, flags=re.S | re.M)


def sample_rows():
    """A row for each that is declared, with made-up values."""
    rows = {}
    for section, module in MODULES.items():
        for number, what in enumerate(module.ROWS):
            rows[section, what] = {"value": float(number + 1), "unit": "µs", "peer": "canned",
                                   "peer_value": 10.0, "ratio": (number + 1) / 10}
    return rows


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name != "CHANGELOG.md"])
def test_claims_name_rows(name):
    text = (ROOT / name).read_text()
    for row in NAMED.findall(text):
        assert fnmatch.filter(ROWS, row), f"{name}: no row of the bench is called {row}"
    for line in outside_of_blocks(text).splitlines():
        if FIGURE.search(line):
            assert NAMED.search(line), f"{name}: names no row of the bench: {line}"


def test_each_figure_of_a_block_names_a_row():
    blocks = [(name, match) for name in table.DOCUMENTS
              for match in table.BLOCK.finditer((ROOT / name).read_text())]
    sections = {match.group(2) for _, match in blocks}
    assert sections == {*table.SECTIONS, "machine", "scale model"}
    for name, match in blocks:
        lines = match.group(0).splitlines()[3:-1]
        assert lines, (name, match.group(2))
        if match.group(2) in table.SECTIONS:
            for line in lines:
                assert NAMED.search(line), f"{name}: {line}"


def test_sections_declare_each_row_once():
    for section, module in MODULES.items():
        assert len(set(module.ROWS)) == len(module.ROWS) > 0, section


def test_table_refuses_rows_that_are_not_declared(capsys):
    made = table.Table({"webhook": ("one", "two")})
    made.add("webhook", "one", 3.0, "ms", "nginx", 2.0)
    with pytest.raises(AssertionError):
        made.add("webhook", "three", 1, "ms")
    assert made.missing() == [("webhook", "two")]
    assert "150 %" in capsys.readouterr().out


def test_csv_is_read_as_written(tmp_path):
    made = table.Table()
    made.add("webhook", "one, two", 3.0, "ms", "nginx", 2.0)
    made.add("machine", "kernel", "6.1", "")
    made.write(tmp_path / "bench.csv")
    rows = table.read(tmp_path / "bench.csv")
    assert rows["webhook", "one, two"]["ratio"] == 1.5
    assert rows["machine", "kernel"]["value"] == "6.1"


def test_refill_writes_each_block():
    text = "\n".join(f"<p>\n<!-- bench: {section} -->\nold\n<!-- end of bench -->\n</p>"
                     for section in (*table.SECTIONS, "scale model"))
    filled = table.refill(text, sample_rows())
    assert "old" not in filled
    assert filled.count("<p>") == filled.count("</p>") == len(table.SECTIONS) + 1
    for row in NAMED.findall(filled):
        assert fnmatch.filter(ROWS, row), row
    one = table.refill(text, {key: row for key, row in sample_rows().items()
                              if key[0] == "watchdog"})
    assert one.count("old") == len(table.SECTIONS)  # not measured: they stay as they are


def test_scale_model_computes_from_rows():
    rows = sample_rows()
    rows["observer", "record as stored"]["value"] = 10_000.0
    rows["observer", "records in a burst"]["value"] = 20.0
    lines = {what: (formula, result) for what, formula, result in scale_model.compute(rows)}
    # 5,000 namespaces × min(2/h × 168 h, 1000) × 10,000 bytes
    assert lines["etcd, records if 10 % fail"][1] == "15.6 GiB"
    assert lines["etcd, records if 100 % fail"][1] == "46.6 GiB"
    # 27.8/s of 20/s, half loaded
    assert lines["shards that are needed"][1].strip() == "3"
