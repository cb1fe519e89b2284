"""tsunami-server: the command line -> Config -> run.

Flags are the settings of config.py under Redis's names, in its manner: `--port 7000 --bind 127.0.0.1 ::1 --save ""`.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

import tsunami
from tsunami_server.app import LEVELS, run
from tsunami_server.config import SETTINGS, Config, ConfigError

ALIASES = {"--log-level": "--loglevel"}


def joined(argv: Sequence[str]) -> list[str]:
    """One word for each flag: `--bind a b` becomes `--bind=a b`, since values may begin with a hyphen, as in `-::1`."""
    words: list[str] = []
    open_flag = False
    for word in argv:
        if word.startswith("--") and len(word) > 2:
            name, equals, value = word.partition("=")
            words.append(ALIASES.get(name, name) + equals + value)
            open_flag = not equals and name not in ("--help", "--version")
        elif open_flag and words:
            words[-1] += (" " if "=" in words[-1] else "=") + word
        else:
            words.append(word)
    return words


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="tsunami-server", description="Serve Tsunami's tables over RESP.", allow_abbrev=False
    )
    result.add_argument("--version", action="version", version=f"tsunami-server {tsunami.__version__}")
    for setting in SETTINGS.values():
        note = f" (default: {setting.default})" if setting.default else ""
        result.add_argument(
            f"--{setting.name}", metavar="VALUE", dest=setting.name, help=(setting.summary + note).replace("%", "%%")
        )
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server. Exit status 0 after a stop, 1 if it could not listen, 2 for a wrong command line."""
    options = parser()
    given = vars(options.parse_args(joined(sys.argv[1:] if argv is None else argv)))
    try:
        config = Config({name: text for name, text in given.items() if text is not None})
    except ConfigError as error:
        options.error(f"--{error.name}: {error.reason}")
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(message)s", level=LEVELS[config.text("loglevel")], stream=sys.stderr
    )
    return run(config)


if __name__ == "__main__":
    sys.exit(main())
