"""Messages between processes: python-socketio's and channels_redis's layers over our server."""

import asyncio
from typing import Any

import pytest
import redis
from _applications import output, server, url

# What the libraries say of themselves and of each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_an_emit_passes_from_one_process_to_another(url: str) -> None:
    """python-socketio: a server with a client in a room, and a program elsewhere that emits to that room."""
    import socketio

    async def work() -> None:
        manager = socketio.AsyncRedisManager(url)
        site = socketio.AsyncServer(client_manager=manager, async_mode="asgi")
        sent: list[tuple[str, Any]] = []
        arrived = asyncio.Event()

        async def send_packet(eio_sid: str, packet: Any) -> None:  # what would go to a browser
            sent.append((eio_sid, socketio.packet.Packet(encoded_packet=packet.data).data))
            arrived.set()

        site._send_eio_packet = send_packet
        site.manager_initialized = True
        manager.set_server(site)
        manager.initialize()
        ann, bob = [await manager.connect(f"eio-{name}", "/") for name in ("ann", "bob")]
        await manager.enter_room(ann, "/", "readers")
        with redis.Redis.from_url(url) as client:
            while client.pubsub_numsub("socketio") != [(b"socketio", 1)]:
                await asyncio.sleep(0.01)
        await asyncio.to_thread(output, "emitter.py", "readers", url=url)
        await asyncio.wait_for(arrived.wait(), 20)
        assert sent == [("eio-ann", ["news", {"from": "afar", "n": 7}])]
        await manager.emit("all", "of you")
        while len(sent) < 3:
            await asyncio.sleep(0.01)
        assert sorted(sent[1:]) == [("eio-ann", ["all", "of you"]), ("eio-bob", ["all", "of you"])]
        assert bob != ann
        manager.thread.cancel()
        await asyncio.gather(manager.thread, return_exceptions=True)
        await manager.redis.aclose()

    asyncio.run(asyncio.wait_for(work(), 60))


@pytest.mark.parametrize("layer", ["core.RedisChannelLayer", "pubsub.RedisPubSubChannelLayer"])
def test_layers_of_channels(url: str, layer: str) -> None:
    import channels_redis.core
    import channels_redis.pubsub

    modules = {"core": channels_redis.core, "pubsub": channels_redis.pubsub}
    module, name = layer.split(".")

    async def work() -> None:
        # Two layers, as two processes have: what one sends the other receives.
        here, there = (getattr(modules[module], name)(hosts=[url]) for _ in range(2))
        ann, bob = await here.new_channel(), await here.new_channel()
        waiting = asyncio.create_task(here.receive(ann))
        await asyncio.sleep(0.1)
        await there.send(ann, {"type": "hello", "n": 1})
        assert await waiting == {"type": "hello", "n": 1}
        for channel in (ann, bob):
            await here.group_add("room", channel)
        await there.group_send("room", {"type": "to.all", "raw": b"\x00\xff"})
        assert [await here.receive(channel) for channel in (ann, bob)] == [{"type": "to.all", "raw": b"\x00\xff"}] * 2
        await here.group_discard("room", bob)
        for number in range(20):
            await there.group_send("room", {"type": "to.ann", "n": number})
        assert [(await here.receive(ann))["n"] for _ in range(20)] == list(range(20))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(here.receive(bob), 0.2)
        await here.flush()
        await there.flush()
        for each in (here, there):
            await each.close_pools() if hasattr(each, "close_pools") else None

    asyncio.run(asyncio.wait_for(work(), 60))
