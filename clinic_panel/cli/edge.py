"""Where a command ends: one line and an exit code, whatever went wrong."""

from __future__ import annotations

import os
from typing import Any

import click


class Clinic(click.Group):
    """Turns what goes wrong into one line and an exit code; what is made is its maker's alone."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; no traceback ever reaches the person who typed it."""
        before = os.umask(0o077)  # SQLite and others make files that everybody may read
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, KeyboardInterrupt):
            raise
        except Exception as error:  # noqa: BLE001 - the edge: the text may quote a patient
            click.echo(f"Error: {_sentence(error)}", err=True)
            ctx.exit(1)
        finally:
            os.umask(before)


def _sentence(error: Exception) -> str:
    from clinic_panel.errors import ClinicError
    from clinic_panel.logs import where

    if isinstance(error, ClinicError):
        return error.message
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return f"something went wrong ({where(error)})."
