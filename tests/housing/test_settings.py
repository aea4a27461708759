"""Settings: where they come from, what is refused, and what is never shown."""

import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from pydantic import Field, SecretStr

from housing.errors import SettingsInvalid
from housing.problem import SourceClass
from housing.records import SettingsGroup
from housing.settings import (
    PREFIX,
    SHARED,
    Settings,
    fields_by_name,
    load_settings,
    settings_in_force,
)
from housing.sources import SOURCES
from housing.training.search_config import SearchPlan
from tests.fixtures.plain_home import ROOT


@pytest.fixture
def environment(home, monkeypatch):
    """Sets variables without their prefix, in an otherwise empty environment."""

    def put(**values):
        for name, value in values.items():
            monkeypatch.setenv(PREFIX + name, value)

    return put


def faults():
    """The lines of what is wrong with the settings in force."""
    with pytest.raises(SettingsInvalid) as caught:
        load_settings()
    assert caught.value.exit_code == 2
    *lines, pointer = str(caught.value).splitlines()
    assert "docs/settings.md" in pointer
    return lines


# --- where they come from -------------------------------------------------------------------


def test_everything_has_a_default_below_home(home):
    settings = load_settings()
    assert settings.home == home
    assert settings.database_url.get_secret_value() == f"sqlite:///{home}/housing.db"
    assert (settings.blob_url, settings.backup_url) == (f"{home}/blobs", f"{home}/backup")
    assert settings.sources.landing_dir == home / "landing"
    assert settings.sources.names == ("census", "landing")
    assert not home.exists()  # reading the settings makes nothing


def test_home_is_the_folder_var_by_default(home, tmp_path, monkeypatch):
    monkeypatch.delenv("HOUSING_HOME")
    assert load_settings().home == tmp_path / "var"


def test_home_is_absolute_and_may_begin_with_a_tilde(home, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HOUSING_HOME", "~/houses/../homes")
    assert load_settings().home == tmp_path / "homes"


def test_the_environment_wins_over_the_file_and_an_override_over_both(environment):
    Path(".env").write_text(
        "HOUSING_SPLIT__SEED=1\nHOUSING_SPLIT__TEST_SHARE=0.3\nHOUSING_SOURCES__SETTLE_SECONDS=500\n"
    )
    environment(SPLIT__SEED="2", SPLIT__TEST_SHARE="0.4")
    settings = load_settings(split={"seed": 3})
    assert (settings.split.seed, settings.split.test_share) == (3, 0.4)
    assert settings.sources.settle_seconds == 500


def test_groups_are_set_part_by_part(environment):
    Path(".env").write_text("HOUSING_GATE__MARGIN=0.02\nHOUSING_QUALITY__MAX_REJECTED_SHARE=0.5\n")
    environment(
        GATE__CONFIDENCE="0.9", SEARCH__N_TRIALS="3", NOTIFY__WEBHOOK_URL="https://chat.example/x"
    )
    settings = load_settings()
    assert (settings.gate.margin, settings.gate.confidence) == (0.02, 0.9)
    assert settings.search == SearchPlan(n_trials=3)
    assert settings.quality.max_rejected_share == 0.5
    assert settings.notify.webhook_url.get_secret_value() == "https://chat.example/x"


def test_names_may_be_written_in_small_letters(environment, monkeypatch):
    monkeypatch.setenv("housing_gate__margin", "0.03")
    assert load_settings().gate.margin == 0.03


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("landing", ("landing",)),
        ("landing,census", ("landing", "census")),
        (" sql , simulated ,", ("sql", "simulated")),
        ("landing,landing", ("landing",)),
    ],
)
def test_sources_are_a_list_in_order(environment, text, expected):
    environment(SOURCES__NAMES=text)
    assert load_settings().sources.names == expected
    assert load_settings(sources={"names": text}).sources.names == expected


def test_lists_within_groups_are_written_the_same_way(environment):
    environment(SEARCH__FAMILIES="boosting, forest")
    assert load_settings().search.families == ("boosting", "forest")


def test_an_empty_variable_counts_as_not_set(environment):
    environment(
        SPLIT__SEED="", DATABASE_URL="", SOURCES__NAMES="", GATE__MARGIN="",
        SOURCES__LANDING_DIR="",
    )  # fmt: skip
    settings = load_settings()
    assert settings == load_settings(split={"seed": 42})
    assert settings.database_url.get_secret_value().startswith("sqlite:///")


