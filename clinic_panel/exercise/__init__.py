"""Every DICOM service of a node asked as modalities and workstations ask, judged by PS3.4."""
