"""Settings: one table of constant params, read from ``CLINIC_*`` variables or a ``.env`` file."""

import contextlib
import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo, available_timezones

import param
from dotenv import dotenv_values
from platformdirs import user_data_path

from clinic_panel.errors import SettingsError

PREFIX = "CLINIC_"
NOTICE = "Not for primary diagnosis"
# Read by the test suite only; known here so that it does not stop a start.
TEST_ONLY = frozenset({"CLINIC_CORPUS"})


def _uid_list(below: str) -> str:
    """Match UIDs separated by commas; those of the standard lie below its own branch for them."""
    ours = rf"(?!1\.2\.840\.10008\.(?!{re.escape(below)}\.))(?=[0-9.]{{3,64}}(?:[,\s]|$))"
    uid = rf"{ours}[0-9]+(?:\.[0-9]+)+"
    return rf"^\s*(?:{uid}(?:\s*,\s*{uid})*)?\s*$"


class Settings(param.Parameterized):
    """How this clinic runs. A flag beats a variable, a variable beats the default."""

    home = param.ClassSelector(
        class_=Path,
        default=user_data_path("clinic-panel"),
        constant=True,
        doc="Folder of all data: database, archive, secrets.",
    )
    database_url = param.String(
        default="",
        constant=True,
        doc="SQLAlchemy URL; empty: SQLite in the home. postgresql+psycopg2://… in production.",
    )
    http_host = param.String(
        default="127.0.0.1", constant=True, doc="Address the dashboards listen on."
    )
    http_port = param.Integer(
        default=5006, bounds=(0, 65535), constant=True, doc="Port of the dashboards."
    )
    http_tls_cert = param.String(
        default="", constant=True, doc="PEM certificate of the dashboards."
    )
    http_tls_key = param.String(default="", constant=True, doc="PEM key of that certificate.")
    dicom_host = param.String(
        default="0.0.0.0",  # noqa: S104 - modalities reach it over the LAN
        constant=True,
        doc="Address the DICOM listener binds.",
    )
    dicom_port = param.Integer(
        default=11112, bounds=(0, 65535), constant=True, doc="Port of the DICOM listener."
    )
    dicom_processes = param.Integer(
        default=1,
        bounds=(1, 64),
        constant=True,
        doc="Processes that share the DICOM port; a crash of one ends its own associations only.",
    )
    dicom_tls_cert = param.String(default="", constant=True, doc="PEM certificate for DICOM TLS.")
    dicom_tls_key = param.String(default="", constant=True, doc="PEM key of that certificate.")
    dicom_tls_ca = param.String(
        default="",
        constant=True,
        doc="PEM authorities of the devices that call us or that we call with TLS; required then.",
    )
    ae_title = param.String(
        default="CLINIC",
        regex=r"^(?=.*\S)[ -\[\]-~]{1,16}$",
        constant=True,
        doc="Our application entity title, 1 to 16 characters (PS3.5 6.2).",
    )
    unknown_ae = param.Selector(
        default="refuse",
        objects=["refuse", "accept"],
        constant=True,
        doc="What an association from an AE title that is neither room nor peer gets.",
    )
    commitment_grace_s = param.Integer(
        default=30,
        bounds=(0, 600),
        constant=True,
        doc="Seconds for which a storage commitment result may go back on the association that "
        "asked, to devices that want it there or have no address.",
    )
    duplicates = param.Selector(
        default="keep",
        objects=["keep", "reject", "replace"],
        constant=True,
        doc="What becomes of an object that comes again with other content under its UID.",
    )
    private_storage_classes = param.String(
        default="",
        regex=_uid_list("5.1.4.1.1"),
        constant=True,
        doc="UIDs of further storage SOP classes to accept, by commas: private, or newer than we.",
    )
    private_transfer_syntaxes = param.String(
        default="",
        regex=_uid_list("1.2"),
        constant=True,
        doc="UIDs of further transfer syntaxes to accept for storage, separated by commas.",
    )
    frame_cache_mb = param.Integer(
        default=256,
        bounds=(16, 65536),
        constant=True,
        doc="MiB of decoded images the web server keeps for all who look at the same study.",
    )
    viewer_cache_mb = param.Integer(
        default=256,
        bounds=(16, 4096),
        constant=True,
        doc="MiB of decoded images that a reader's browser keeps.",
    )
    viewer_notice = param.String(
        default=NOTICE,
        constant=True,
        doc="Stands on every image on a screen, in print and in pictures; `none` shows nothing.",
    )
    secret_key = param.String(
        default="",
        constant=True,
        doc="Key of the audit chain, passwords and pseudonyms; empty: made once, kept in the home.",
    )
    dask_scheduler = param.String(
        default="", constant=True, doc="tcp://host:8786 of a Dask cluster; empty: a local one."
    )
    timezone = param.Selector(
        default="UTC",
        objects=sorted(available_timezones()),
        constant=True,
        doc="IANA zone in which the clinic's days begin and times are shown.",
    )
    language = param.String(
        default="en", regex=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]+)*$", constant=True, doc="BCP 47 tag."
    )
    demo_password = param.String(
        default="", constant=True, doc="Password of the demo accounts; random when empty."
    )
    demo_studies = param.Integer(
        default=12,
        bounds=(0, 1000),
        constant=True,
        doc="Studies the demo's simulated modality sends at most; 0: only real devices send.",
    )

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None, **flags: Any) -> Self:
        """Gather the settings from flags, variables and ``.env``.

        Parameters
        ----------
        environ
            Variables to read; the process's own, over those of ``.env``, by default.
        flags
            Values that win over variables; None means not given.

        Raises
        ------
        SettingsError
            A ``CLINIC_*`` name is unknown or a value is out of bounds; the message names it.
        """
        if environ is None:
            environ = {k: v for k, v in dotenv_values(".env").items() if v is not None} | dict(
                os.environ
            )
        names = {PREFIX + name.upper(): name for name in cls.names()}
        values: dict[str, Any] = {}
        for variable, text in environ.items():
            if not variable.startswith(PREFIX) or variable in TEST_ONLY:
                continue
            if variable not in names:
                raise SettingsError(f"Unknown setting {variable}.")
            if text.strip():
                values[names[variable]] = cls._parse(variable, names[variable], text.strip())
        values |= {name: value for name, value in flags.items() if value is not None}
        try:
            return cls(**values)
        except ValueError as error:
            raise SettingsError(f"A setting is not valid: {error}") from None

    @property
    def notice(self) -> str:
        """What stands on every image; empty for nothing."""
        return "" if self.viewer_notice.lower() == "none" else self.viewer_notice

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of all settings, without the prefix."""
        return [name for name in cls.param if name != "name"]

    @classmethod
    def _parse(cls, variable: str, name: str, text: str) -> Any:
        parameter = cls.param[name]
        value: Any = text
        try:
            if isinstance(parameter, param.Integer):
                value = int(text)
            elif parameter.__class__ is param.ClassSelector:
                value = Path(text).expanduser()
            cls(**{name: value})
        except ValueError:
            raise SettingsError(f"{variable} is not valid: {parameter.doc}") from None
        return value

    def uids(self, name: str) -> tuple[str, ...]:
        """Return a setting that lists UIDs as those UIDs."""
        return tuple(re.findall(r"[0-9.]+", getattr(self, name)))

    @property
    def zone(self) -> ZoneInfo:
        """The clinic's time zone."""
        return ZoneInfo(self.timezone)

    @property
    def url(self) -> str:
        """The database URL, with the embedded default filled in."""
        return self.database_url or f"sqlite:///{self.home.resolve() / 'clinic.db'}"

    @property
    def archive_path(self) -> Path:
        """Folder of the DICOM bytes."""
        return self.home / "archive"

    @property
    def secret_path(self) -> Path:
        """Where the clinic's secret lies if no setting holds it."""
        return self.home / "secret.key"

    @property
    def has_secret(self) -> bool:
        """Whether there is a secret already."""
        return bool(self.secret_key) or self.secret_path.exists()

    @cached_property
    def secret(self) -> bytes:
        """The clinic's secret; made once, readable by its owner only (0600)."""
        if self.secret_key:
            return self.secret_key.encode()
        path = self.secret_path
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            # Linked into place whole: of several processes that start together, all read one key.
            descriptor, draft = tempfile.mkstemp(dir=self.home)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
            Path(draft).unlink()
        return path.read_bytes()

    def environ(self) -> dict[str, str]:
        """Return the settings as variables, for child processes."""
        return {
            PREFIX + name.upper(): str(getattr(self, name))
            for name in self.names()
            if str(getattr(self, name))
        }
