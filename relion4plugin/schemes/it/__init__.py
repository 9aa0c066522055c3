"""On-the-fly processing: a few options about the sample and the microscope become two filled and running schemes."""
