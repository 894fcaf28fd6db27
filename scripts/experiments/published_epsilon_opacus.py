"""Published: epsilon of private training on MNIST, as Opacus prints it.

The sets of parameters of its MNIST example: 60,000 examples in batches of 240, so q = 0.004 and 250 steps an epoch, delta = 1e-5, with the
simple conversion; and the number of 12 digits of its tests (noise 1.5, q = 0.04, 2,250 steps), with the tight one.

Tolerance: half a unit of the last printed digit; at the number of 12 digits 5e-8, as the test itself compares 7 places.
"""

from dejax.privacy import accountant

from ._page import Result
from ._published import Entry, claim, table

FLOAT64 = True
DELTA = 1e-5
SOURCE = (
    "Yousefpour et al., Opacus: user-friendly differential privacy library in PyTorch, 2021; numbers: pytorch/opacus, "
)
EXAMPLE = {(0.7, 45): "6.86", (1.1, 60): "2.91", (1.3, 15): "1.16", (1.3, 1): "0.71"}  # (noise, epochs): epsilon
TESTS = {(1.5, 0.04, 2250): "7.32911117143"}  # (noise, q, steps): epsilon


def run(short: bool) -> Result:
    """All of them; they take less than a second."""
    del short
    example = [
        Entry([str(z), "0.004", str(250 * e)], eps, [accountant.epsilon(z, 250 * e, 0.004, DELTA, conversion="simple")])
        for (z, e), eps in EXAMPLE.items()
    ]
    tests = [
        Entry([str(z), str(q), str(t)], eps, [accountant.epsilon(z, t, q, DELTA)], 5e-8)
        for (z, q, t), eps in TESTS.items()
    ]
    head = ["noise multiplier", "sampling rate", "steps"]
    return Result(
        [claim("Every epsilon of the MNIST example is as printed.", SOURCE + "examples/mnist_README.md", example),
         claim("The epsilon of the accountant's test is as printed.", SOURCE + "opacus/tests/accountants_test.py", tests)],
        [table("Epsilon of the example, simple conversion", head, example), table("Epsilon of the test, tight conversion", head, tests)],
        {"delta": DELTA},
        [],
    )  # fmt: skip
