"""A notebook with secrets in it: none is in the files of its book, and the next session knows."""

from __future__ import annotations

import base64

import pytest

TOKEN = "ghp_" + "Z9x" * 12
SECRET = "hunter2-qx"  # noqa: S105 - it is what the tests look for
LEAST = 1_000


def leaks(folder):
    """Return the files that hold a secret, in any of the forms that files have."""
    found, looked_at = [], 0
    for path in folder.rglob("*"):
        if not path.is_file() or path.suffix in (".ipynb", ".py"):
            continue
        data = path.read_bytes()
        looked_at += len(data)
        for secret in (TOKEN, SECRET):
            codes = ["utf-8", "utf-16-le", "utf-32-le"]
            forms = [secret.encode(code) for code in codes]
            forms += [base64.b64encode(b" " * n + secret.encode())[4:-4] for n in range(3)]
            found += [(path.name, form) for form in forms if form in data]
    assert looked_at > LEAST
    return found


CELLS = [
    f"""%%step Log in
import os, logging
from IPython.display import HTML, JSON, display
password = {SECRET!r}
headers = {{"Authorization": "Bearer {TOKEN}", "n": 1}}
nested = [{{"deep": ("x", "{TOKEN}")}}]
plain = {{"n": 2}}
os.environ["MY_API_KEY"] = {SECRET!r}
url = f"https://ann:{{password}}@example.org/"
print("printed", password, "{TOKEN}")
print(headers, flush=True)
display(HTML(f"<b title='{TOKEN}'>{{password}}</b><script>1</script>"))
display(JSON({{"password": password, "list": ["{TOKEN}"]}}))
logging.getLogger().warning("logged %s", password)
password""",
    """%%step Use
answer = len(password) + len(headers) + plain["n"] + len(nested)
answer""",
    """%%step In a body
class Client:
    def __init__(self, secret):
        self.secret = secret
client = Client(password)
def connect(where, password=password):
    return where
count = 3""",
]
FAILS = f"""%%step Fail
api_key = {SECRET!r}
def check(key):
    raise ConnectionError(f"refused {{key}} for {TOKEN}")
check(api_key)"""


@pytest.fixture
def kernel(kernels):
    made = kernels()
    made.ok("%load_ext stepbook")
    made.ok("import stepbook; book = stepbook.connect(redact=True)")
    made.ok("%stepbook run secret")
    return made


def test_secrets_of_cells_are_in_no_file(kernel, tmp_path):
    for cell in CELLS:
        result = kernel.ok(cell)
    assert kernel.run(FAILS).error["ename"] == "ConnectionError"
    assert not leaks(tmp_path)
    kernel.ok("%stepbook close")
    assert not leaks(tmp_path)
    result = kernel.ok("print(book.sql('select source, outputs from cells').to_string())")
    assert "[redacted]" in result.text()


def test_variables_with_secrets_keep_their_value_and_are_named_when_recorded(kernel):
    warned = kernel.ok(CELLS[0]).text("stderr")
    for name in ("password", "headers", "nested", "MY_API_KEY"):
        assert name in warned
    assert "plain" not in warned
    assert kernel.ok("print(password, headers['n'])").text() == f"{SECRET} 1\n"


def test_they_come_back_as_stubs_and_later_cells_are_replayed(kernel):
    for cell in CELLS[:2]:
        kernel.ok(cell)
    kernel.restart()
    kernel.ok("%load_ext stepbook")
    kernel.ok("%stepbook run secret")  # which reads the settings of the book
    kernel.ok(CELLS[0])
    replayed = kernel.ok(CELLS[1])
    assert replayed.value == str(len(SECRET) + 2 + 2 + 1)
    assert "executed again" not in replayed.text("stderr")
    error = kernel.run("password + ''").error
    assert error["ename"] == "NotStoredError"
    assert "redacts" in error["evalue"]
    assert kernel.run("headers['n']").error["ename"] == "NotStoredError"
    assert kernel.ok("print(plain)").text() == "{'n': 2}\n"


def test_a_kill_in_the_middle_leaves_no_secret(kernel, tmp_path):
    kernel.ok(CELLS[0])
    request = kernel.send(
        f"%%step Slow\nimport time\nsecret = {SECRET!r}\n"
        f"print('{TOKEN}', secret, 'here', flush=True)\ntime.sleep(600)"
    )
    kernel.wait_for(request, "here")
    kernel.kill()
    assert not leaks(tmp_path)
    kernel.start()
    kernel.ok("%load_ext stepbook")
    kernel.ok("%stepbook run secret")
    kernel.ok("%stepbook close")
    assert not leaks(tmp_path)
