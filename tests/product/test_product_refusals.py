"""A pair that excludes each other is refused before compilation, in words that name the option."""

import jax
import members
import pytest

import dejax as dj


def test_a_refusal_names_the_option_and_comes_before_compilation():
    with pytest.raises(dj.RefusedError, match="network.topology is 'ring', but FedAvg talks to a server"):
        dj.rollout(
            dj.methods.fedavg(lr=0.1), members.problem(), dj.Network(dj.topology.ring(members.N)), jax.random.key(0), 2
        )
    with pytest.raises(dj.RefusedError, match="link_loss|LinkLoss"):
        network = dj.Network(dj.topology.one_peer_exponential(members.N), faults=dj.faults.link_loss(p=0.1))
        dj.rollout(dj.methods.dsgd(lr=0.1), members.problem(), network, jax.random.key(0), 2)
    with pytest.raises(ValueError, match="n = 8 nodes, but the data are split over 6"):
        dj.rollout(dj.methods.dsgd(lr=0.1), members.problem(), dj.Network(dj.topology.ring(8)), jax.random.key(0), 2)
