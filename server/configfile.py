"""The configuration file, and the environment: where settings come from besides the command line.

    # tsunami.toml
    port = 6379
    bind = ["127.0.0.1", "::1"]
    maxmemory = "2gb"
    appendonly = false

    [users]
    alice = "on #9f86d0... ~app:* +@all -@dangerous"

What it is: TOML -> settings by name, with the users under [users]; the environment (TSUNAMI_PORT) -> the same; and the
way back for CONFIG REWRITE, which keeps comments, order and spelling of all that has not changed.

What it is not: it knows no server. Names and values are judged by config.py; what comes before what is told in
__main__: a flag, then the environment, then the file, then the default.

What must stay true:

1. Every error names the file, and the key or the line.
2. `rewritten` gives a text that reads as the settings and users it was told, whatever stood there before.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tsunami_server.config import ALIASES, SETTINGS, ConfigError, parsed, spelled, yes_no

if TYPE_CHECKING:
    from tomlkit.items import AbstractTable
    from tomlkit.toml_document import TOMLDocument

USERS: Final = "users"
PREFIX: Final = "TSUNAMI_"
FILE_VARIABLE: Final = "TSUNAMI_CONFIG"
OTHERS: Final = {
    PREFIX + word for word in ("CONFIG", "OPT", "SANITIZE", "EXTENSIONS", "PROFILE", "PEERS")
}  # no settings
ADDED: Final = "Added by CONFIG REWRITE"
INTEGER: Final = re.compile(r"0|-?[1-9][0-9]*")


class FileError(ValueError):
    """A configuration file that cannot be read, understood or written."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a file says: settings by name, and users by name with their rules."""

    path: Path
    settings: dict[str, str] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)


# ---- reading


def read(path: Path) -> Read:
    """Read a file. FileError."""
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise FileError(f"{path}: it is no UTF-8 (byte {error.start})") from None
    return understood(text, path)


def understood(text: str, path: Path) -> Read:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FileError(f"{path}: this is no TOML: {error}") from None
    users = document.pop(USERS, {})
    if not isinstance(users, dict):
        raise FileError(f"{path}: {USERS}: this must be a table, [users], of rules by names")
    settings: dict[str, str] = {}
    for key, value in document.items():
        name = known_name(key)
        if name is None:
            raise FileError(f"{path}: {key}: there is no such setting{nearest(key)}")
        if name in settings:
            raise FileError(f"{path}: {key}: {name} is set twice")
        try:
            settings[name] = parsed(name, value_text(value))
        except ConfigError as error:
            raise FileError(f"{path}: {key}: {error.reason}") from None
        except TypeError as error:
            raise FileError(f"{path}: {key}: {error}") from None
    return Read(path, settings, {name: rules_text(path, name, rules) for name, rules in users.items()})


def known_name(key: str) -> str | None:
    """A setting's name, also by its older name, also with underscores."""
    name = key.lower().replace("_", "-")
    name = ALIASES.get(name, name)
    return name if name in SETTINGS else None


def nearest(key: str) -> str:
    found = difflib.get_close_matches(key.lower().replace("_", "-"), [*SETTINGS, *ALIASES], 1, 0.6)
    return f"; is {found[0]} meant?" if found else ""


def value_text(value: object) -> str:
    """A value of TOML as the setting's text. TypeError for what no setting is."""
    if isinstance(value, dict):
        raise TypeError("a setting is no table: settings stand at the top, before [users]")
    if isinstance(value, list) and any(isinstance(item, list | dict) for item in value):
        raise TypeError("a list must be one of strings or numbers")
    if isinstance(value, list | bool | str | int | float):
        return spelled(value)
    raise TypeError(f"{value} is neither a string nor a number, a boolean or a list")


def rules_text(path: Path, name: str, rules: object) -> str:
    if isinstance(rules, list) and all(isinstance(rule, str) for rule in rules):
        return " ".join(rules)
    if not isinstance(rules, str):
        raise FileError(f"{path}: {USERS}.{name}: rules are a string, or a list of strings")
    return rules


