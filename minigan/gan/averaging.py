"""A generator averaged over time, which draws better samples than the one that is trained."""

from copy import deepcopy

from minigan.layers import Module


class AveragedNetwork(Module):
    """A network whose weights follow another's: average += (1 - decay) (weights - average).

    Buffers, such as batch norm's moving averages, are taken over as they are. Call `follow` after
    each update; `network` is the average, to sample from.
    Source: Yazici et al. 2019, "The unusual effectiveness of averaging in GAN training".
    """

    def __init__(self, network: Module, decay: float = 0.999) -> None:
        self.network = deepcopy(network)
        self.decay = decay

    def follow(self, network: Module) -> None:
        """Move towards the network's weights."""
        for average, w in zip(self.network.parameters(), network.parameters(), strict=True):
            average.assign(average.data + (1 - self.decay) * (w.data - average.data))
        buffers = zip(self.network.named_buffers(), network.named_buffers(), strict=True)
        for (_, ours), (_, theirs) in buffers:
            ours[...] = theirs
