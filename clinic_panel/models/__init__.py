"""All tables. Importing this package makes ``Base.metadata`` whole."""

from clinic_panel.models import (  # noqa: F401 - relationships name classes of sister modules
    appointment,
    arrival,
    audit_log,
    commitment,
    evidence,
    fetch,
    flight,
    handout,
    hanging,
    imaging,
    job,
    markup,
    patient,
    peer,
    performed,
    preference,
    report,
    site,
    user,
)
