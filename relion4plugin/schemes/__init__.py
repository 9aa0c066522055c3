"""Schemes: automated workflows of jobs and operators, in the files of RELION 4 and 5."""