@pytest.mark.parametrize("name", ["SOURCES__OPTIONS__CENSUS__TABLE", "CENSUS"])
@pytest.mark.parametrize("where", ["environment", ".env"])
def test_an_option_of_a_source_of_the_problem_is_read(environment, where, name):
    if where == ".env":
        Path(".env").write_text(f"{PREFIX}{name}=/data/table.csv\n")
    else:
        environment(**{name: "/data/table.csv"})
    settings = load_settings()
    assert settings.sources.options["census"].table == "/data/table.csv"
    listed = {s.setting: s for s in settings_in_force(settings)}
    shown = listed[f"{PREFIX}SOURCES__OPTIONS"]
    assert (shown.value, shown.source) == ("census: table='/data/table.csv'", where)


def test_the_full_name_of_an_option_wins_over_its_short_one(environment):
    environment(CENSUS="/a.csv", SOURCES__OPTIONS__CENSUS__TABLE="/b.csv")
    assert load_settings().sources.options["census"].table == "/b.csv"


def test_settings_cannot_be_changed_once_read(home):
    with pytest.raises(ValueError, match="frozen"):
        load_settings().home = Path()


# --- what is refused ------------------------------------------------------------------------


def test_all_faults_are_named_at_once(environment):
    Path(".env").write_text("HOUSING_RETRIES=3\nHOUSING_SEARCH__FOLDS=1\n")
    environment(
        SPLIT__SEED="many", SPLIT__TEST_SHARE="2", SOURCES__NAMES="landing,fax", SEEED="1",
        SCHEDULES__TIMEZONE="Mars/Base", SCHEDULES__RETRAIN="nightly", GATE__MARGIN="-1",
        GATE__MARGIM="0.1", SEARCH__FAMILIES="oracle", NOTIFY="loud", HOME__X="1",
    )  # fmt: skip
    named = {line.removeprefix(PREFIX).split(":")[0].split(" ")[0] for line in faults()}
    assert named == {
        "SPLIT__SEED", "SPLIT__TEST_SHARE", "SOURCES__NAMES", "SEEED", "SCHEDULES__TIMEZONE",
        "SCHEDULES__RETRAIN", "GATE__MARGIN", "GATE__MARGIM", "SEARCH__FAMILIES",
        "SEARCH__FOLDS", "RETRIES", "NOTIFY", "HOME__X",
    }  # fmt: skip
    assert len(faults()) == 13  # each once


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SPLIT__SEED", "x", "valid integer, unable to parse string as an integer (it is 'x')"),
        ("SPLIT__SEED", "-1", "greater than or equal to 0 (it is '-1')"),
        ("SPLIT__SEED", "2147483648", "less than 2147483648"),
        ("SPLIT__TEST_SHARE", "0.95", "less than 0.9"),
        ("SPLIT__TEST_SHARE", "nan", "less than 0.9"),
        ("SEARCH__ROWS", "5", "greater than or equal to 1000"),
        ("SOURCES__SETTLE_SECONDS", "inf", "less than or equal to 600"),
        (
            "SOURCES__NAMES",
            "fax",
            "there is no source fax; there are landing, sql, census, simulated (it is 'fax')",
        ),
        ("SOURCES__NAMES", ",", "at least 1 item"),
        ("SCHEDULES__TIMEZONE", "Berlin", "'Berlin' is not a time zone such as Europe/Berlin"),
        ("SCHEDULES__TIMEZONE", "../../etc/passwd", "is not a time zone"),
        ("SCHEDULES__RETRAIN", "every night", "not a cron expression such as 0 2 * * *"),
        ("SCHEDULES__RETRAIN", "0 25 * * *", "not a cron expression"),
        ("SCHEDULES__RETRAIN", "0 2 * *", "not a cron expression"),
        ("SCHEDULES__RETRAIN", "every day at two precisely", "not a cron expression"),
        ("SCHEDULES__RETRAIN", "0 2 30 2 *", "not a cron expression"),
        ("SCHEDULES__RETRAIN", "0 2 * * 5L", "not a cron expression"),
        ("SCHEDULES__RETRAIN", "0 2 LW * *", "not a cron expression"),
        ("SCHEDULES__RETRAIN", "0 2 1 * 1#2", "not a cron expression"),
        ("SCHEDULES__RETRAIN", "0 2 * * * *", "not a cron expression"),
        ("HOME", "/tmp/what?", "? in it"),
        ("BLOB_URL", "ftp://x/y", "neither a folder nor s3://BUCKET/PATH"),
        ("BACKUP_URL", "nope://x", "neither a folder nor s3://BUCKET/PATH"),
        ("BACKUP_URL", "s3://", "neither a folder nor s3://BUCKET/PATH"),
        ("GATE__RULE", "always", "Input should be 'no_regression'"),
        ("GATE__CONFIDENCE", "1", "less than 1"),
        ("GATE__MARGIM", "0.1", "is not a setting"),
        ("GATE", "strict", "is a group of settings; set its parts"),
        ("GATE", '{"margin": 0.5}', "is a group of settings"),
        ("NOTIFY__WEBHOOK_URL", "ftp://x", "must begin with http:// or https://"),
        ("SEARCH__N_TRIALS", "0", "greater than or equal to 1"),
        ("COLOUR", "blue", "is not a setting"),
        ("HOME__X", "1", "is not a setting"),
        ("", "1", "is not a setting"),
    ],
)
def test_an_impossible_setting_is_named_with_what_would_be_possible(environment, name, value, says):
    environment(**{name: value})
    (line,) = faults()
    assert line.startswith(PREFIX + name)
    assert says in line


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("GATE__MARGIM", "GATE__MARGIN"),
        ("GATE_MARGIN", "GATE__MARGIN"),
        ("gate__margim", "GATE__MARGIN"),
        ("SEED", "SPLIT__SEED"),
        ("TEST_SHARE", "SPLIT__TEST_SHARE"),
        ("TIMEZONE", "SCHEDULES__TIMEZONE"),
        ("SQL_URL", "SOURCES__SQL_URL"),
        ("API_TOKEN", "SERVE__TOKEN"),
        ("HOME__", "HOME"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_setting(environment, name, nearest):
    environment(**{name: "1"})
    (line,) = faults()
    assert line == f"{PREFIX}{name} is not a setting; did you mean {PREFIX}{nearest}?"


@pytest.mark.parametrize(
    "schedule",
    ["0 2 * * *", "*/15 0-6 1,15 * MON-FRI", "5 4 * * SUN", "0 0 L * *", "59 23 31 12 7"],
)
def test_a_valid_schedule_is_accepted(environment, schedule):
    environment(SCHEDULES__RETRAIN=schedule)
    assert load_settings().schedules.retrain == schedule


def test_an_override_that_is_no_setting_is_named(home):
    with pytest.raises(SettingsInvalid, match="HOUSING_SEEED is not a setting"):
        load_settings(seeed=1)


def test_other_programs_variables_are_none_of_our_business(environment, monkeypatch):
    Path(".env").write_text("POSTGRES_PASSWORD=x\nSEED=9\nMY_HOUSING_SEED=9\nexport PATH=/bin\n")
    monkeypatch.setenv("SPLIT__SEED", "9")
    monkeypatch.setenv("REHOUSING_SEED", "9")
    assert load_settings().split.seed == 42


def test_an_unreadable_env_file_is_named(home):
    Path(".env").write_bytes(b"HOUSING_SPLIT__SEED=\xff\xfe1\n")
    with pytest.raises(SettingsInvalid, match=r"\.env cannot be read"):
        load_settings()


# --- what is never shown --------------------------------------------------------------------

SECRETS = {
    "DATABASE_URL": "postgresql://ann:hunter2@host/name",
    "SOURCES__SQL_URL": "postgresql://ann:hunter2@host/name",
    "NOTIFY__WEBHOOK_URL": "https://chat.example/hunter2",
}


def test_secrets_are_in_no_text_of_the_settings(environment):
    environment(**SECRETS)
    settings = load_settings()
    shown = f"{settings}{settings!r}{settings.model_dump()}{settings.model_dump_json()}"
    assert "hunter2" not in shown
    assert "hunter2" not in json.dumps(settings.model_dump(mode="json"))
    assert settings.database_url.get_secret_value() == SECRETS["DATABASE_URL"]


@pytest.mark.parametrize(
    "broken",
    [
        {"NOTIFY__WEBHOOK_URL": "ftp://hunter2"},
        {"NOTIFY": "https://chat.example/hunter2"},
        {"NOTIFY__TOKEN": "hunter2"},
        {"DATABASE_URL__PASSWORD": "hunter2"},
        {"SERVE__TOKEN_": "hunter2"},
        {"SPLIT__SEED": "x", **SECRETS},
        {"GATE": "x", **SECRETS},
    ],
    ids=lambda broken: "+".join(broken),
)
def test_secrets_are_in_no_message_and_no_traceback(environment, broken):
    environment(**broken)
    with pytest.raises(SettingsInvalid) as caught:
        load_settings()
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in repr(caught.value.facts)


@pytest.mark.parametrize("backup", ["blobs", "blobs/", "none/../blobs", "blobs/sub", ""])
def test_a_backup_in_the_folder_of_the_blobs_is_refused(environment, home, backup):
    environment(BACKUP_URL=f"file://{home}/{backup}")
    (line,) = faults()
    assert "HOUSING_BACKUP_URL: it and HOUSING_BLOB_URL are the same location" in line
    environment(BLOB_URL="s3://bucket/models", BACKUP_URL="s3://bucket/models/backup")
    assert len(faults()) == 1
    environment(BACKUP_URL="s3://bucket/models2")
    load_settings()


def test_the_settings_in_force_are_listed_with_their_source_and_masked_secrets(environment):
    Path(".env").write_text("HOUSING_GATE__MARGIN=0.02\nHOUSING_GATE__RULE=superior\n")
    environment(
        GATE__MARGIN="0.03", SERVE__SHADOW="", BACKUP_URL="s3://ann:hunter2@host/backup",
        NOTIFY__APPRISE_URLS="json://h/hunter2,json://h/a", SERVE__TOKEN="hunter2hunter2hunter2",
        gate__confidence="0.9", **SECRETS,
    )  # fmt: skip
    found = settings_in_force(load_settings())
    assert [each.setting for each in found] == list(fields_by_name())
    by_name = {each.setting.removeprefix(PREFIX): (each.value, each.source) for each in found}
    assert by_name["GATE__MARGIN"] == ("0.03", "environment")
    assert by_name["GATE__CONFIDENCE"] == ("0.9", "environment")
    assert by_name["GATE__RULE"] == ("superior", ".env")
    assert by_name["SERVE__SHADOW"] == ("", "default"), "an empty variable counts as not set"
    assert by_name["SOURCES__NAMES"] == ("census,landing", "default")
    assert by_name["BACKUP_URL"] == ("s3://***@host/backup", "environment")
    assert by_name["SERVE__TOKEN"] == ("**********", "environment")
    assert "hunter2" not in str(found)


# --- options of sources, thresholds of checks ------------------------------------------------


class Fax(SettingsGroup):
    number: SecretStr
    tries: int = Field(3, ge=1)


@pytest.fixture
def fax(monkeypatch):
    """A registered source with options of its own."""
    monkeypatch.setitem(SOURCES, "fax", SourceClass("no_such_module:Fax", f"{__name__}:Fax"))


def test_a_source_has_options_of_its_own(environment, fax):
    environment(SOURCES__OPTIONS__FAX__NUMBER="hunter2", SOURCES__OPTIONS__FAX__TRIES="4")
    options = load_settings().sources.options["fax"]
    assert (options.number.get_secret_value(), options.tries) == ("hunter2", 4)
    (shown,) = (
        each
        for each in settings_in_force(load_settings())
        if each.setting == f"{PREFIX}SOURCES__OPTIONS"
    )
    assert "tries=4" in shown.value
    assert "hunter2" not in shown.value
    assert shown.source == "environment"


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"FAX__TRIES": "0"}, "FAX__NUMBER: Field required; FAX__TRIES: Input should be greater"),
        ({"FAX__NUMBER": "hunter2", "FAX__TRY": "hunter2"}, "FAX__TRY: Extra inputs are not"),
        ({"FAX": "hunter2"}, "FAX: Input should be a valid dictionary"),
        ({"SQL__URL": "hunter2"}, "there is no source sql with options of its own"),
        ({"PHONE__NUMBER": "hunter2"}, "there is no source phone with options of its own"),
    ],
)
def test_a_wrong_option_of_a_source_is_named_without_its_value(environment, fax, broken, says):
    environment(**{f"SOURCES__OPTIONS__{name}": value for name, value in broken.items()})
    with pytest.raises(SettingsInvalid) as caught:
        load_settings()
    assert f"HOUSING_SOURCES__OPTIONS: {says}" in str(caught.value)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_a_mapping_is_set_entry_by_entry(environment):
    environment(SOURCES__OPTIONS="all", GATE__THRESHOLDS="0.1")
    assert [line.partition(":")[0] for line in faults()] == [
        f"{PREFIX}SOURCES__OPTIONS is a group of settings; set its parts, each as "
        f"{PREFIX}SOURCES__OPTIONS__PART.",
        f"{PREFIX}GATE__THRESHOLDS is a group of settings; set its parts, each as "
        f"{PREFIX}GATE__THRESHOLDS__PART.",
    ]


