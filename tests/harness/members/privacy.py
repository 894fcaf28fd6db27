"""Options of dejax/privacy."""

import dejax as dj


def options(strength):
    """name -> keyword arguments of Network."""
    return {
        "gaussian_gradient": {"privacy": dj.privacy.gaussian_gradient(clip=0.5 * strength, noise_multiplier=0.5)},
        "gaussian_message": {"privacy": dj.privacy.gaussian_message(clip=5.0, noise_multiplier=0.1 * strength)},
        "user_level": {
            "privacy": dj.privacy.user_level(clip=0.5 * strength, noise_multiplier=0.5, client_sampling="fixed")
        },
    }
