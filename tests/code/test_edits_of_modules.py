"""Edits of modules: imports in functions, modules as values, what has one name in two libraries."""

from __future__ import annotations

import pytest
from edits import Edit, check, verdicts_on

EDITS = {
    "relative import in a function": Edit(
        {
            "m.py": "from pkg.a import call",
            "pkg/__init__.py": "",
            "pkg/a.py": "def call():\n    from .b import K\n    return K",
            "pkg/b.py": "K = 1",
        },
        "1",
        "2",
    ),
    "relative import of a module in a function": Edit(
        {
            "m.py": "from pkg.a import call",
            "pkg/__init__.py": "",
            "pkg/a.py": "def call():\n    from . import b\n    return b.K",
            "pkg/b.py": "K = 1",
        },
        "1",
        "2",
    ),
    "submodule imported in a function": Edit(
        {
            "m.py": "def call():\n    import pkg.b\n    return pkg.b.K",
            "pkg/__init__.py": "",
            "pkg/b.py": "K = 1",
        },
        "1",
        "2",
    ),
    "from package import submodule in a function": Edit(
        {
            "m.py": "def call():\n    from pkg import b\n    return b.K",
            "pkg/__init__.py": "",
            "pkg/b.py": "K = 1",
        },
        "1",
        "2",
    ),
    "from package.sub import in a function": Edit(
        {
            "m.py": "def call():\n    from pkg.b import K\n    return K",
            "pkg/__init__.py": "",
            "pkg/b.py": "K = 1",
        },
        "1",
        "2",
    ),
    "imported module imports another": Edit(
        {
            "m.py": "def call():\n    import a\n    return a.go()",
            "a.py": "from b import K\ndef go(): return K",
            "b.py": "K = 1",
        },
        "1",
        "2",
    ),
    "namespace package": Edit(
        {"m.py": "import src.feat\ndef call(): return src.feat.K", "src/feat.py": "K = 1"}, "1", "2"
    ),
    "namespace package, function": Edit(
        {
            "m.py": "import src.feat\ndef call(): return src.feat.go()",
            "src/feat.py": "def go(): return 1",
        },
        "1",
        "2",
    ),
    "module as an argument": Edit(
        {"m.py": "import config\ndef f(c): return c.K\ncall = f, config", "config.py": "K = 1"},
        "1",
        "2",
    ),
    "module in a local name": Edit(
        {
            "m.py": "import config\ndef call():\n    c = config\n    return c.K",
            "config.py": "K = 1",
        },
        "1",
        "2",
    ),
    "module by getattr": Edit(
        {"m.py": "import config\ndef call(): return getattr(config, 'K')", "config.py": "K = 1"},
        "1",
        "2",
    ),
    "module to a helper": Edit(
        {
            "m.py": "import config\ndef h(c): return c.K\ndef call(): return h(config)",
            "config.py": "K = 1",
        },
        "1",
        "2",
    ),
    "module in a list": Edit(
        {"m.py": "import config\nL = [config]\ndef call(): return L[0].K", "config.py": "K = 1"},
        "1",
        "2",
    ),
    "module in an instance": Edit(
        {
            "m.py": "import config\nclass M:\n    def __init__(self): self.c = config\n    def go(self): return self.c.K\ncall = M().go",
            "config.py": "K = 1",
        },
        "1",
        "2",
    ),
    "module in a class": Edit(
        {
            "m.py": "import config\nclass M:\n    c = config\n    def go(self): return self.c.K\ncall = M().go",
            "config.py": "K = 1",
        },
        "1",
        "2",
    ),
    "lazy module attribute": Edit(
        {
            "m.py": "import pkg\ndef call(): return pkg.K",
            "pkg/__init__.py": "def __getattr__(n): return {'K': 1}[n]",
        },
        "1",
        "2",
    ),
    "library by another name": Edit(
        "import math as m\ndef call(): return m.sqrt(4)", "import math", "import cmath"
    ),
    "singleton module level instance with logger": Edit(
        "import logging\nclass M:\n    def __init__(self, k): self.k = k; self.log = logging.getLogger('a')\n    def go(self): return self.k\nm = M(1)\ndef call(): return m.go()",
        "1",
        "2",
    ),
    "from math to cmath": Edit(
        "from math import sqrt\ndef call(): return sqrt(4)", "from math", "from cmath"
    ),
    "library class of one name": Edit(
        "from pathlib import Path\ndef call(): return Path", "pathlib", "zipfile"
    ),
    "alias of a library, as it was": Edit(
        "import numpy as np, pandas as pd, os.path as osp\nfrom os import path\nimport xml.etree.ElementTree as ET\ndef call(): return np, pd, osp, path, ET\n# before",
        "before",
        "after",
        "same",
    ),
    "import in a namespace package inside": Edit(
        {
            "m.py": "def call():\n    from ns.a import K\n    return K",
            "ns/a.py": "from .b import K",
            "ns/b.py": "K = 1",
        },
        "1",
        "2",
    ),
    "import cycle": Edit(
        {
            "m.py": "def call():\n    import a\n    return a.K",
            "a.py": "import b\nK = 1",
            "b.py": "import a\nJ = 2",
        },
        "2",
        "3",
    ),
    "import with a syntax error": Edit(
        {
            "m.py": "def call():\n    try:\n        import a\n    except SyntaxError: return 1\n# before",
            "a.py": "K = = 1",
        },
        "before",
        "after",
        "same",
    ),
    "module as an argument, as it was": Edit(
        {
            "m.py": "import config\ndef f(c): return c.K\ncall = f, config",
            "config.py": "'doc'\nK = 1 # c",
        },
        "# c",
        "# d",
        "same",
    ),
    "submodule alone": Edit(
        {
            "m.py": "import pkg.sub\ndef call():\n    s = pkg.sub\n    return s.K",
            "pkg/__init__.py": "",
            "pkg/sub.py": "K = 1",
        },
        "1",
        "2",
    ),
    "lazy module with getattr: helper": Edit(
        {
            "m.py": "import pkg\ndef call(): return pkg.K",
            "pkg/__init__.py": "def mk(): return 1\ndef __getattr__(n): return mk()",
        },
        "1",
        "2",
    ),
}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    return verdicts_on(EDITS, tmp_path_factory.mktemp("edits"))


@pytest.mark.parametrize("name", EDITS)
def test_verdict_of_an_edit(name, verdicts):
    check(name, EDITS, verdicts)
