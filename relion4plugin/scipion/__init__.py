"""The Scipion face: forms from declarations, sets to STAR files and back."""
