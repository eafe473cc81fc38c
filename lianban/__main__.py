"""The command line: ``lianban <command>``.

Each command is a module of this package with ``add_arguments(parser)`` and ``run(args) -> int``; only the one that is
asked for is imported, so ``lianban --help`` answers at once.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

from core.errors import LianbanError

COMMANDS = {
    "dev": "everything on this machine: engines, sandbox, API and worker",
    "serve": "the API, with supervised child processes",
    "worker": "background work",
    "migrate": "bring the database to this version's schema",
    "sandbox": "the outside world over real HTTP, for development",
    "demo": "play a journey against a running system and print each step",
    "check": "verify what must always hold, as SQL, on the live database",
    "openapi": "print the OpenAPI description",
    "staff": "create and list staff logins",
    "calendar": "import a year's holidays and make-up working days",
    "reconcile": "compare a day's files with the books, report it, and end differences",
    "files": "look at companies' files that were refused or are overdue, and give back what one never answered",
    "payment": "look at payments that the provider's word does not match, and end one",
    "refund": "look at refunds that have not succeeded, and ask for one anew",
}
"""Command → what it does. The module is ``lianban.<command>``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status. ``argv`` is without the program's name."""
    argv = sys.argv[1:] if argv is None else list(argv)
    name = argv[0] if argv else "--help"
    if name not in COMMANDS:
        parser = argparse.ArgumentParser(
            prog="lianban", formatter_class=argparse.RawDescriptionHelpFormatter, epilog=_commands()
        )
        parser.add_argument("command", choices=list(COMMANDS), metavar="command", help="one of those below")
        parser.parse_args(argv or ["--help"])
    module = importlib.import_module(f"lianban.{name}")
    parser = argparse.ArgumentParser(prog=f"lianban {name}", description=COMMANDS[name])
    module.add_arguments(parser)
    try:
        return module.run(parser.parse_args(argv[1:]))
    except LianbanError as error:
        if error.code != "database_away":
            raise
        print(f"lianban {name}: {error}", file=sys.stderr)
        return 1


def _commands() -> str:
    return "\n".join(["commands:", *(f"  {name:9} {what}" for name, what in COMMANDS.items())])


if __name__ == "__main__":
    sys.exit(main())
