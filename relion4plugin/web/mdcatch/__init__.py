"""Local pages that find a microscope session, let a person check every value, and start its processing."""
