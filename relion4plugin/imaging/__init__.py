"""Images and volumes: Fourier conventions, CTF, optical aberrations, masks, filters and projection."""
