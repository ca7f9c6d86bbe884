"""What is trained: the only importers of keras and tensorflow."""