# --- shared and fixed fields ------------------------------------------------------------------


def test_gate_and_monitor_share_the_group_drift(environment):
    environment(DRIFT__MIN_EFFECT="0.2", QUALITY__MAX_REJECTED_SHARE="0.4", QUALITY__MIN_ROWS="7")
    settings = load_settings()
    assert settings.gate.drift == settings.monitor.drift == settings.drift
    assert settings.drift.min_effect == 0.2
    assert (settings.gate.max_rejected_share, settings.gate.rejected_min_rows) == (0.4, 7)


def test_a_field_that_is_no_setting_is_refused(environment):
    groups = {name: field.annotation for name, field in Settings.model_fields.items()}
    fixed = [
        f"{group}__{name}".upper() for group, kind in groups.items()
        for name, field in getattr(kind, "model_fields", {}).items() if field.description is None
    ]  # fmt: skip
    assert {f"{group}__{name}".upper() for group, name in SHARED} <= set(fixed)
    environment(**dict.fromkeys(fixed, "1"))
    environment(GATE__DRIFT__MIN_ROWS="5")
    named = {line.split(" is not a setting")[0] for line in faults() if "not a setting" in line}
    assert named == {PREFIX + name for name in (*fixed, "GATE__DRIFT__MIN_ROWS")}


def test_there_are_at_most_90_settings_and_25_of_them_are_for_operators():
    from deployments.generate_docs import OPERATORS

    assert len(fields_by_name()) <= 90
    assert len(OPERATORS) == 25
    assert set(OPERATORS) <= set(fields_by_name())


