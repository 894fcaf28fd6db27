"""Make the table and the figure of docs/theory.md: predicted and measured curves, 16 nodes on a torus.

python scripts/theory_table.py
"""

from pathlib import Path

import jax

import dejax as dj
from dejax.report import figures, predicted

ROUNDS, OUT = 400, Path(__file__).parents[1] / "docs" / "images" / "theory.svg"
METHODS = {
    "D-PSGD (atc)": dj.methods.dsgd(lr=0.05),
    "local SGD, K = 4": dj.methods.local_sgd(lr=0.02, local_steps=4),
    "gradient tracking": dj.methods.gradient_tracking(lr=0.05),
}
WORDS = {None: "not known", float("inf"): "without limit"}


def number(x: float | None) -> str:
    """A cell."""
    return WORDS.get(x) or f"{x:.3g}"


def main() -> None:
    """Predict, run and compare; print the table, and draw the runs on squares."""
    jax.config.update("jax_enable_x64", True)
    made = {
        "squares": dj.data.least_squares(nodes=16, dim=10, L=1.0, mu=0.3, zeta2=1.0, seed=0, dtype="float64"),
        "logistic": dj.data.logistic(nodes=16, dim=10, l2=0.3, heterogeneity=0.5, seed=0, dtype="float64"),
    }
    network = dj.Network(dj.topology.torus(16).astype("float64"))
    shown, over = dj.History(), {"objective": [], "consensus": []}  # bounds over what was measured
    print("| problem | method | measured | exact | bound | exact: factor per round | bound: factor per round |")
    print("|---" * 7 + "|")
    for kind, problem in made.items():
        for name, method in METHODS.items():
            parts = (method, dj.Problem(problem.task, problem.data), network)
            found = dj.theory.predict(*parts, ROUNDS)
            metrics = [dj.metrics.objective, dj.metrics.consensus]
            history = dj.simulate(*parts, rounds=ROUNDS, every=5, metrics=metrics, progress=False, label=name)
            exact, bound = (found.curve("objective", which) for which in ("exact", "bound"))
            excess = lambda x, f=problem.f_star: None if x is None else x - f
            cells = [
                excess(history.last("objective")),
                exact and excess(exact.values[-1]),
                bound and excess(bound.values[-1]),
            ]
            cells += [exact and exact.rate, bound and bound.rate]
            print(f"| {kind} | {name} | " + " | ".join(map(number, cells)) + " |", flush=True)
            for of, ratios in over.items():
                curve, least = found.curve(of, "bound"), problem.f_star if of == "objective" else 0.0
                if curve is not None and not isinstance(method, dj.methods.gradient_tracking):  # which have floors
                    ratios.append((curve.values[-1] - least) / (history.last(of) - least))
            history.theory = {name: found.plain()}
            shown = shown + history if kind == "squares" else shown
    for of, ratios in over.items():
        low, high = (float(f"{x:.3g}") for x in (min(ratios), max(ratios)))
        print(f"{of}, D-PSGD and local SGD: the bound is {low:,g} to {high:,g} times what was measured")
    figure = predicted.figure(shown)
    if figure is not None:
        OUT.write_text(figures.svg(figure) + "\n")


if __name__ == "__main__":
    main()
