"""How the kernels are compiled, and what they neglect."""

FAST = {"nogil": True, "fastmath": True, "cache": True}
SAFE = {"nogil": True, "cache": True}  # infinities of the priors must stay infinities
NEGLIGIBLE = 20.0  # nats below the maximum: together less than 1e-4 of the weight, far under the discarded 1e-3
