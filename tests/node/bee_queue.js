// bee-queue: results, progress, retries, a delayed job. Argument: the server's port.
const assert = require("node:assert");
const Queue = require("bee-queue");

async function main(port) {
  const queue = new Queue("bees", { redis: { host: "127.0.0.1", port }, activateDelayedJobs: true, nearTermWindow: 500 });
  let tries = 0;
  const finished = (job) => new Promise((resolve, reject) => { job.on("succeeded", resolve); job.on("failed", reject); });
  queue.process(4, async (job) => {
    if (job.data.stubborn && ++tries < 3) throw new Error("not yet");
    if (job.data.hopeless) throw new Error("on purpose");
    job.reportProgress(50);
    return job.data.x + 1;
  });
  const jobs = Array.from({ length: 20 }, (_, x) => queue.createJob({ x }));
  const results = Promise.all(jobs.map(finished));
  await Promise.all(jobs.map((job) => job.save()));
  assert.deepEqual(await results, jobs.map((_, x) => x + 1));
  const stubborn = queue.createJob({ x: 1, stubborn: true }).retries(3);
  const result = finished(stubborn);
  await stubborn.save();
  assert.deepEqual([await result, tries], [2, 3]);
  const late = queue.createJob({ x: 5 }).delayUntil(Date.now() + 300);
  const lateResult = finished(late);
  await late.save();
  assert.equal(await lateResult, 6);
  const hopeless = queue.createJob({ hopeless: true });
  const failure = finished(hopeless);
  await hopeless.save();
  await assert.rejects(failure, /on purpose/);
  const health = await queue.checkHealth();
  assert.deepEqual([health.waiting, health.active, health.succeeded, health.failed], [0, 0, 22, 1]);
  await queue.close();
}

main(Number(process.argv[2])).then(() => process.stdout.write("done"));
