"""One merge at the end against talking throughout.

Nodes with very unequal digits (Dirichlet 0.1) train with sparse gossip, and all models are averaged once, in the last round. Is that one
merge worth the averages that were left out? Accuracies are on all test digits: of the nodes' own models, and of the mean model, which is
what a merge at that moment would give. The paper's sparse gossip lets each node pull from a random other one with probability R = 0.2 in every
round; here each node pushes its model to one random other node in every fifth round.
"""

import dejax as dj

from ._page import Claim, Result, Table, figure, finished, spread

FLOAT64 = False
N, ALPHA, STEPS, PAPER = 16, 0.1, 10, "Zhu et al., On the surprising effectiveness of a single global merging, 2026"


def schedules(rounds: int) -> dict[str, list]:
    """Label -> windows of `scheduled_sgd`. Sparse: one push every fifth round, for the paper's random pulls, R = 0.2 a round."""
    sparse, w = [0, None, 5], rounds // 10
    return {
        "alone": [],
        "alone, one merge at the end": [[rounds - 1, rounds, 1, "server"]],
        "sparse": [sparse],
        "sparse, one merge at the end": [sparse, [rounds - 1, rounds, 1, "server"]],
        "sparse, merges in the first tenth": [sparse, [0, w, 1, "server"]],
        "sparse, merges in the last tenth": [sparse, [rounds - w, rounds, 1, "server"]],
        "gossip in every round": [[0, None, 1]],
        "merges in every round": [[0, None, 1, "server"]],
    }


def run(short: bool) -> Result:
    """Eight schedules, seeds of starts and draws as one program each."""
    seeds, rounds = range(2 if short else 5), 20 if short else 100
    data = dj.data.digits(flat=True).partition(dj.data.dirichlet(alpha=ALPHA), nodes=N, seed=0)
    problem = dj.Problem(dj.tasks.mlp(hidden=[32]), data, batch_size=16)
    network = dj.Network(dj.topology.random_peers(N, peers=1))
    make = lambda talk: dj.methods.scheduled_sgd(lr=0.1, local_steps=STEPS, talk=talk)
    runs = {label: (make(talk), problem, network) for label, talk in schedules(rounds).items()}
    history = finished(dj.compare(runs, rounds=rounds, seeds=list(seeds), every=max(1, rounds // 25), progress=False))
    local = {k: 100 * history.series("accuracy/local", k)[1] for k in runs}
    mean = {k: 100 * history.series("accuracy/mean_model", k)[1] for k in runs}
    end = {k: float(local[k][:, -1].mean()) for k in runs}
    merged = {k: float(mean[k][:, -1].mean()) for k in runs}
    sent = {k: float(history.series("bytes/node", k)[1][:, -1].mean()) for k in runs}
    one, every = "sparse, one merge at the end", "merges in every round"
    late, early = "sparse, merges in the last tenth", "sparse, merges in the first tenth"
    claims = [
        Claim("Under sparse gossip local models are poor, while their mean is far better (by more than 10 points).", PAPER,
              merged["sparse"] - end["sparse"] > 10, f"{end['sparse']:.1f} % and {merged['sparse']:.1f} %"),
        Claim("One merge at the end brings every node within 3 points of merging in every round.", PAPER, end[every] - end[one] < 3,
              f"{end[one]:.1f} % against {end[every]:.1f} %",
              "The mean of models that drifted apart for many rounds is not as good as a model that was averaged all along."),
        Claim("It sends less than a fifth of the bytes.", PAPER, sent[one] < sent[every] / 5, f"{sent[one] / sent[every]:.3f} of them"),
        Claim("It is as good as gossip in every round on the same graph (within 1 point), at less than a quarter of the bytes.", PAPER,
              end[one] > end["gossip in every round"] - 1 and sent[one] < sent["gossip in every round"] / 4,
              f"{end[one]:.1f} % against {end['gossip in every round']:.1f} %, at {sent[one] / sent['gossip in every round']:.2f} of the bytes"),
        Claim("Models that never talked merge worse than those that talked a little.", PAPER,
              end["alone, one merge at the end"] < end[one], f"{end['alone, one merge at the end']:.1f} % against {end[one]:.1f} %",
              "From one common start, small models that trained alone for this long can still be averaged; the collapse that the paper sees is of "
              "larger networks and longer runs."),
        Claim("Merges late in the run are worth more than as many early.", PAPER, end[late] > end[early], f"{end[late]:.1f} % against {end[early]:.1f} %"),
    ]  # fmt: skip
    table = Table(
        "Accuracy at the end, %", ["schedule", "local models", "mean model", "kB a node"],
        [[k, spread(local[k][:, -1], ".1f"), spread(mean[k][:, -1], ".1f"), f"{sent[k] / 1000:,.0f}"] for k in runs],
        "mean and standard deviation over seeds of starts and draws. After a merge by all nodes local models are the mean model.",
    )  # fmt: skip
    drawn, axes = figure(panels=2, height=3.6)
    for ax, values, title in ((axes[0], local, "local models"), (axes[1], mean, "mean model")):
        for k in runs:
            ax.plot(history.series("accuracy/local", k)[0], values[k].mean(0), linewidth=1.1, label=k)
        ax.set(xlabel=f"rounds of {STEPS} steps", ylabel="accuracy, %", title=title)
    axes[0].legend(fontsize=5.5)
    setup = {
        "rounds": rounds, "data": {"source": "digits", "nodes": N, "partition": {"dirichlet": {"alpha": ALPHA}}, "seed": 0},
        "task": {"mlp": {"hidden": [32]}}, "batch_size": 16, "network": {"topology": {"random_peers": {"peers": 1}}},
        "method": {"scheduled_sgd": {"lr": 0.1, "local_steps": STEPS}}, "talk": schedules(rounds),
    }  # fmt: skip
    return Result(claims, [table], setup, list(seeds), drawn, "Means over seeds.")