# --- the descriptions -----------------------------------------------------------------------


def test_blobs_and_backup_on_one_disk_are_known(home, environment):
    assert load_settings().backup_on_same_disk
    environment(BACKUP_URL="s3://bucket/backup")
    assert not load_settings().backup_on_same_disk
    environment(BACKUP_URL=f"file://{home}/backup")
    assert load_settings().backup_on_same_disk


def test_features_that_no_chosen_family_has_are_refused_by_name(environment):
    environment(SEARCH__FAMILIES="forest", SEARCH__EXCLUDE_FEATURES="labels")
    (line,) = faults()
    assert line.startswith("HOUSING_SEARCH__EXCLUDE_FEATURES: ")
    assert "labels cannot be left out, as forest has no such features" in line
    environment(SEARCH__EXCLUDE_FEATURES="ratios")
    assert load_settings().search.exclude_features == ("ratios",)


def test_the_deciding_metric_is_one_setting_for_gate_and_search(environment):
    assert (load_settings().gate.metric, load_settings().search.metric) == ("rmse", "rmse")
    environment(GATE__METRIC="pinball:.9")
    settings = load_settings()
    assert settings.gate.metric == settings.search.metric == "pinball:0.9"
    environment(GATE__METRIC="rmsle")
    assert load_settings().search.metric == "rmsle"
    environment(GATE__METRIC="r2")
    (line,) = faults()
    assert line.startswith("HOUSING_GATE__METRIC: there is no metric r2; there are rmse, mae")


def test_a_metric_of_logarithms_is_refused_at_start_where_the_target_may_be_negative(tmp_path):
    (tmp_path / "balance.py").write_text(
        "from housing.problem import Amount, Column, Problem, Table\n"
        "flow = Column('flow', 'number', 'l/h', 'Flow')\n"
        "gain = Column('gain', 'number', 'euros', 'Gain or loss')\n"
        "PROBLEM = Problem('balance', Table((flow, gain), 'gain'), Amount('euros'),\n"
        "                  'tests.fixtures.plain_models')\n"
    )
    own = {"HOUSING_PROBLEM": "balance", "HOUSING_HOME": str(tmp_path)}
    paths = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-m", "deployments.cli", "settings"], check=False, capture_output=True,
        env={**os.environ, **own, **paths, "HOUSING_GATE__METRIC": "rmsle"}, cwd=ROOT, text=True,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    words = " ".join((done.stdout + done.stderr).split())
    assert "HOUSING_GATE__METRIC: rmsle takes the logarithm of 1 + gain, which may be" in words
