"""Types of jobs, one module each: RELION's options, files and commands, and what runs them here."""
