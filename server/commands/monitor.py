"""MONITOR: see every command that the server carries out, as it is carried out.

While somebody reads along nothing is hot: all commands of all connections come to Python, and are several times as
slow. What administrators do is not shown, and passwords are not either (observe.py).
"""

from tsunami._wire import OK
from tsunami_server.command import Reply, command
from tsunami_server.session import Session


@command("MONITOR", "admin noscript loading stale", group="server", since="1.0.0",
         summary="Send this connection every command that the server carries out, until it says RESET.")  # fmt: skip
def monitor(session: Session, args: list[bytes]) -> Reply:
    session.monitor(True)
    return OK
