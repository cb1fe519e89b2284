"""The wire door: Tsunami's tables over RESP.

tsunami-server --port 6379                                   a server process
with tsunami_server.background(port=0) as server: ...        this process's tables, from a thread of its own
server = await tsunami_server.start(port=0)                  this process's tables, from the running event loop
"""

from tsunami_server.config import Config, ConfigError
from tsunami_server.embed import Background, Running, background, new_event_loop, start

__all__ = ["background", "start", "new_event_loop", "Background", "Running", "Config", "ConfigError"]
