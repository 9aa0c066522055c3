"""Labels in STAR files that only this program knows; RELION reads the files and uses none of them."""

JOB_SCORE = "r4pJobScore"  # of a 2D class: how likely it is a good one, beside the others of its job; -999 for none
REASON = "r4pReason"  # why an item was set aside
