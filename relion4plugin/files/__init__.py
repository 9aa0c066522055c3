"""Reading and writing of STAR files, MRC files and particle sets."""
