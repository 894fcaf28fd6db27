"""The audit of messages, an option of the network itself."""

STRENGTHLESS = {"audit"}


def options(strength):
    """name -> keyword arguments of Network."""
    del strength
    return {"audit": {"audit": True}}
