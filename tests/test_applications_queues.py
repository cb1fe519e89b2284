"""Queues of real libraries: work is asked for here, done by a worker of its own, and its result read here.

Workers are started as people start them, by the library's own command, and end with the test.
"""

import asyncio
import contextlib
import socket
import time
from datetime import datetime, timedelta
from typing import Any

import huey.exceptions
import pytest
import redis
from _applications import application, program, server, url
from _support import wait_until

# What the libraries say of themselves and of each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_celery(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results, failures, retries, a group and a chord, by a worker of two threads; the broker is left empty."""
    tasks = application("celery_tasks", url, monkeypatch)
    import celery

    words = ["--pool", "threads", "--concurrency", "2", "--loglevel", "INFO"]
    with program("-m", "celery", "-A", "celery_tasks", "worker", *words, url=url) as worker:
        assert tasks.add.delay(2, 3).get(timeout=60) == 5
        assert tasks.add.apply_async((1, 1), countdown=0.2).get(timeout=30) == 2
        assert tasks.stubborn.delay(2).get(timeout=30) == 2
        failed = tasks.fails.delay()
        with pytest.raises(ValueError, match="on purpose"):
            failed.get(timeout=30)
        assert failed.status == "FAILURE" and "ValueError" in failed.traceback
        many = celery.group(tasks.add.s(n, n) for n in range(10))()
        assert many.get(timeout=30) == [2 * n for n in range(10)]
        chord = celery.chord([tasks.add.s(n, 1) for n in range(10)])(tasks.total.s())
        assert chord.get(timeout=30) == 55
        assert (tasks.add.s(1, 2) | tasks.add.s(10))().get(timeout=30) == 13
        with redis.Redis.from_url(url) as client:
            wait_until(lambda: client.hlen("unacked") == 0, "everything is acknowledged")
            assert client.llen("celery") == 0
            (key, *_) = client.keys("celery-task-meta-*")
            assert 0 < client.ttl(key) <= 300
        assert worker.poll() is None
        assert tasks.app.control.ping(timeout=2)[0].popitem()[1] == {"ok": "pong"}
        tasks.app.control.shutdown()
        assert worker.wait(30) == 0
    tasks.app.close()


def test_kombu(url: str) -> None:
    """Exchanges of three kinds, priorities, and messages given back."""
    import kombu

    with kombu.Connection(url, transport_options={"priority_steps": [0, 5], "visibility_timeout": 60}) as connection:
        topics, crowd = kombu.Exchange("topics", type="topic"), kombu.Exchange("crowd", type="fanout")
        logs = kombu.Queue("logs", topics, routing_key="log.#")
        got: list[Any] = []

        def take(body: Any, message: Any) -> None:
            got.append(body)
            message.ack()

        def drained(count: int) -> list[Any]:
            """So many messages, as soon as they are there."""
            deadline = time.monotonic() + 20
            while len(got) < count and time.monotonic() < deadline:
                with contextlib.suppress(socket.timeout):
                    connection.drain_events(timeout=1)
            found = list(got)
            got.clear()
            return found

        queues = [logs, kombu.Queue("everything", crowd)]
        with connection.Consumer(queues, callbacks=[take]), connection.Producer() as producer:
            for key in ("log.error", "log.info.deep", "other"):
                producer.publish(key, exchange=topics, routing_key=key, declare=[logs])
            assert sorted(drained(2)) == ["log.error", "log.info.deep"]
            producer.publish("to all", exchange=crowd, routing_key="")
            assert drained(1) == ["to all"]
            with pytest.raises(socket.timeout):
                connection.drain_events(timeout=0.3)
            assert got == []
        simple = connection.SimpleQueue("simple")
        for number in range(3):
            simple.put({"n": number}, priority=5 if number == 1 else 0)
        assert simple.qsize() == 3
        simple.get(timeout=5).requeue()
        taken = [simple.get(timeout=5) for _ in range(3)]
        with redis.Redis.from_url(url) as client:
            assert client.hlen("unacked") == 3
            for message in taken:
                message.ack()
            assert client.hlen("unacked") == 0
        assert sorted(message.payload["n"] for message in taken) == [0, 1, 2]
        simple.close()


