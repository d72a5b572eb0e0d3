"""Compare replayed notebooks with undisturbed ones.

Without a command it runs the stored cases, or those of the given files.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import report
from .cases import Case, CaseError, append, load, stored
from .examine import Verdict, examine
from .kinds import KINDS, USUAL, chains
from .pool import LIMIT_S, Pool, prepare
from .search import search, smallest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .kinds import Chain


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = given.pop(0) if given and given[0] in ("run", "search", "show") else "run"
    parser = argparse.ArgumentParser(
        prog=f"python -m fidelity {command}", description=_ABOUT[command]
    )
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for each session")
    parser.add_argument("--workers", type=int, help="sessions at once; as many as cores")
    parser.add_argument("--every", action="store_true", help="interrupt cells at every place")
    parser.add_argument("--kinds", default=",".join(USUAL), help=f"of {','.join(KINDS)}")
    parser.add_argument("--kernel", action="store_true", help="only in real kernels")
    parser.add_argument("--verbose", action="store_true", help="print all that differs")
    _OPTIONS[command](parser)
    options = parser.parse_args(given)
    options.kinds = ("kernel",) if options.kernel else tuple(options.kinds.split(","))
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"there is no kind of scenario {', '.join(sorted(unknown))}")
    try:
        return _COMMANDS[command](options)
    except CaseError as error:
        parser.error(str(error))


_ABOUT = {
    "run": "Run the stored cases, or those of the files. The commands search and show: see --help "
    "of each.",
    "search": "Make cases by chance and run them.",
    "show": "Print what each session of a case looks like.",
}


def _run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="cases as JSON")
    parser.add_argument("--only", help="cases whose names contain this")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdicts here, too")


def _run(options: argparse.Namespace) -> int:
    cases = [c for file in options.files for c in load(file)] if options.files else stored()
    cases = [case for case in cases if not options.only or options.only in case.name]
    progress = report.Progress(len(cases))
    pool = _pool(options)
    verdicts = []
    for verdict in examine(pool, cases, _plan(options)):
        verdicts.append(verdict)
        progress.count(verdict)
        report.show(verdict, verbose=options.verbose)
    if options.json:
        rows = {v.case.name: [] if v.holds else list(map(str, v.found)) for v in verdicts}
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    print(progress.closing(pool.sessions))
    return int(progress.counts["holds"] < progress.counts["cases"])


def _show_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="of the case, or what only its name contains")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="cases as JSON")


def _show(options: argparse.Namespace) -> int:
    cases = [c for file in options.files for c in load(file)] if options.files else stored()
    found = [case for case in cases if case.name == options.name]
    found = found or [case for case in cases if options.name in case.name]
    if len(found) != 1:
        raise CaseError(f"{len(found)} cases have {options.name!r} in their names: name one.")
    case: Case = found[0]
    for number, text in enumerate(case.cells):
        print(f"--- cell {number}\n{text}")
    for number, text in enumerate(case.edit or ()):
        print(f"--- edited cell {number}\n{text}")
    [verdict] = examine(_pool(options), [case], _plan(options))
    _print_sessions(verdict)
    for difference in verdict.found:
        print(difference)
    return int(not verdict.holds)


def _search_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=2.0, help="how long (default 2)")
    parser.add_argument("--seed", type=int, help="of the generator; printed if it is chosen")
    parser.add_argument("--save", type=Path, metavar="FILE", help="append what differs silently")
    parser.add_argument("--shrink", type=int, default=5, help="how many to make small (default 5)")


def _search(options: argparse.Namespace) -> int:
    seed = time.time_ns() % 10**9 if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    pool, screen = _pool(options), Pool(1, options.limit)
    progress, silent = report.Progress(), []
    for verdict in search(pool, screen, seed, options.minutes * 60):
        progress.count(verdict)
        if verdict.silent:
            silent.append(verdict)
            print(f"SILENT {verdict.case.name}: {verdict.silent[0]}"[: report.WIDTH], flush=True)
    print(progress.closing(pool.sessions), flush=True)
    for number, verdict in enumerate(silent):
        small = number < options.shrink
        case = smallest(pool, verdict) if small else verdict.case
        if small:
            print(json.dumps(case.as_json()), flush=True)
        if options.save:
            append(options.save, case)
    return int(bool(silent))


def _print_sessions(verdict: Verdict) -> None:
    for label, seen, truth in verdict.sessions:
        print(f"--- {label}: executed {seen.executed}" + (f", {seen.died}" if seen.died else ""))
        because = [f"cell {number}: {why}" for number, why in seen.because.items()]
        for line in (*seen.errors, *because, *seen.said):
            print(f"    {line}")
        for look, text in seen.looks.items():
            print(f"    {look}: {text}")
            if text != truth.looks.get(look):
                print(f"        plain: {truth.looks.get(look)}")


def _plan(options: argparse.Namespace) -> Callable[[Case], list[Chain]]:
    return lambda case: chains(case, options.kinds, every=options.every)


def _pool(options: argparse.Namespace) -> Pool:
    begun = time.monotonic()
    prepare()
    print(f"prepared in {time.monotonic() - begun:.1f} s", file=sys.stderr)
    return Pool(options.workers, options.limit)


_OPTIONS = {"run": _run_options, "search": _search_options, "show": _show_options}
_COMMANDS = {"run": _run, "search": _search, "show": _show}


if __name__ == "__main__":
    sys.exit(main())
