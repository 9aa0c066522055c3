"""Several processes that compute one thing together: how they were started, and what they say to each other."""
