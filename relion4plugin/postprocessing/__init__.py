"""What is done with finished maps: masks, post-processing and local resolution."""
