"""Options of dejax/faults."""

import dejax as dj


def options(strength):
    """name -> keyword arguments of Network."""
    f = dj.faults
    return {
        "link_loss": {"faults": (f.link_loss(p=0.9 * strength),)},
        "directed_link_loss": {"faults": (f.directed_link_loss(p=0.9 * strength),), "repair": "row"},
        "churn": {"faults": (f.churn(p=0.5 * strength),)},
        "vanish": {"faults": (f.vanish(at=1, share=0.5 * strength),)},
        "joins": {"faults": (f.joins(at=1, share=0.5 * strength),)},
        "joins_neighbors": {"faults": (f.joins(at=1, share=0.5 * strength, start="neighbors"),)},
        "delay": {"faults": (f.delay(phases=round(2 * strength)),)},
        "delay_drawn": {"faults": (f.delay(phases=(0, round(2 * strength))),)},
    }
