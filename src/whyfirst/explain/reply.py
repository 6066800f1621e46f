"""What a model says in its reply, apart from what it thought aloud before.

Leaves out: reasoning that an endpoint keeps to itself, which is in no reply's text.
"""

VERSION = "1"
"""Of how a reply is read; part of what a model wrote."""
_THOUGHT = "</think>"


def said(reply: str) -> str:
    """The reply after its last thought; a template may have written the opening mark already."""
    return reply.rpartition(_THOUGHT)[2].strip()


def thought(reply: str) -> bool:
    """Whether a thought comes before what is said."""
    return _THOUGHT in reply
