"""A modality for training, demonstrations and tests, made of real DICOM services and images."""
