"""c/lock.h alone, by a small C program: orders of events that threads of Python come upon once in a million.

Each scene is set up by pauses and ends with both of its threads back, or with one that sleeps for ever. test_gate.py
tests the gate as Python knows it.
"""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
from _support import effort

HEADERS = Path(__file__).parent.parent / "src_cython" / "c"

PROGRAM = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

static int slow;                    /* milliseconds between the decision to sleep and the sleep */

static void pause_ms(int n) { struct timespec t = {0, n * 1000000L}; nanosleep(&t, NULL); }

#ifdef __linux__
static long slow_syscall(long number, void *word, int what, uint32_t value, void *a, void *b, int c) {
    if (slow && what == FUTEX_WAIT_PRIVATE) pause_ms(slow);
    return syscall(number, word, what, value, a, b, c);
}
#define syscall slow_syscall
#endif
#include "lock.h"

static ts_lock_t lock;
static int back;

static void come_back(void) { __atomic_add_fetch(&back, 1, __ATOMIC_SEQ_CST); }

static void open_gate(void) {
    ts_gate_leave();
    ts_gate_open(&lock);
    ts_gate_end();
}

static void *careful(void *unused) {            /* as who holds other locks */
    (void)unused;
    while (!ts_lock_acquire_ungated(&lock)) ts_gate_wait(&lock);
    ts_lock_release(&lock);
    come_back();
    return NULL;
}

static void *plain(void *unused) {
    (void)unused;
    ts_lock_acquire(&lock);
    ts_lock_release(&lock);
    come_back();
    return NULL;
}

static void *gating(void *unused) {
    (void)unused;
    ts_gate_enter();
    ts_gate_close(&lock);
    pause_ms(2);
    open_gate();
    come_back();
    return NULL;
}

/* Two sleep at a lock: first one who does not wait for gates, then a plain one. The lock is let go, which wakes the
   first, and gated before that one comes to look. It goes away, and the other must not sleep on. */
static void woken_goes_away(pthread_t *threads) {
    ts_lock_acquire(&lock);
    pthread_create(&threads[0], NULL, careful, NULL);
    pause_ms(2);
    pthread_create(&threads[1], NULL, plain, NULL);
    pause_ms(2);
    ts_gate_enter();
    ts_lock_release(&lock);
    ts_gate_close(&lock);
    pause_ms(2);
    open_gate();
}

/* Whoever gates the lock has slept at it, and somebody behind it still does. */
static void asleep_when_gated(pthread_t *threads) {
    ts_lock_acquire(&lock);
    pthread_create(&threads[0], NULL, gating, NULL);
    pause_ms(2);
    pthread_create(&threads[1], NULL, plain, NULL);
    pause_ms(2);
    ts_lock_release(&lock);
}

/* The gate opens just when two have decided to sleep at it. */
static void opened_before_sleep(pthread_t *threads) {
    ts_gate_enter();
    ts_gate_close(&lock);
    slow = 6;
    pthread_create(&threads[0], NULL, careful, NULL);
    pthread_create(&threads[1], NULL, plain, NULL);
    pause_ms(3);
    open_gate();
}

int main(int argc, char **argv) {
    (void)argc;
    void (*scenes[])(pthread_t *) = {woken_goes_away, asleep_when_gated, opened_before_sleep};
    for (int round = 0; round < atoi(argv[2]); round++) {
        pthread_t threads[2];
        back = slow = 0;
        scenes[atoi(argv[1])](threads);
        for (int i = 0; i < 5000 && __atomic_load_n(&back, __ATOMIC_SEQ_CST) < 2; i++) pause_ms(1);
        if (__atomic_load_n(&back, __ATOMIC_SEQ_CST) < 2) {
            printf("round %d: %d of 2 are back, the lock is %u\n", round, back, lock.word);
            return 1;
        }
        pthread_join(threads[0], NULL);
        pthread_join(threads[1], NULL);
    }
    return 0;
}
"""

SCENES = ["the one who was woken goes away", "asleep when it is gated", "opened before they sleep"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = (sysconfig.get_config_var("CC") or "cc").split()
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"no compiler: {compiler[0]}")
    made = tmp_path_factory.mktemp("lock") / "scenes"
    source = made.with_suffix(".c")
    source.write_text(PROGRAM)
    subprocess.run(
        [*compiler, "-std=gnu11", "-O1", "-pthread", f"-I{HEADERS}", "-o", made, source], check=True, timeout=60
    )
    return made


@pytest.mark.parametrize("scene", SCENES)
def test_nobody_sleeps_for_ever(program: Path, scene: str) -> None:
    command = [program, str(SCENES.index(scene)), str(effort(40))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
