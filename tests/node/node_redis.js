// node-redis as a program uses it. Arguments: the server's port, the version of RESP.
const assert = require("node:assert");
const { createClient, WatchError } = require("redis");

async function main(port, resp) {
  const client = createClient({ socket: { port }, RESP: resp, name: "noddy" });
  client.on("error", (error) => { throw error; });
  await client.connect();
  assert.equal(await client.ping(), "PONG");
  assert.equal(await client.clientGetName(), "noddy");
  assert.equal(await client.set("a", "1", { EX: 100, NX: true }), "OK");
  assert.equal(await client.set("a", "2", { NX: true }), null);
  assert.equal(await client.incrBy("a", 4), 5);
  assert.equal(await client.hSet("h", { f: "1", g: "2" }), 2);
  assert.deepEqual({ ...(await client.hGetAll("h")) }, { f: "1", g: "2" });
  await client.zAdd("z", [{ score: 2, value: "ann" }, { score: 1.5, value: "bob" }]);
  assert.deepEqual((await client.zRangeWithScores("z", 0, -1)).map(({ value, score }) => [value, score]),
                   [["bob", 1.5], ["ann", 2]]);
  assert.equal(await client.sAdd("s", ["x", "y"]), 2);
  assert.deepEqual([...(await client.sMembers("s"))].sort(), ["x", "y"]);

  // Everything that is asked at once goes in one packet, and is answered in order.
  const numbers = Array.from({ length: 500 }, (_, number) => number);
  assert.deepEqual(await Promise.all(numbers.map(() => client.incr("n"))), numbers.map((number) => number + 1));
  const keys = [];
  await client.mSet(numbers.map((number) => [`k:${number}`, `${number}`]));
  for await (const found of client.scanIterator({ MATCH: "k:*", COUNT: 50 })) keys.push(...[found].flat());
  assert.equal(new Set(keys).size, 500);

  const [set, got] = await client.multi().set("m", "1").get("m").exec();
  assert.deepEqual([set, got], ["OK", "1"]);
  const other = client.duplicate();
  other.on("error", (error) => { throw error; });
  await other.connect();
  await client.watch("m");
  await other.set("m", "2");
  await assert.rejects(client.multi().set("m", "3").exec(), WatchError);
  assert.equal(await client.get("m"), "2");

  const popped = other.blPop("list", 10);
  await client.rPush("list", "first");
  assert.deepEqual({ ...(await popped) }, { key: "list", element: "first" });
  const id = await client.xAdd("stream", "*", { word: "hello" });
  assert.equal((await client.xRange("stream", "-", "+"))[0].id, id);

  const heard = new Promise((resolve) => other.subscribe("news", (message, channel) => resolve([message, channel])));
  while (!(await client.publish("news", "hello"))) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual(await heard, ["hello", "news"]);
  assert.equal(await client.eval("return redis.call('INCRBY', KEYS[1], ARGV[1])", { keys: ["a"], arguments: ["10"] }), 15);
  await assert.rejects(client.hGet("a", "f"), /WRONGTYPE/);
  await other.close();
  await client.close();

  if (resp === 3) {
    const cached = createClient({ socket: { port }, RESP: 3, clientSideCache: { ttl: 0, maxEntries: 100 } });
    const writer = createClient({ socket: { port } });
    for (const each of [cached, writer]) { each.on("error", (error) => { throw error; }); await each.connect(); }
    for (let number = 0; number < 20; number++) {
      await writer.set("fresh", `${number}`);
      await cached.ping(); // the invalidation was sent before this is answered
      assert.equal(await cached.get("fresh"), `${number}`);
      assert.equal(await cached.get("fresh"), `${number}`);
    }
    await cached.close();
    await writer.close();
  }
}

main(Number(process.argv[2]), Number(process.argv[3])).then(() => process.stdout.write("done"));
