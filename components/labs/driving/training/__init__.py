"""Everything that decides the weights of the driving network: the expert, the environment, the rounds, the network."""
