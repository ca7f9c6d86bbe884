"""The steps of dvc.yaml: one `run` each, files in, files out."""
