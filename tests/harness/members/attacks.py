"""Options of dejax/attacks."""

import dejax as dj

STRENGTHLESS = {"label_flip"}  # on or off


def options(strength):
    """name -> keyword arguments of Network."""
    return {
        "alie": {"attack": dj.attacks.alie(adversaries=(1,), z=1.5 * strength)},
        "sign_flip": {"attack": dj.attacks.sign_flip(adversaries=(1,), strength=0.5 * strength)},
        "label_flip": {"attack": dj.attacks.label_flip(adversaries=(0, 1), num_classes=10)},
    }
