"""An offline-first imaging clinic; from a notebook, ``connect()`` opens it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clinic_panel.notebook import Clinic

__all__ = ["connect"]


def connect(**settings: Any) -> Clinic:
    """Open a clinic for analysis: de-identified tables, volumes and a viewer.

    Parameters
    ----------
    settings
        ``home=…``, ``database_url=…`` or any other setting; what is not given comes from
        ``CLINIC_*`` variables or ``.env``, as for the commands.

    Returns
    -------
    Clinic
        Close it, or use it in a ``with`` block, to let the database go.

    Raises
    ------
    SettingsError, NotFound, Unavailable
        A setting is wrong, there is no clinic in that home, or its schema is another.
    """
    # Here and not above: `import clinic_panel` stays light for every process.
    from clinic_panel.notebook import open_clinic

    return open_clinic(**settings)
