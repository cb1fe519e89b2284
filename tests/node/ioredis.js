// ioredis as a program uses it. Argument: the server's port.
const assert = require("node:assert");
const Redis = require("ioredis");

async function main(port) {
  const client = new (Redis.Redis ?? Redis)({ port, maxRetriesPerRequest: 1 });
  assert.equal(await client.set("a", "1", "EX", 100), "OK");
  assert.equal(await client.incr("a"), 2);
  assert.equal(await client.hset("h", { f: "1", g: "2" }), 2);
  assert.deepEqual({ ...(await client.hgetall("h")) }, { f: "1", g: "2" });
  assert.equal(await client.zadd("z", 2, "ann", 1.5, "bob"), 2);
  assert.deepEqual(await client.zrange("z", 0, -1), ["bob", "ann"]);
  assert.deepEqual((await client.smembers("none")).length, 0);

  const replies = await client.pipeline().set("p", "x").get("p").incr("p").exec();
  assert.deepEqual(replies.slice(0, 2), [[null, "OK"], [null, "x"]]);
  assert.match(replies[2][0].message, /value is not an integer/);
  assert.deepEqual(await client.multi().incr("a").incr("a").exec(), [[null, 3], [null, 4]]);
  await client.watch("a");
  await client.set("a", "5");
  assert.equal(await client.multi().incr("a").exec(), null);

  client.defineCommand("add", { numberOfKeys: 1, lua: "return redis.call('INCRBY', KEYS[1], ARGV[1])" });
  assert.equal(await client.add("a", 10), 15);
  assert.equal(await client.add("a", 10), 25);

  await client.mset(Object.fromEntries(Array.from({ length: 300 }, (_, number) => [`k:${number}`, number])));
  const keys = [];
  for await (const found of client.scanStream({ match: "k:*", count: 40 })) keys.push(...found);
  assert.equal(new Set(keys).size, 300);

  const listener = client.duplicate();
  await listener.subscribe("news");
  await listener.psubscribe("n*");
  const heard = [];
  const both = new Promise((resolve) => {
    const note = (...message) => { if (heard.push(message) === 2) resolve(); };
    listener.on("message", note);
    listener.on("pmessage", note);
  });
  assert.equal(await client.publish("news", "hello"), 2);
  await both;
  assert.deepEqual(heard, [["news", "hello"], ["n*", "news", "hello"]]);

  const blocked = client.duplicate();
  const popped = blocked.blpop("list", 10);
  await client.rpush("list", "first");
  assert.deepEqual(await popped, ["list", "first"]);
  const read = blocked.xread("BLOCK", 10000, "STREAMS", "stream", "$");
  await new Promise((resolve) => setTimeout(resolve, 100));
  const id = await client.xadd("stream", "*", "word", "hello");
  assert.deepEqual(await read, [["stream", [[id, ["word", "hello"]]]]]);
  assert.match(await client.info("server"), /redis_version:/);
  for (const each of [listener, blocked, client]) await each.quit();
}

main(Number(process.argv[2])).then(() => process.stdout.write("done"));
