"""What labs share whose models play a game: reinforcement learning, exported policies, their evaluation."""
