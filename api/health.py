"""Is this process alive. Whether it can work is said on the operations port, not to the people."""

from api.calls import Answer, Call


async def alive(_call: Call) -> Answer:
    """This process answers; nothing else is asked."""
    return Answer(b"ok\n", 200, "text/plain; charset=utf-8")
