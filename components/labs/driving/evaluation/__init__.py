"""How an exported driver is measured: returns on test tracks in gymnasium's own game, and under disturbances."""
