"""Seconds per node-step of a whole D-PSGD round at a fixed model, n = 16 to 65,536, against those at n = 256.

Target: within 1.5 of n = 256 from there on. `scripts/plot_growth.py` draws it.
"""

from collections.abc import Iterable

from . import _harness as h, _models as models
from .round import BATCH, Own

BASE = 256
SIZES = tuple(2**k for k in range(4, 17))


def rows(options: h.Options) -> Iterable[h.Row]:
    """Every n in turns with n = 256."""
    model = models.mlp(16, 16, 10)
    name = f"{model.name} B={BATCH}, ring"
    base = None
    for n in SIZES[:6] if options.quick else SIZES:
        if options.wants(name, n):
            base = base or Own(model, BASE, options)
            own = base if n == BASE else Own(model, n, options)
            got = h.turns({"own": own.round, "base": base.round}, options, least=3)
            each = got.ms("own", own.count) / n * 1e6
            yield got.row(
                "growth", name, n, "own", "base", bound=f"n = {BASE} x {n / BASE:g}", per=own.count, against_per=base.count,
                scale=n / BASE, note=f"{each:,.0f} ns per node-step", nanoseconds=each,
            )  # fmt: skip
            del own
