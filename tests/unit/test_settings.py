"""Settings: one table, read strictly."""

import pytest

from clinic_panel.config import PREFIX, Settings
from clinic_panel.errors import SettingsError


def test_the_defaults_are_those_of_a_clinic_on_one_machine():
    settings = Settings.read({})

    assert (settings.http_host, settings.http_port) == ("127.0.0.1", 5006)
    assert (settings.ae_title, settings.dicom_port) == ("CLINIC", 11112)
    assert settings.url.startswith("sqlite:////")
    assert settings.unknown_ae == "refuse"


def test_a_flag_beats_a_variable_and_a_variable_beats_the_default():
    environ = {"CLINIC_HTTP_PORT": "7000", "CLINIC_TIMEZONE": "Europe/Berlin"}

    assert Settings.read(environ).http_port == 7000
    assert Settings.read(environ, http_port=8000).http_port == 8000
    assert Settings.read(environ, http_port=None).http_port == 7000
    assert str(Settings.read(environ).zone) == "Europe/Berlin"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CLINIC_HTTP_PORT", "70000"),
        ("CLINIC_HTTP_PORT", "many"),
        ("CLINIC_TIMEZONE", "Europe/Atlantis"),
        ("CLINIC_AE_TITLE", "A TITLE THAT IS MUCH TOO LONG"),
        ("CLINIC_AE_TITLE", "ÄRZTE"),
        ("CLINIC_UNKNOWN_AE", "perhaps"),
        ("CLINIC_LANGUAGE", "a language"),
        ("CLINIC_DUPLICATES", "both"),
        ("CLINIC_PRIVATE_STORAGE_CLASSES", "1.2.3;4"),
        ("CLINIC_PRIVATE_STORAGE_CLASSES", "1.2.3, 1.2.840.10008.1.1"),  # Verification
        ("CLINIC_PRIVATE_STORAGE_CLASSES", "1." * 33 + "1"),
        ("CLINIC_PRIVATE_TRANSFER_SYNTAXES", "1.2.840.10008.5.1.4.1.1.2"),  # a class
    ],
)
def test_a_bad_value_stops_the_start_with_its_name(name, value):
    with pytest.raises(SettingsError, match=name):
        Settings.read({name: value})


def test_an_unknown_name_stops_the_start_and_others_are_nobodys_business():
    with pytest.raises(SettingsError, match="CLINIC_HTPP_PORT"):
        Settings.read({"CLINIC_HTPP_PORT": "7000"})
    assert Settings.read({"PATH": "/bin", "CLINICAL": "x"}).http_port == 5006


def test_the_notice_on_images_is_the_clinics_own_or_none():
    assert Settings.read({}).notice == "Not for primary diagnosis"
    assert Settings.read({"CLINIC_VIEWER_NOTICE": "Bench test"}).notice == "Bench test"
    assert Settings.read({"CLINIC_VIEWER_NOTICE": "None"}).notice == ""


def test_what_is_empty_counts_as_not_given():
    assert Settings.read({"CLINIC_HTTP_PORT": " "}).http_port == 5006


def test_uids_are_listed_by_commas():
    text = "1.3.12.2.1107.5.9.1 ,1.2.840.10008.5.1.4.1.1.999"
    settings = Settings.read({"CLINIC_PRIVATE_STORAGE_CLASSES": text})
    assert settings.uids("private_storage_classes") == (
        "1.3.12.2.1107.5.9.1",
        "1.2.840.10008.5.1.4.1.1.999",
    )
    assert settings.uids("private_transfer_syntaxes") == ()


def test_settings_survive_the_way_to_a_child_process():
    settings = Settings.read({}, http_port=7001, timezone="Asia/Tokyo", ae_title="OTHER")

    again = Settings.read(settings.environ())

    assert {name: getattr(again, name) for name in Settings.names()} == {
        name: getattr(settings, name) for name in Settings.names()
    }
    assert all(name.startswith(PREFIX) for name in settings.environ())


def test_settings_do_not_change():
    with pytest.raises(TypeError):
        Settings.read({}).http_port = 1


def test_every_setting_says_what_it_is_for():
    assert [name for name in Settings.names() if not Settings.param[name].doc] == []
