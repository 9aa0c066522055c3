"""From movies to particles: motion correction, CTF estimation, picking, extraction."""
