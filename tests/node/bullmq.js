// BullMQ: results, failures with retries, delays, priorities, a flow of parents and children, events. Argument: the port.
const assert = require("node:assert");
const { FlowProducer, Queue, QueueEvents, Worker } = require("bullmq");

async function main(port) {
  const connection = { host: "127.0.0.1", port, maxRetriesPerRequest: null };
  const queue = new Queue("work", { connection });
  const events = new QueueEvents("work", { connection });
  await events.waitUntilReady();
  await queue.pause();
  const order = [];
  const worker = new Worker("work", async (job) => {
    order.push(job.name);
    if (job.name === "stubborn" && job.attemptsMade < 2) throw new Error("not yet");
    if (job.name === "hopeless") throw new Error("on purpose");
    await job.updateProgress(50);
    const children = Object.values(await job.getChildrenValues());
    return (job.data.x ?? 0) + (job.data.y ?? 0) + children.reduce((sum, value) => sum + value, 0);
  }, { connection, concurrency: 1 });
  await worker.waitUntilReady();

  const late = await queue.add("late", { x: 1, y: 1 }, { delay: 300 });
  const low = await queue.add("low", { x: 2, y: 2 }, { priority: 10 });
  const high = await queue.add("high", { x: 3, y: 3 }, { priority: 1 });
  assert.equal((await queue.getJobCounts("prioritized", "delayed")).prioritized, 2);
  await queue.resume();
  assert.deepEqual(await Promise.all([late, low, high].map((job) => job.waitUntilFinished(events, 20000))), [2, 4, 6]);
  assert.ok(order.indexOf("high") < order.indexOf("low"));

  const stubborn = await queue.add("stubborn", { x: 7 }, { attempts: 3, backoff: { type: "fixed", delay: 50 } });
  assert.equal(await stubborn.waitUntilFinished(events, 20000), 7);
  const hopeless = await queue.add("hopeless", {});
  await assert.rejects(hopeless.waitUntilFinished(events, 20000), /on purpose/);
  assert.equal(await (await queue.getJob(hopeless.id)).getState(), "failed");

  const many = await queue.addBulk(Array.from({ length: 30 }, (_, x) => ({ name: "add", data: { x, y: 1 } })));
  const sums = await Promise.all(many.map((job) => job.waitUntilFinished(events, 20000)));
  assert.deepEqual(sums, Array.from({ length: 30 }, (_, x) => x + 1));

  const flow = new FlowProducer({ connection });
  const children = [1, 2, 3].map((x) => ({ name: "child", queueName: "work", data: { x } }));
  const { job: parent } = await flow.add({ name: "parent", queueName: "work", data: { x: 10 }, children });
  assert.equal(await parent.waitUntilFinished(events, 20000), 16);
  const counts = await queue.getJobCounts("completed", "failed", "wait", "active");
  assert.deepEqual({ ...counts }, { completed: 38, failed: 1, wait: 0, active: 0 });
  await worker.close();
  await events.close();
  await flow.close();
  await queue.obliterate({ force: true });
  await queue.close();
}

main(Number(process.argv[2])).then(() => process.stdout.write("done"));
