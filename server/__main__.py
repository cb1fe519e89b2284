"""tsunami-server: command line, environment and file -> Config -> run.

Flags are the settings of config.py under Redis's names, in its manner: `--port 7000 --bind 127.0.0.1 ::1 --save ""`.
What comes first counts: a flag, a variable of the environment (TSUNAMI_PORT), the file, the default.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import tsunami
from tsunami_server import logs
from tsunami_server.app import App, log, run
from tsunami_server.config import SETTINGS, Config, ConfigError
from tsunami_server.configfile import FILE_VARIABLE, FileError, Read, from_environment, read

ALIASES = {"--log-level": "--loglevel"}
WITHOUT_VALUE = ("--help", "--version", "--check-config")


def joined(argv: Sequence[str]) -> list[str]:
    """One word for each flag: `--bind a b` becomes `--bind=a b`, since values may begin with a hyphen, as in `-::1`."""
    words: list[str] = []
    open_flag = False
    for word in argv:
        if word.startswith("--") and len(word) > 2:
            name, equals, value = word.partition("=")
            words.append(ALIASES.get(name, name) + equals + value)
            open_flag = not equals and name not in WITHOUT_VALUE
        elif open_flag and words:
            words[-1] += (" " if "=" in words[-1] else "=") + word
        else:
            words.append(word)
    return words


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="tsunami-server",
        description="Serve Tsunami's tables over RESP.",
        epilog="Each setting can also stand in the file, and in the environment: TSUNAMI_PORT.",
        allow_abbrev=False,
    )
    result.add_argument("--version", action="version", version=f"tsunami-server {tsunami.__version__}")
    result.add_argument("file", nargs="?", help="a configuration file, TOML; the same as --config")
    result.add_argument("--config", metavar="FILE", help=f"a configuration file, TOML (or by {FILE_VARIABLE})")
    result.add_argument("--check-config", action="store_true", help="say whether a server could start so, and end")
    for setting in SETTINGS.values():
        note = f" (default: {setting.default})" if setting.default else ""
        result.add_argument(
            f"--{setting.name}", metavar="VALUE", dest=setting.name, help=(setting.summary + note).replace("%", "%%")
        )
    return result


def gathered(flags: Mapping[str, str], environ: Mapping[str, str], path: str | None) -> tuple[Config, list[str]]:
    """The settings from everywhere, and what looks like a slip. ConfigError, FileError."""
    file = read(Path(path).absolute()) if path else Read(Path())
    variables, slips = from_environment(environ)
    config = Config({**file.settings, **variables, **flags})
    config.file = file.path if path else None
    config.users = file.users
    return config, slips


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server. Exit status 0 after a stop, 1 if it could not serve, 2 for wrong settings."""
    options = parser()
    given = vars(options.parse_args(joined(sys.argv[1:] if argv is None else argv)))
    if given["file"] and given["config"]:
        options.error("two configuration files: one as a word, one by --config")
    path = given["file"] or given["config"] or os.environ.get(FILE_VARIABLE)
    flags = {name: given[name] for name in SETTINGS if given[name] is not None}
    try:
        config, slips = gathered(flags, os.environ, path)
        if given["check_config"]:
            return check(config, slips)
        logs.configure(config.text("log-format"), config.text("logfile"), config.text("loglevel"))
    except ConfigError as error:
        is_flag = error.name in flags
        options.error(f"{'--' if is_flag else ''}{error.name}: {error.reason}")
    except FileError as error:
        options.error(str(error))
    for slip in slips:
        log.warning("%s", slip)
    return run(config)


def check(config: Config, slips: Sequence[str]) -> int:
    """Say whether a server could start with these settings: also users, certificates, the packages that are needed."""
    for slip in slips:
        print(f"warning: {slip}", file=sys.stderr)
    App(config).check()
    if config.text("log-format") == "json":
        logs.json_formatter()
    print("the configuration is good" + (f": {config.file}" if config.file else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
