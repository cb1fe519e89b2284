"""A program of its own that has no clients: it emits through Redis to those that another process serves."""

import asyncio
import os
import sys

import socketio


async def main(room: str) -> None:
    manager = socketio.AsyncRedisManager(os.environ["TSUNAMI_URL"], write_only=True)
    await manager.emit("news", {"from": "afar", "n": 7}, room=room)
    await manager.emit("news", {"from": "afar", "n": 8}, room="nobody's")
    await manager.redis.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
