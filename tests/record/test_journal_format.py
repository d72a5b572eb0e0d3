"""The journal's format, byte for byte: ``docs/journal-format.md`` and its fixture."""

import json
import re
import zlib
from pathlib import Path

from stepbook.model.rows import ROW_TYPES, row_from_json, row_to_json
from stepbook.record.lines import FORMAT, parse_line, read_file, seal

ROOT = Path(__file__).parents[2]
FIXTURE = ROOT / "tests" / "fixtures" / "journal-v1.jsonl"
PAGE = ROOT / "docs" / "journal-format.md"


def test_the_fixture_is_read_whole():
    found = read_file(FIXTURE)
    assert found.header["format"] == FORMAT == 1
    assert (found.first, found.damage, found.tail) == (1, None, 0)
    assert [line.seq for line in found.lines] == list(range(1, len(found.lines) + 1))
    assert {line.parse()[0] for line in found.lines} == set(ROW_TYPES.values())


def test_seal_writes_the_very_bytes_of_the_fixture():
    written = b""
    for raw in FIXTURE.read_bytes().splitlines():
        event = json.loads(raw)
        written += seal(event["seq"], event["synced"], event["type"], event["row"])
    assert written == FIXTURE.read_bytes()


def test_the_rows_of_the_fixture_survive_the_model():
    for line in read_file(FIXTURE).lines:
        kind, fields = line.parse()
        again = row_to_json(row_from_json(kind, fields))
        assert {name: again[name] for name in fields} == fields


def test_the_checksum_of_a_line_is_that_of_its_bytes_before_it():
    for raw in FIXTURE.read_bytes().splitlines():
        body, crc = raw.rsplit(b',"crc":"', 1)
        assert crc == b'%08x"}' % zlib.crc32(body)


def test_any_changed_byte_makes_a_line_bad():
    raw = read_file(FIXTURE).lines[1].raw
    assert parse_line(raw) is not None
    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        assert parse_line(changed) is None


def test_a_damaged_line_that_a_later_one_calls_synced_is_damage(tmp_path):
    raws = FIXTURE.read_bytes().splitlines()
    raws[2] = raws[2].replace(b"Load profile", b"Load profilE")
    path = tmp_path / FIXTURE.name
    path.write_bytes(b"\n".join(raws) + b"\n")
    found = read_file(path)
    assert found.damage is not None
    assert (found.damage.line, len(found.lines)) == (3, 1)


def test_a_torn_last_line_and_a_tail_of_zeros_are_no_damage(tmp_path):
    raws = FIXTURE.read_bytes().splitlines(keepends=True)
    path = tmp_path / FIXTURE.name
    path.write_bytes(b"".join(raws[:-1]) + raws[-1][:20] + b"\0" * 4096)
    found = read_file(path)
    assert (found.damage, found.tail) == (None, 20)
    assert len(found.lines) == len(raws) - 2


def test_the_page_shows_lines_of_the_fixture():
    shown = re.findall(r'^\{"seq".*\}$', PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert shown
    assert set(shown) <= set(FIXTURE.read_text(encoding="utf-8").splitlines())


def test_the_page_lists_the_columns_of_every_type_of_event():
    rows = re.findall(
        r"^\| `(\w+)` \| [\w ]+ \| ([\w, ]+) \|$", PAGE.read_text("utf-8"), re.MULTILINE
    )
    listed = {kind: columns.replace("return", "value").split(", ") for kind, columns in rows}
    assert listed == {kind: list(row._fields) for row, kind in ROW_TYPES.items()}
