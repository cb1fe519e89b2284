"""What APScheduler runs, kept by name in its job store."""

ran: list[str] = []


def note(word: str) -> None:
    ran.append(word)
