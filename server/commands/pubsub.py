"""Messages: SUBSCRIBE and its kin, PUBLISH, SPUBLISH, PUBSUB. Who listens to what is kept in pubsub.py.

A subscription is answered by one message for each name, not by a reply: in RESP3 they are pushes. They come even if
CLIENT REPLY is off. There is one shard, this server.
"""

from collections.abc import Callable

from tsunami import _wire
from tsunami_server.command import HELP, CommandError, Reply, add_help, command, container
from tsunami_server.glob import compile_glob
from tsunami_server.pubsub import CHANNEL, PATTERN, SHARD, Listeners
from tsunami_server.session import NO_REPLY, Session

FLAGS = "pubsub noscript loading stale"


def told(session: Session, pushes: list[_wire.Push]) -> Reply:
    """The answer of a subscription: pushes in place of a reply."""
    spelled = b"".join(_wire.encode(push, session.conn.resp) for push in pushes)
    if session.conn.replies == 1:
        return _wire.Raw(spelled)
    for push in pushes:  # no reply is wanted; these are none
        session.conn.push(push)
    return NO_REPLY


def subscribe_to(session: Session, kind: str, word: str, names: list[bytes]) -> Reply:
    pushes = []
    for name in names:
        session.app.shared.messages.subscribe(session, kind, name)
        pushes.append(_wire.Push([word, name, session.subscriptions.count(kind)]))
    return told(session, pushes)


def unsubscribe_from(session: Session, kind: str, word: str, names: list[bytes]) -> Reply:
    """Without names: from all. Whoever has subscribed to nothing is told so."""
    pushes = []
    for name in names or list(session.subscriptions.of(kind)):
        session.app.shared.messages.unsubscribe(session, kind, name)
        pushes.append(_wire.Push([word, name, session.subscriptions.count(kind)]))
    return told(session, pushes or [_wire.Push([word, None, session.subscriptions.count(kind)])])


def define(kind: str, letter: str, argument: str, since: str, what: str, keys: tuple[str, ...] = ()) -> None:
    """SUBSCRIBE and UNSUBSCRIBE of one kind."""
    on, off = f"{letter}subscribe", f"{letter}unsubscribe"

    told_as = "pattern=(pattern)" if kind == PATTERN else argument  # Redis tells these two so

    @command(
        f"{on.upper()} {told_as} ...", FLAGS, group="pubsub", since=since, keys=keys,
        summary=f"Listen to the messages of {what}.", complexity="O(N) in the number of names",
    )  # fmt: skip
    def subscribe(session: Session, args: list[bytes]) -> Reply:
        if kind == SHARD and not session.may_block:
            raise CommandError("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client")
        return subscribe_to(session, kind, on, args)

    @command(
        f"{off.upper()} [{argument} ...]", FLAGS, group="pubsub", since=since, keys=keys,
        summary=f"Listen no more to {what}; without names, to none at all.",
        complexity="O(N) in the number of names",
    )  # fmt: skip
    def unsubscribe(session: Session, args: list[bytes]) -> Reply:
        return unsubscribe_from(session, kind, off, args)


define(CHANNEL, "", "channel", "2.0.0", "channels")
define(PATTERN, "p", "pattern", "2.0.0", "all channels that fit a glob pattern")
define(SHARD, "s", "shardchannel", "7.0.0", "shard channels", ("1..-1 not_key",))


@command(
    "PUBLISH channel message", "pubsub loading stale fast", group="pubsub", since="2.0.0",
    summary="Send a message to all who listen to a channel, and tell how many they are.",
    complexity="O(N+M) in the number of listeners and the number of patterns", hot=True,
)  # fmt: skip
def publish(session: Session, args: list[bytes]) -> Reply:
    return session.app.shared.messages.publish(args[0], args[1])


@command(
    "SPUBLISH shardchannel message", "pubsub loading stale fast", group="pubsub", since="7.0.0",
    summary="Send a message to all who listen to a shard channel, and tell how many they are.",
    complexity="O(N) in the number of listeners", keys="1 not_key",
)  # fmt: skip
def spublish(session: Session, args: list[bytes]) -> Reply:
    return session.app.shared.messages.publish_shard(args[0], args[1])


# ---- PUBSUB

container("PUBSUB", group="pubsub", since="2.8.0", summary="Commands that tell who listens to what.")

TOLD = "pubsub loading stale"


def names_of(register: dict[bytes, Listeners], args: list[bytes], subcommand: str) -> Reply:
    if len(args) > 1:
        raise CommandError(f"ERR unknown subcommand or wrong number of arguments for '{subcommand}'. Try PUBSUB HELP.")
    matches: Callable[[bytes], bool] = compile_glob(args[0]) if args else lambda name: True
    return [name for name in register if matches(name)]


def counts_of(register: dict[bytes, Listeners], args: list[bytes]) -> Reply:
    return [item for name in args for item in (name, len(register.get(name, ())))]


@command("PUBSUB CHANNELS [pattern]", TOLD, group="pubsub", since="2.8.0",
         summary="The channels that somebody listens to.",
         complexity="O(N) in the number of channels")  # fmt: skip
def pubsub_channels(session: Session, args: list[bytes]) -> Reply:
    return names_of(session.app.shared.messages.channels, args, "CHANNELS")


@command("PUBSUB NUMSUB [channel ...]", TOLD, group="pubsub", since="2.8.0",
         summary="How many listen to each of these channels; listeners of patterns are not counted.",
         complexity="O(N) in the number of channels asked for")  # fmt: skip
def pubsub_numsub(session: Session, args: list[bytes]) -> Reply:
    return counts_of(session.app.shared.messages.channels, args)


@command("PUBSUB NUMPAT", TOLD, group="pubsub", since="2.8.0",
         summary="How many patterns somebody listens to.")  # fmt: skip
def pubsub_numpat(session: Session, args: list[bytes]) -> Reply:
    return len(session.app.shared.messages.patterns)


@command("PUBSUB SHARDCHANNELS [pattern]", TOLD, group="pubsub", since="7.0.0",
         summary="The shard channels that somebody listens to.",
         complexity="O(N) in the number of shard channels")  # fmt: skip
def pubsub_shardchannels(session: Session, args: list[bytes]) -> Reply:
    return names_of(session.app.shared.messages.shards, args, "SHARDCHANNELS")


@command("PUBSUB SHARDNUMSUB [shardchannel ...]", TOLD, group="pubsub", since="7.0.0",
         summary="How many listen to each of these shard channels.",
         complexity="O(N) in the number of shard channels asked for")  # fmt: skip
def pubsub_shardnumsub(session: Session, args: list[bytes]) -> Reply:
    return counts_of(session.app.shared.messages.shards, args)


add_help("PUBSUB", group="pubsub", since="6.2.0", acl="", summary=HELP)
