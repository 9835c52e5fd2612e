"""What a reader made of a study, as DICOM objects: measurements, presentation, key images.

Values in, bytes out. highdicom takes half a second to import, so only the modules that build
objects import it, and only the process that builds imports them.
"""
