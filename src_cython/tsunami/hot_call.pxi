# ETS.CALL on the hot path: the engine does the work (tsunami._core, call.pxi), here is its way to the wire.
#
# What fails is cold like everything out of the ordinary: nothing has changed, so the handler asks the engine again and
# tells and counts the error.

cdef int hot_ets_call(run_t* r) noexcept nogil:
    cdef call_t* c = &r.plane.call
    c.session = r.session
    c.self_row = r.self_row
    if call_run(c, arg(r, 1), arg_len(r, 1), arg(r, 2), arg_len(r, 2)) != 0 or c.error != NULL:
        return H_COLD
    out_bulk(r.out, c.out.data, c.out.len)
    return H_DONE


cdef void hot_register_call() noexcept:
    hot_add("ets.call", hot_ets_call, 3, 3, W_TABLE)
