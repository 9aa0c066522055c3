"""What runs the jobs of schemes: this program, RELION's, others, a queue, or nothing (dry run)."""