# ---- the environment


def from_environment(environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Settings that variables name, and what looks like a slip: variables close to one that there is. ConfigError."""
    variables = {PREFIX + name.upper().replace("-", "_"): name for name in [*SETTINGS, *ALIASES]}
    settings: dict[str, str] = {}
    slips: list[str] = []
    for variable, text in environ.items():
        if variable in variables:
            try:
                settings[variables[variable]] = parsed(variables[variable], text)
            except ConfigError as error:
                raise ConfigError(variable, error.reason) from None
        elif variable.startswith(PREFIX) and variable not in OTHERS:
            close = difflib.get_close_matches(variable, variables, 1, 0.85)
            slips += [f"{variable} is no setting; is {close[0]} meant?"] if close else []
    return settings, slips


# ---- CONFIG REWRITE


def rewritten(text: str, path: Path, settings: Mapping[str, str], users: Mapping[str, str] | None) -> str:
    """The file's text with these settings (all there are) and users (None: leave them). FileError.

    What is not in the file and has its default stays out.
    """
    try:
        import tomlkit
    except ImportError:
        raise FileError("this needs the package tomlkit: pip install 'tsunami[server]'") from None
    there = understood(text, path)
    document = tomlkit.parse(text)
    spelling = {known_name(key): key for key in document if key != USERS}
    new: list[str] = []
    for name, value in settings.items():
        if name in there.settings:
            if there.settings[name] != value:
                key = spelling[name]
                assert key is not None
                document[key] = toml_value(name, value, document[key])
        elif value != SETTINGS[name].default:
            new.append(name)
    result = with_new_settings(tomlkit.dumps(document), {name: settings[name] for name in new})
    if users is not None:
        result = with_users(result, users)
    check = understood(result, path)
    wanted = {name: value for name, value in settings.items() if name in there.settings or name in new}
    if check.settings != wanted or (users is not None and check.users != dict(users)):
        raise FileError(f"{path}: this file cannot be rewritten without changing what it says")
    return result


def with_new_settings(text: str, settings: Mapping[str, str]) -> str:
    """Settings stand before the first table: what follows a table's head is the table's."""
    if not settings:
        return text
    import tomlkit

    added = tomlkit.document()
    if f"# {ADDED}" not in text:
        added.add(tomlkit.comment(ADDED))
    for name, value in settings.items():
        added.add(name, tomlkit.item(toml_value(name, value)))
    head = re.search(r"^[ \t]*\[", text, re.MULTILINE) if has_table(text) else None
    at = head.start() if head else len(text)
    before, after = text[:at].rstrip("\n"), text[at:]
    return (before + "\n\n" if before else "") + tomlkit.dumps(added) + ("\n" + after if after else "")


def has_table(text: str) -> bool:
    return any(isinstance(value, dict) for value in tomllib.loads(text).values())


def with_users(text: str, users: Mapping[str, str]) -> str:
    import tomlkit

    document: TOMLDocument = tomlkit.parse(text)
    if USERS not in document:
        if users:
            document.add(USERS, tomlkit.table())
        else:
            return text
    table: AbstractTable = document[USERS]
    for name in [name for name in table if name not in users]:
        table.remove(name)
    for name, rules in users.items():
        if name not in table or rules_text(Path(), name, table[name]) != rules:
            table[name] = rules
    return tomlkit.dumps(document)


def toml_value(name: str, text: str, old: object = None) -> object:
    """A setting's text as TOML: as what stood there, if it can be said so."""
    if isinstance(old, list):
        return text.split()
    if (isinstance(old, bool) or (old is None and SETTINGS[name].parse is yes_no)) and text in ("yes", "no"):
        return text == "yes"
    if not isinstance(old, str) and INTEGER.fullmatch(text) and abs(int(text)) < 1 << 63:
        return int(text)
    return text
