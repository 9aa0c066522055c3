"""Job types: parameters declared once, inputs, outputs and the RELION job directory."""
