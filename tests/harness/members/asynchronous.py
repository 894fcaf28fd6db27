"""Methods of dejax/methods/asynchronous."""

import dejax as dj
from dejax.events._plan import plan_of


def methods(lr):
    """name -> method."""
    return {
        "ad_psgd": dj.methods.ad_psgd(lr=lr),
    }


def plan(n=6, width=2):
    """An event plan on the ring of n = 6 nodes."""
    first = [0, 3, 1, 4, 2, 5, 0, 2, 4, 1, 3, 5, 0, 3, 2, 5]
    second = [1, 2, 2, 5, 3, 0, 5, 1, 3, 0, 4, 4, 1, 4, 1, 0]
    return plan_of(first, second, n=n, width=width)


def networks(n):
    """name -> what makes the network of a method that does not run on a ring."""
    return {"ad_psgd": lambda **options: dj.Network(dj.topology.ring(n), events=plan(n), **options)}
