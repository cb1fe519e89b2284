%% ETS's side of the parts `queries` and `mixes`: what queries_worker.py and mixes_worker.py are for Python.
%%
%%     queries    <op> <rows>                                  ->  <ns> <cpu ns> <operations>   or   no <reason>
%%     mixes      <type> <threads> <seconds> <mix>             ->  <operations> <ns>
%%
%% Compiled code. `queries` runs in one process on one scheduler; `mixes` in as many processes as threads are asked for.
-module(ets_queries).
-export([queries/0, mixes/0]).

%% ---- queries. Rows are {K, V}: K from 0 on, V = K * 7919 rem Rows, inserted in random order.

queries() ->
    io:format("ready~n"),
    queries(#{}).

queries(State) ->
    case io:get_line("") of
        eof -> halt(0);
        Line ->
            [Op, Rows] = string:lexemes(Line, " \n"),
            queries(query(Op, list_to_integer(Rows), State))
    end.

query("fill", Rows, State) ->
    [ets:delete(T) || T <- maps:values(State)],
    Keys = shuffled(Rows),
    Fill = fun(Type) ->
        T = ets:new(bench, [Type, public]),
        [ets:insert(T, {K, K * 7919 rem Rows}) || K <- Keys],
        T
    end,
    Made = #{set => Fill(set), ordered_set => Fill(ordered_set)},
    erlang:garbage_collect(),
    io:format("0 0 ~b~n", [Rows]),
    Made;
query("memory", Rows, #{ordered_set := T} = State) ->
    io:format("~b 0 ~b~n", [ets:info(T, memory) * erlang:system_info(wordsize), Rows]),
    State;
query(Op, Rows, State) ->
    case work(Op, Rows, State) of
        unknown -> io:format("no such operation~n");
        {N, Work} ->
            erlang:garbage_collect(),
            {C0, _} = erlang:statistics(runtime),
            T0 = erlang:monotonic_time(nanosecond),
            _ = Work(),
            T1 = erlang:monotonic_time(nanosecond),
            {C1, _} = erlang:statistics(runtime),
            io:format("~b ~b ~b~n", [T1 - T0, (C1 - C0) * 1000000, N])
    end,
    State.

work("insert_random", Rows, _) ->
    Keys = shuffled(Rows),
    T = ets:new(bench, [ordered_set, public]),
    {Rows, fun() -> insert(T, Keys), ets:delete(T) end};
work("insert_ascending", Rows, _) ->
    Keys = lists:seq(0, Rows - 1),
    T = ets:new(bench, [ordered_set, public]),
    {Rows, fun() -> insert(T, Keys), ets:delete(T) end};
work("lookup", Rows, #{ordered_set := T}) ->
    Keys = shuffled(Rows),
    {Rows, fun() -> lookup(T, Keys) end};
work("next", Rows, #{ordered_set := T}) ->
    Keys = shuffled(Rows),
    {Rows, fun() -> next(T, Keys) end};
work("walk", Rows, #{ordered_set := T}) ->
    {Rows, fun() -> walk(T, ets:first(T)) end};
work("select_count_set", Rows, #{set := T}) ->
    {Rows, fun() -> ets:select_count(T, above(Rows div 2, true)) end};
work("select_count_ordered", Rows, #{ordered_set := T}) ->
    {Rows, fun() -> ets:select_count(T, above(Rows div 2, true)) end};
work("select_tenth_set", Rows, #{set := T}) ->
    {Rows, fun() -> ets:select(T, above(Rows - Rows div 10 - 1, '$_')) end};
work("select_tenth_ordered", Rows, #{ordered_set := T}) ->
    {Rows, fun() -> ets:select(T, above(Rows - Rows div 10 - 1, '$_')) end};
work("tab2list_set", Rows, #{set := T}) ->
    {Rows, fun() -> ets:tab2list(T) end};
work("tab2list_ordered", Rows, #{ordered_set := T}) ->
    {Rows, fun() -> ets:tab2list(T) end};
work(_, _, _) ->
    unknown.

above(N, Result) -> [{{'_', '$1'}, [{'>', '$1', N}], [Result]}].

shuffled(N) -> [K || {_, K} <- lists:sort([{rand:uniform(), K} || K <- lists:seq(0, N - 1)])].

insert(T, [K | Ks]) -> ets:insert(T, {K, 1000000}), insert(T, Ks);
insert(_, []) -> ok.

lookup(T, [K | Ks]) -> ets:lookup(T, K), lookup(T, Ks);
lookup(_, []) -> ok.

next(T, [K | Ks]) -> ets:next(T, K), next(T, Ks);
next(_, []) -> ok.

walk(_, '$end_of_table') -> ok;
walk(T, K) -> walk(T, ets:next(T, K)).

%% ---- mixes. A list of operations is made beforehand; each process goes round in its own until the time is over.

mixes() ->
    io:format("ready~n"),
    mixes_loop().

mixes_loop() ->
    case io:get_line("") of
        eof -> halt(0);
        Line ->
            [Type, Threads, Seconds, Mix] = string:lexemes(Line, " \n"),
            {N, Ns} = mix(list_to_atom(Type), list_to_integer(Threads), list_to_float(Seconds), Mix),
            io:format("~b ~b~n", [N, Ns]),
            mixes_loop()
    end.

-define(RANGE, 1000000).
-define(PREPARED, 100000).
-define(BETWEEN, 256).

mix(Type, Threads, Seconds, Mix) ->
    T = ets:new(bench, [Type, public, {write_concurrency, auto}, {read_concurrency, true}]),
    [ets:insert(T, {K, 1}) || K <- shuffled(?RANGE), K rem 2 =:= 0],
    Self = self(),
    Parts = parts(Mix),
    Pids = [spawn_link(fun() ->
        Ops = [operation(Parts) || _ <- lists:seq(1, ?PREPARED)],
        erlang:garbage_collect(),
        Self ! {ready, self()},
        receive {go, End} -> ok end,
        Self ! {done, self(), run(T, Ops, Ops, End, ?BETWEEN, 0)}
    end) || _ <- lists:seq(1, Threads)],
    [receive {ready, Pid} -> ok end || Pid <- Pids],
    T0 = erlang:monotonic_time(nanosecond),
    [Pid ! {go, T0 + round(Seconds * 1.0e9)} || Pid <- Pids],
    N = lists:sum([receive {done, Pid, Count} -> Count end || Pid <- Pids]),
    T1 = erlang:monotonic_time(nanosecond),
    ets:delete(T),
    {N, T1 - T0}.

%% "insert:50,delete:50" and so on
parts(Mix) ->
    [begin [Op, Percent] = string:lexemes(Part, ":"), {list_to_atom(Op), list_to_integer(Percent)} end
     || Part <- string:lexemes(Mix, ",")].

operation(Parts) -> operation(Parts, rand:uniform(100), rand:uniform(?RANGE) - 1).

operation([{Op, Percent} | _], Dice, K) when Dice =< Percent -> prepared(Op, K);
operation([{_, Percent} | Rest], Dice, K) -> operation(Rest, Dice - Percent, K).

prepared(insert, K) -> {insert, {K, 1}};
prepared(range, K) -> {range, [{{'$1', '_'}, [{'>=', '$1', K}, {'<', '$1', K + 1000}], ['$_']}]};
prepared(Op, K) -> {Op, K}.

run(T, All, [{Op, Arg} | Ops], End, Left, N) ->
    do(Op, T, Arg),
    case Left of
        1 -> case erlang:monotonic_time(nanosecond) < End of
            true -> run(T, All, Ops, End, ?BETWEEN, N + 1);
            false -> N + 1
        end;
        _ -> run(T, All, Ops, End, Left - 1, N + 1)
    end;
run(T, All, [], End, Left, N) ->
    run(T, All, All, End, Left, N).

do(insert, T, Row) -> ets:insert(T, Row);
do(delete, T, K) -> ets:delete(T, K);
do(lookup, T, K) -> ets:lookup(T, K);
do(next100, T, K) -> steps(T, K, 100);
do(range, T, Spec) -> ets:select(T, Spec).

steps(_, '$end_of_table', _) -> ok;
steps(_, _, 0) -> ok;
steps(T, K, N) -> steps(T, ets:next(T, K), N - 1).
