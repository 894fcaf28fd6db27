"""An experiment that the processes of test_processes.py build alike."""

import dejax as dj


def experiment(n=32):
    """Lossy gossip on a graph whose nodes change places."""
    made = dj.data.least_squares(nodes=n, dim=4, L=1.0, mu=0.3, zeta2=2.0, seed=0, dtype="float32")
    problem = dj.Problem(made.task, made.data, batch_size=2, starts="independent")
    faults = (dj.faults.link_loss(p=0.2), dj.faults.churn(p=0.2))
    return dj.methods.dsgd(lr=0.2), problem, dj.Network(dj.topology.geometric(n, seed=0), faults=faults)
