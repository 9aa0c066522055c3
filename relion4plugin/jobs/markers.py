"""Files in a job directory by which RELION's programs and this one tell each other how a job stands."""

ABORT_NOW = "RELION_JOB_ABORT_NOW"
SUCCESS, FAILURE, ABORTED = (f"RELION_JOB_EXIT_{state}" for state in ("SUCCESS", "FAILURE", "ABORTED"))
