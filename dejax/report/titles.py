"""How numbers are called: headings of tables, words on axes."""

from .history import BY

AXIS = {
    "round": "rounds",
    "bytes": "bytes sent in all",
    "gradients": "gradients of all nodes",
    "epochs": "epochs",
    "seconds": "virtual seconds",
    "wall": "seconds",
    "flops": "floating-point operations of all nodes",
    "joules": "joules of all nodes",
}
WHOLE = {
    "accuracy": "test accuracy",
    "consensus": "consensus distance",
    "objective": "loss of the mean model on all data",
}
OF = {  # what stands after the family of a number
    "local": "local {}",
    "local_p10": "local {}, worst 10 %",
    "mean_model": "{} of the mean model",
    "validation": "validation {}",
    "own_test": "{} on own test rows",
}
SHORT = {"local_p10": "worst 10 %", "mean_model": "mean model", "validation": "validation", "own_test": "own test"}


def on_axis(name: str) -> str:
    """Say what a number is, beside an axis or a bar of colours.

    Example:
      >>> on_axis("accuracy/local"), on_axis("accuracy/local_std"), on_axis("consensus")
      ('local accuracy', 'local accuracy, std', 'consensus distance')
    """
    if name in WHOLE or name in BY:
        return WHOLE.get(name) or AXIS[BY[name]]
    family, _, of = name.replace("_", " ").partition("/")
    member = name.partition("/")[2]
    if member in OF:
        return OF[member].format(family)
    if of.startswith("local "):
        return f"local {family}, {of.removeprefix('local ')}"
    return f"{family}, {of}" if of else family


def headings(main: str) -> dict[str, str]:
    """Name -> heading, in a table about one family; other names are their own headings."""
    family = {f"{main}/local": on_axis(f"{main}/local")} | {f"{main}/{of}": short for of, short in SHORT.items()}
    return family | {"local_steps": "local steps", "seconds": "virtual s", "wall": "s", "wall/round": "s/round"}


__all__ = ["AXIS", "headings", "on_axis"]
