"""The sections of the administrator's page."""
