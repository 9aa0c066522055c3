"""The schemes that are shipped, as descriptions from which the files in ``templates/schemes`` are made."""