def test_rq(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = application("rq_jobs", url, monkeypatch)
    from rq import Queue

    with redis.Redis.from_url(url) as client:
        queue = Queue(connection=client)
        fine = [queue.enqueue(jobs.add, n, n, result_ttl=200) for n in range(5)]
        broken, told = queue.enqueue(jobs.fails), queue.enqueue(jobs.told)
        after = queue.enqueue(jobs.add, 20, 22, depends_on=fine[0])
        assert len(queue) == 7 and after.get_status() == "deferred"
        with program("-m", "rq.cli", "worker", "--burst", "-w", "rq.SimpleWorker", "--url", url, url=url) as worker:
            assert worker.wait(60) == 0
        assert [job.return_value(refresh=True) for job in fine] == [0, 2, 4, 6, 8]
        assert after.return_value(refresh=True) == 42 and after.get_status() == "finished"
        assert broken.get_status() == "failed" and "on purpose" in broken.latest_result().exc_string
        assert broken.id in queue.failed_job_registry
        told.refresh()
        assert told.meta == {"progress": 100} and told.return_value() == told.id
        assert len(queue) == 0 and len(queue.finished_job_registry) == 7
        assert [result.return_value for result in fine[1].results()] == [2]


def test_dramatiq(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    actors = application("dramatiq_actors", url, monkeypatch)
    import dramatiq

    words = ["--processes", "1", "--threads", "2", "--skip-logging"]
    with program("-m", "dramatiq", "dramatiq_actors", *words, url=url):
        assert actors.add.send(2, 3).get_result(block=True, timeout=60_000) == 5
        many = dramatiq.group([actors.add.message(n, n) for n in range(20)]).run()
        assert list(many.get_results(block=True, timeout=30_000)) == [2 * n for n in range(20)]
        assert actors.stubborn.send().get_result(block=True, timeout=30_000) == 3
        begin = time.monotonic()
        late = actors.add.send_with_options(args=(1, 1), delay=300)
        assert late.get_result(block=True, timeout=30_000) == 2 and time.monotonic() - begin >= 0.3
        chain = actors.add.message(1, 2) | actors.add.message(10)
        assert chain.run().get_result(block=True, timeout=30_000) == 13
        actors.broker.join("default", timeout=30_000)
    actors.broker.close()


def succeeded(result: Any, value: object) -> bool:
    """Is it there? Huey shows the error of each try before the next one begins."""
    try:
        return bool(result.get() == value)
    except huey.exceptions.TaskException:
        result.reset()
        return False


def test_huey(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = application("huey_tasks", url, monkeypatch)
    for rank in (1, 5, 3):
        tasks.note(rank, priority=rank)
    assert len(tasks.ranked) == 3
    with program("-m", "huey.bin.huey_consumer", "huey_tasks.ranked", "-w", "1", "-d", "0.05", url=url):
        wait_until(lambda: len(tasks.ranked) == 0, "the ranked queue is empty", 60)
        assert tasks.note(9).get(blocking=True, timeout=30) == [5, 3, 1, 9]
    with program("-m", "huey.bin.huey_consumer", "huey_tasks.huey", "-w", "2", "-d", "0.05", url=url):
        assert tasks.add(2, 3).get(blocking=True, timeout=60) == 5
        assert tasks.stubborn().get(blocking=True, timeout=30) == 3
        assert tasks.add.schedule((1, 1), delay=0.5).get(blocking=True, timeout=30) == 2
        results = tasks.add.map([(n, n) for n in range(10)])
        assert results.get(blocking=True, timeout=30) == [2 * n for n in range(10)]
        with tasks.huey.lock_task("one at a time"):
            assert tasks.huey.is_locked("one at a time")
        assert not tasks.huey.is_locked("one at a time") and tasks.huey.pending_count() == 0


def test_arq(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = application("arq_tasks", url, monkeypatch)
    import arq

    async def result(job: arq.jobs.Job) -> Any:
        """What `job` gave. arq looks for the result first and into the queue afterwards, in two calls: a job that
        ends in between is in neither, for that one look."""
        try:
            return await job.result(timeout=60, poll_delay=0.05)
        except arq.jobs.ResultNotFound:
            return await job.result(timeout=60, poll_delay=0.05)

    async def work() -> None:
        pool = await arq.create_pool(tasks.WorkerSettings.redis_settings)
        jobs = [await pool.enqueue_job("add", n, n) for n in range(10)]
        assert [await result(job) for job in jobs] == [2 * n for n in range(10)]
        once = [await pool.enqueue_job("add", 1, 1, _job_id="once", _defer_by=0.3) for _ in range(2)]
        assert once[0] is not None and once[1] is None
        assert await once[0].status() == arq.jobs.JobStatus.deferred
        stubborn = await pool.enqueue_job("stubborn")
        assert await result(stubborn) == 3
        assert await result(once[0]) == 2
        info = await once[0].result_info()
        assert info.success and info.function == "add" and len(await pool.all_job_results()) == 12
        assert await pool.exists("arq:queue:health-check")
        await pool.aclose()

    with program("-m", "arq", "arq_tasks.WorkerSettings", url=url):
        asyncio.run(asyncio.wait_for(work(), 120))


def test_taskiq(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = application("taskiq_tasks", url, monkeypatch)

    async def work() -> None:
        await tasks.broker.startup()
        sent = [await tasks.add.kiq(n, n) for n in range(20)]
        results = [await each.wait_result(timeout=60, check_interval=0.05) for each in sent]
        assert [result.return_value for result in results] == [2 * n for n in range(20)]
        failed = await (await tasks.fails.kiq()).wait_result(timeout=30, check_interval=0.05)
        assert failed.is_err and "on purpose" in str(failed.error)
        await tasks.broker.shutdown()

    with program("-m", "taskiq", "worker", "taskiq_tasks:broker", "--workers", "1", url=url):
        asyncio.run(asyncio.wait_for(work(), 120))
    with redis.Redis.from_url(url) as client:
        assert client.llen("taskiq") == 0
        assert all(0 < client.ttl(key) <= 100 for key in client.keys("*"))


def test_apscheduler(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs outlive their scheduler: the second one runs what the first was told."""
    scheduled = application("scheduled", url, monkeypatch)
    from apscheduler.jobstores.redis import RedisJobStore
    from apscheduler.schedulers.background import BackgroundScheduler

    port = int(url.rpartition(":")[2].partition("/")[0])

    def scheduler() -> Any:
        return BackgroundScheduler(jobstores={"default": RedisJobStore(host="127.0.0.1", port=port)}, timezone="UTC")

    first = scheduler()
    first.start(paused=True)
    first.add_job("scheduled:note", "interval", ["again"], seconds=0.2, id="again")
    first.add_job("scheduled:note", "interval", ["never"], hours=5, id="never")
    first.add_job("scheduled:note", "date", ["once"], run_date=datetime.now() + timedelta(seconds=0.1), id="once")
    assert first.get_job("never").args == ("never",)
    first.modify_job("never", args=["rarely"])
    first.remove_job("never")
    first.shutdown()

    second = scheduler()
    second.start()
    try:
        assert {job.id for job in second.get_jobs()} >= {"again"}
        wait_until(lambda: scheduled.ran.count("again") >= 2, "a job runs again and again", 30)
        assert second.get_job("once") is None and second.get_job("never") is None
    finally:
        second.remove_all_jobs()
        second.shutdown()
    with redis.Redis.from_url(url) as client:
        assert client.dbsize() == 0
