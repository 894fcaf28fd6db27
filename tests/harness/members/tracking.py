"""Methods of dejax/methods/tracking."""

import dejax as dj


def methods(lr):
    """name -> method."""
    m = dj.methods
    return {
        "gradient_tracking": m.gradient_tracking(lr=lr),
        "augdgm": m.augdgm(lr=lr),
        "kgt": m.kgt(lr=lr, local_steps=2),
        "mt_dsgdm": m.mt_dsgdm(lr=lr, momentum=0.5),
        "gt_saga": m.gt_saga(lr=lr),
        "gt_sarah": m.gt_sarah(lr=lr, anchor=2, period=2),
        "gt_hsgd": m.gt_hsgd(lr=lr, beta=0.5),
    }
