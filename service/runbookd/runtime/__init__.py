"""The only place with loops, clocks, randomness and the environment."""
