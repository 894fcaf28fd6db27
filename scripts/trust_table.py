"""Make the table of docs/trust.md that says what robust rules cost: local accuracy of honest nodes, one seed.

python scripts/trust_table.py
"""

import dejax as dj

ATTACKS = {
    "nobody hostile": None,
    "6 ALIE, z = 1.5": dj.attacks.alie(adversaries=6, z=1.5),
    "6 sign flip": dj.attacks.sign_flip(adversaries=6),
}
RULES = {
    "weighted_mean()": dj.aggregation.weighted_mean(),
    "nna(f=1)": dj.aggregation.nna(f=1),
    "coordinate_median()": dj.aggregation.coordinate_median(),
    "trimmed_mean(f=1)": dj.aggregation.trimmed_mean(f=1),
}


def main() -> None:
    """Run every rule under every attack, and print the table."""
    data = dj.data.letters().partition(dj.data.dirichlet(alpha=0.3), nodes=64, seed=0)
    problem = dj.Problem(dj.tasks.mlp(hidden=[64]), data, batch_size=32)
    method, torus = dj.methods.dsgd(lr=0.5), dj.topology.torus(64)
    print("| rule | " + " | ".join(ATTACKS) + " |", "|---" * (1 + len(ATTACKS)) + "|", sep="\n")
    for name, rule in RULES.items():
        cells = []
        for attack in ATTACKS.values():
            network = dj.Network(torus, attack=attack, rule=rule)
            history = dj.simulate(method, problem, network, rounds=300, every=300, metrics=["local_models"])
            cells.append(f"{100 * history.last('accuracy/local'):.1f} %")
        print(f"| `{name}` | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
