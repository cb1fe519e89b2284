"""c/lock.h alone, by a small C program: orders of events that threads of Python come upon once in a million.

test_gate.py tests the gate as Python knows it.
"""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
from _support import effort

HEADERS = Path(__file__).parent.parent / "src_cython" / "c"

# Two threads sleep at a lock: first one that holds other locks (it does not wait for gates), then a plain one. The lock
# is let go, which wakes the first, and gated before that one comes to look. It goes away, and the other must not sleep
# on.
WAKE = r"""
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "lock.h"

static ts_lock_t lock;
static int back;

static void pause_ms(int n) { struct timespec t = {n / 1000, n % 1000 * 1000000L}; nanosleep(&t, NULL); }

static void *careful(void *unused) {
    (void)unused;
    while (!ts_lock_acquire_ungated(&lock)) ts_gate_wait(&lock);
    ts_lock_release(&lock);
    __atomic_add_fetch(&back, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void *plain(void *unused) {
    (void)unused;
    ts_lock_acquire(&lock);
    ts_lock_release(&lock);
    __atomic_add_fetch(&back, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

int main(int argc, char **argv) {
    (void)argc;
    for (int round = 0; round < atoi(argv[1]); round++) {
        pthread_t first, second;
        back = 0;
        ts_lock_acquire(&lock);
        pthread_create(&first, NULL, careful, NULL);
        pause_ms(2);
        pthread_create(&second, NULL, plain, NULL);
        pause_ms(2);
        ts_gate_enter();
        ts_lock_release(&lock);
        ts_gate_close(&lock);
        pause_ms(2);
        ts_gate_leave();
        ts_gate_open(&lock);
        ts_gate_end();
        for (int i = 0; i < 5000 && __atomic_load_n(&back, __ATOMIC_SEQ_CST) < 2; i++) pause_ms(1);
        if (__atomic_load_n(&back, __ATOMIC_SEQ_CST) < 2) {
            printf("round %d: %d of 2 are back, the lock is %u\n", round, back, lock.word);
            return 1;
        }
        pthread_join(first, NULL);
        pthread_join(second, NULL);
    }
    return 0;
}
"""


def test_nobody_sleeps_on_when_the_one_who_was_woken_goes_away(tmp_path: Path) -> None:
    compiler = (sysconfig.get_config_var("CC") or "cc").split()
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"no compiler: {compiler[0]}")
    source, program = tmp_path / "wake.c", tmp_path / "wake"
    source.write_text(WAKE)
    subprocess.run(
        [*compiler, "-std=gnu11", "-O1", "-pthread", f"-I{HEADERS}", "-o", program, source], check=True, timeout=60
    )
    done = subprocess.run([program, str(effort(40))], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
