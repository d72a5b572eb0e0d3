"""Files that cells write, under whatever name, and what is said of them after a replay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from driver import Kernel

BEGIN = ("%load_ext stepbook", "%stepbook run files")
JOINED = (
    "%%step Write\nfrom pathlib import Path\nDATA = Path('data')\nDATA.mkdir(exist_ok=True)\n"
    "_n = (DATA / 'x.csv').write_text('a,b')"
)
#: For each way to write a file: the step, the cell that reads it, and the file.
WAYS = {
    "a path that is joined": (JOINED, "(DATA / 'x.csv').read_text()", "data/x.csv"),
    "a name without a dot": (
        "%%step Write\nwith open('rows', 'w') as file:\n    _n = file.write('a,b')",
        "open('rows').read()",
        "rows",
    ),
    "a folder that is left": (
        (
            "%%step Write\nimport os\nwith open('x.csv', 'w') as file: _n = file.write('a,b')\n"
            "os.makedirs('sub', exist_ok=True)\nos.chdir('sub')"
        ),
        "open('../x.csv').read()",
        "x.csv",
    ),
    "a shell's line": ("%%step Write\n!printf a,b > x.csv", "open('x.csv').read()", "x.csv"),
    "a name that is put together": (
        (
            "%%step Write\nfor n in range(2):\n    with open(f'part-{n}.csv', 'w') as file:\n"
            "        _n = file.write('a,b')"
        ),
        "n = 1\nopen(f'part-{n}.csv').read()",
        "part-1.csv",
    ),
}


def said(kernel: Kernel, cell: str) -> str:
    result = kernel.run(cell)
    return str(result.text() + result.text("stderr"))


@pytest.fixture(params=WAYS.values(), ids=WAYS.keys())
def way(request, kernels: Callable[[], Kernel]) -> tuple[Kernel, str, str, str]:
    """A kernel that has just started again behind one that has written a file."""
    kernel = kernels()
    write, read, name = request.param
    for cell in (*BEGIN, write):
        kernel.ok(cell)
    kernel.restart()
    for cell in BEGIN:
        kernel.ok(cell)
    return kernel, write, read, name


def test_file_as_it_was_written_is_read_without_a_word(way):
    kernel, write, read, _ = way
    kernel.ok(write)
    result = kernel.ok(read)
    assert result.value == "'a,b'"
    assert result.text() + result.text("stderr") == ""


def test_file_that_is_gone_is_told_when_it_is_read(way):
    kernel, write, read, name = way
    (kernel.folder / name).unlink()
    kernel.ok(write)
    words = said(kernel, read)
    assert "was written by the step 'Write' and is missing" in words
    assert said(kernel, read).count("is missing") == 0


def test_files_that_a_later_step_rewrites_or_deletes_are_nothing_to_tell(kernels):
    kernel = kernels()
    steps = [
        "%%step One\nfrom pathlib import Path\n_n = [Path(n + '.txt').write_text(n) for n in 'ab']",
        "%%step Two\n_n = (Path('.') / 'a.txt').write_text('more')\nPath('b.txt').unlink()",
    ]
    for cell in (*BEGIN, *steps):
        kernel.ok(cell)
    kernel.restart()
    words = [said(kernel, cell) for cell in (*BEGIN, *steps, "Path('a.txt').read_text()")]
    assert words[2:] == ["", "", ""]
    assert said(kernel, "Path('b.txt').exists()") == ""


def test_file_below_the_cells_magic_is_followed(kernels):
    kernel = kernels()
    step = f"%%step Write\n%%time\n{JOINED.partition(chr(10))[2]}"
    for cell in (*BEGIN, step):
        kernel.ok(cell)
    kernel.restart()
    (kernel.folder / "data/x.csv").write_text("other")
    for cell in (*BEGIN, step):
        kernel.ok(cell)
    assert "has changed since (3 bytes then, 5 now)" in said(kernel, "(DATA / 'x.csv').read_text()")
