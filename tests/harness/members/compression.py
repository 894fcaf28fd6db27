"""Options of dejax/compression."""

import dejax as dj


def options(strength):
    """name -> keyword arguments of Network."""
    c, kept = dj.compression, round(2 / strength)  # the stronger, the less is kept
    return {
        "direct_top_k": {"codec": c.direct(c.top_k(k=kept), gamma=0.5)},
        "direct_qsgd": {"codec": c.direct(c.qsgd(levels=2 * kept), gamma=0.5)},
        "error_feedback": {"codec": c.error_feedback(c.top_k(k=kept), gamma=0.2)},
        "copies_top_k_per_edge": {"codec": c.copies(c.top_k(k=kept), gamma=0.01 / strength, per_edge=True)},
        "copies_rand_k": {"codec": c.copies(c.rand_k(k=kept), gamma=0.01 / strength)},
    }
