"""From what a microscope writes to filled templates: metadata, presets, launch."""
