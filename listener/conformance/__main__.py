"""`python -m listener.conformance > docs/dicom-conformance-statement.md`."""

import sys

from listener.conformance.document import statement

sys.stdout.write(statement())
