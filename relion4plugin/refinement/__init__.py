"""One refinement engine: expectation shared by EM and VDAM, two ways of maximisation."""
