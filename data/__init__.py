"""Data: manifests, masking, collation and the data set that ties them to the readers of the modalities."""
