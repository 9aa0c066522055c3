"""Data of workflows: Scipion templates; importable as relion4plugin.templates."""
