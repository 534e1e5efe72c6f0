"""Settings from defaults, file and environment: which wins, what is refused and in which words, and the page about them."""

from __future__ import annotations

import hashlib
import importlib.util
import json

import pytest

from expeditor.jobs.causes import RetryLevel
from expeditor.jobs.model import Cause
from expeditor.runtime.settings import Settings
from expeditor.runtime.settings_source import FILE_NAME, FOREIGN_VARIABLES, SettingsError, load
from expeditor.runtime.settings_table import describe
from tests.conftest import ROOT


@pytest.fixture
def given(tmp_path, monkeypatch):
    """Write a file and variables, then load."""

    def read(file=None, **variables):
        if file is not None:
            (tmp_path / FILE_NAME).write_text(file, encoding="utf-8")
        for name, value in variables.items():
            monkeypatch.setenv(f"EXPEDITOR_{name}", value)
        return load(tmp_path)

    return read


def refused(given, *args, **variables):
    with pytest.raises(SettingsError) as error:
        given(*args, **variables)
    return str(error.value)


def test_nothing_set_is_the_defaults(given):
    settings = given()
    assert settings == Settings()
    assert (settings.ordering, settings.ageing_s, settings.store) == ("fair", 100.0, "sqlite")
    assert settings.redacted() == {}


def test_the_file_wins_over_defaults(given):
    settings = given('ordering = "strict"\nmax_nodes = 7\ndeny_nodes = ["Load*"]\n[weights]\ngrace = 2')
    assert (settings.ordering, settings.max_nodes, settings.deny_nodes) == ("strict", 7, ["Load*"])
    assert settings.weights == {"grace": 2.0}
    assert settings.redacted() == {
        "ordering": "strict",
        "max_nodes": 7,
        "deny_nodes": ["Load*"],
        "weights": {"grace": 2.0},
    }


def test_the_environment_wins_over_the_file(given):
    settings = given(
        "max_nodes = 7\nageing_s = 5\naccess_log = true\n[weights]\ngrace = 2",
        MAX_NODES="8",
        ACCESS_LOG="off",
        WEIGHTS='{"ada": 3}',
        ALLOW_NODES='["A", "B*"]',
    )
    assert (settings.max_nodes, settings.ageing_s, settings.access_log) == (8, 5.0, False)
    assert settings.weights == {"ada": 3.0}, "a table is replaced, not mixed"
    assert settings.allow_nodes == ["A", "B*"]


def test_causes_and_levels_are_given_by_their_names(given):
    settings = given(
        '[retry_levels]\nSTALLED = "never"\n[cause_rules]\n"my_pack.*" = "UPSTREAM_UNAVAILABLE"',
        RETRY_LEVELS='{"OUT_OF_MEMORY": "never"}',
    )
    assert settings.retry_levels == {Cause.OUT_OF_MEMORY: RetryLevel.NEVER}
    assert settings.cause_rules == {"my_pack.*": Cause.UPSTREAM_UNAVAILABLE}
    assert settings.redacted() == {
        "retry_levels": {"OUT_OF_MEMORY": "never"},
        "cause_rules": {"my_pack.*": "UPSTREAM_UNAVAILABLE"},
    }


def test_an_empty_variable_is_not_set(given):
    assert given("max_nodes = 7", MAX_NODES="", ORDERING="").max_nodes == 7


def test_variables_of_the_development_tool_are_not_settings(given):
    assert given(**dict.fromkeys(FOREIGN_VARIABLES, "x")) == Settings()


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("max_node", "max_nodes"), ("aging_s", "ageing_s"), ("odering", "ordering"), ("hook_queue", "hooks_queue")],
)
def test_an_unknown_name_is_refused_and_the_nearest_named(given, name, nearest):
    assert refused(given, f"{name} = 1") == f"Unknown setting {name} in expeditor.toml. Did you mean {nearest}?"


def test_an_unknown_variable_is_refused_too(given):
    message = refused(given, AGING_S="5")
    assert message == "Unknown setting aging_s in the environment. Did you mean ageing_s?"


def test_an_unknown_name_near_nothing_points_to_the_page(given):
    assert refused(given, "[zzz]\nx = 1") == "Unknown setting zzz in expeditor.toml. docs/settings.md lists them all."


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("max_nodes = 0", "max_nodes"),
        ("max_nodes = 1.5", "max_nodes"),
        ('max_nodes = "many"', "max_nodes"),
        ("ageing_s = -1", "ageing_s"),
        ("ageing_s = nan", "ageing_s"),
        ("ageing_s = inf", "ageing_s"),
        ('ordering = "random"', "ordering"),
        ("store_deadline_s = 0", "store_deadline_s"),
        ("[weights]\nada = 0", "weights.ada"),
        ("[weights]\nada = -1", "weights.ada"),
        ("[weights]\nada = inf", "weights.ada"),
        ("[weights]\nada = nan", "weights.ada"),
        ('deny_nodes = "Load*"', "deny_nodes"),
        ('trusted_proxies = ["10.0.0.1", "proxy.example"]', "trusted_proxies"),
        ("max_attempts = 0", "max_attempts"),
        ("backoff_base_s = -1", "backoff_base_s"),
        ('recovery = "maybe"', "recovery"),
        ('[retry_levels]\nOUT_OF_MEMORY = "sometimes"', "retry_levels.OUT_OF_MEMORY"),
        ('[retry_levels]\nBAD_LUCK = "later"', "retry_levels.BAD_LUCK"),
        ('[retry_levels]\nCANCELED = "later"', "retry_levels"),
        ('[cause_rules]\n"*Error" = "BAD_LUCK"', "cause_rules.*Error"),
        ('[cause_rules]\n"*Error" = "POISON"', "cause_rules"),
    ],
)
def test_a_value_out_of_its_range_is_refused_by_name(given, file, named):
    assert refused(given, file).startswith(f"Setting {named}: ")


