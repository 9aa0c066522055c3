"""A local web page that shows a project at work and takes a few commands."""
