# A growable run of bytes. It starts in storage of its owner's choice (on the C stack, as a rule) and moves to the heap
# when that is full; so a short row costs no malloc.
#
# What must stay true: len <= cap; data is freed exactly if it is not home; what stands in data[0..len) survives growth,
# pointers into it do not. A buffer belongs to one thread.

from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy, memmove, memset


cdef inline void buf_init(buf_t* b, char* home, size_t cap) noexcept nogil:
    b.data = home
    b.len = 0
    b.cap = cap if home != NULL else 0
    b.home = home


cdef void buf_free(buf_t* b) noexcept nogil:
    """Give the heap back what it lent. The buffer is empty and homeless then; freeing it again does nothing."""
    if b.data != b.home:
        free(b.data)
    b.data = b.home = NULL
    b.len = b.cap = 0


cdef int buf_grow(buf_t* b, size_t more) noexcept nogil:
    cdef size_t need = b.len + more
    cdef size_t cap = 64
    cdef char* data
    if need < more or b.cap > (<size_t>1 << 62):
        return ST_NO_MEMORY
    if cap < b.cap * 2:
        cap = b.cap * 2
    if cap < need:
        cap = need
    if b.data == b.home:
        data = <char*>malloc(cap)
        if data != NULL and b.len:
            memcpy(data, b.data, b.len)
    else:
        data = <char*>realloc(b.data, cap)
    if data == NULL:
        return ST_NO_MEMORY
    b.data = data
    b.cap = cap
    return ST_OK


cdef inline int buf_reserve(buf_t* b, size_t more) noexcept nogil:
    """Make room for `more` bytes behind len."""
    if b.cap - b.len >= more:
        return ST_OK
    return buf_grow(b, more)


cdef inline int buf_append(buf_t* b, const void* p, size_t n) noexcept nogil:
    cdef int status = buf_reserve(b, n)
    if status == ST_OK and n:
        memcpy(b.data + b.len, p, n)
        b.len += n
    return status