def test_the_address_of_a_shared_queue_is_checked_part_by_part_and_its_secrets_are_told_nowhere(given):
    settings = given(STORE="redis://ada:hush@cache/1")
    assert settings.redacted() == {"store": "redis://***@cache:6379/1"}
    assert "hush" not in repr(settings)
    message = refused(given, STORE="redis://ada:hush@cache:port/1")
    assert message.startswith("Setting store: ")
    assert "'cache:port' is no host and port" in message
    assert "hush" not in message
    assert "hush" not in refused(given, 'store = "http://ada:hush@cache"')


def test_every_wrong_value_is_told_at_once(given):
    message = refused(given, "max_nodes = 0\nageing_s = -1")
    assert "Setting max_nodes: " in message
    assert "Setting ageing_s: " in message
    assert "(got -1)" in message


def test_a_wrong_variable_is_refused_by_name(given):
    assert refused(given, MAX_NODES="0").startswith("Setting max_nodes: ")
    assert "deny_nodes" in refused(given, DENY_NODES="Load*", MAX_NODES="1")


@pytest.mark.parametrize("file", ["max_nodes", "max_nodes = ", "= 5", "[weights"])
def test_a_file_that_is_no_toml_is_refused(given, file):
    assert refused(given, file).startswith("expeditor.toml cannot be read: ")


def test_a_file_that_is_no_text_is_refused(given, tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b"max_nodes = 5 # \xff")
    assert refused(given).startswith("expeditor.toml cannot be read: ")


def test_a_byte_order_mark_is_nothing(given):
    assert given("\ufeffmax_nodes = 7").max_nodes == 7


def test_the_data_folder_cannot_be_named_by_the_file_that_lies_in_it(given):
    assert "set EXPEDITOR_DATA_DIR" in refused(given, 'data_dir = "/elsewhere"')


def test_the_data_folder_can_be_named_by_the_environment(given):
    assert given(DATA_DIR="/elsewhere").data_dir == "/elsewhere"


def test_every_setting_says_what_it_means():
    rows = describe()
    assert sorted(row.name for row in rows) == sorted(Settings.model_fields)
    for row in rows:
        assert row.description.endswith("."), row.name
        assert "|" not in row.values + row.default + row.description, row.name


def test_the_page_says_what_the_code_does():
    path = ROOT / "docs" / "generate_settings.py"
    spec = importlib.util.spec_from_file_location("generate_settings", path)
    assert spec is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    written = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert written == generator.page(describe()), "run: python docs/generate_settings.py"


# -- tokens --------------------------------------------------------------------------------------------------------------

SECRET = "a-secret-that-nobody-may-see"
DIGEST = "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90"


def test_a_token_is_known_by_its_digest_and_never_shown(given):
    settings = given(f'[tokens.shop]\nsecret = "{SECRET}"\n[tokens.ops]\nsha256 = "{DIGEST.upper()}"\nadmin = true')
    assert settings.tokens["shop"].digest == hashlib.sha256(SECRET.encode()).hexdigest()
    assert settings.tokens["ops"].digest == DIGEST
    assert settings.redacted() == {"tokens": ["ops", "shop"]}
    assert SECRET not in repr(settings)


def test_tokens_come_from_the_environment_as_json(given):
    settings = given(TOKENS=json.dumps({"shop": {"sha256": DIGEST, "priority": 6}}), REQUIRE_TOKEN="true")
    assert (settings.tokens["shop"].priority, settings.require_token) == (6, True)


@pytest.mark.parametrize(
    "table",
    [
        f'[tokens.shop]\nsecret = "{SECRET}"\nsha256 = "{DIGEST}"',
        f'[tokens.shop]\nsha256 = "{SECRET}"',
        f'[tokens.shop]\nsecret = "{SECRET[:15]}"',
        f'[tokens.shop]\nsecret = "{SECRET}"\npriority = 11',
        f'[tokens.shop]\nsecret = "{SECRET}"\nadmim = true',
        f'[tokens."a b"]\nsecret = "{SECRET}"',
        f'[tokens.a]\nsecret = "{SECRET}"\n[tokens.b]\nsecret = "{SECRET}"',
        f'tokens = "{SECRET}"',
        "[tokens.shop]\nadmin = true",
    ],
)
def test_a_wrong_token_is_refused_without_its_secret(given, table):
    message = refused(given, table)
    assert message.startswith("Setting tokens")
    assert SECRET[:15] not in message


def test_a_token_cannot_be_required_where_there_is_none(given):
    assert "require_token needs tokens" in refused(given, "require_token = true")


def test_a_variable_that_is_no_json_does_not_tell_the_secret(given):
    assert SECRET not in refused(given, TOKENS="{" + SECRET)
