"""Who types a command on the server."""

import os
import pwd

from models.lifecycle import Actor


def actor() -> Actor:
    """The account of the process, not a variable of its environment, so that nobody can call himself somebody else."""
    return Actor("staff", f"console:{pwd.getpwuid(os.getuid()).pw_name}"[:60])
