%% ETS's side of the in-process part: what worker.py is for Python, line for line.
%%
%%     <op> <rows> <int|str> <file of positions>   ->   <ns> <cpu ns> <operations>     or     no <reason>
%%
%% Compiled code, one scheduler, one process: nothing that ETS would have to share is shared. Tables are `set, public`,
%% rows {Key, Value}. A str key is a binary of 16 bytes, which lives in the process heap as a str lives in Python's.
%% Keys are made anew for each operation and the process collects its garbage before the clock starts, as there.
-module(ets_bench).
-export([main/0, memory/3]).
-compile({no_auto_import, [element/2]}).

-define(VALUE, 1000000).
-define(BATCH, 100).

main() ->
    io:setopts([{encoding, latin1}]),
    io:format("ready~n"),
    loop([]).

loop(Tables) ->
    case io:get_line("") of
        eof -> halt(0);
        Line ->
            [Op, Rows, Kind, Path] = string:lexemes(Line, " \n"),
            loop(command(Op, list_to_integer(Rows), Kind, Path, Tables))
    end.

command("forget", _, _, _, Tables) ->
    [ets:delete(T) || T <- Tables],
    erlang:garbage_collect(),
    io:format("ok~n"),
    [];
command(Op, Rows, Kind, Path, Tables) ->
    case known(Op) of
        true -> run(Op, Rows, Kind, Path, Tables);
        false -> io:format("no such operation~n"), Tables
    end.

known(Op) ->
    lists:member(Op, ["loop", "insert", "replace", "lookup", "lookup_element", "miss", "member", "update_counter",
                      "delete", "batch"]).

run(Op, Rows, Kind, Path, Tables0) ->
    Keys = keys(Path, Kind, case Op of "miss" -> Rows; _ -> 0 end),
    Tables = case Op of
        "insert" ->
            [ets:delete(T) || T <- Tables0],
            [ets:new(bench, [set, public]) || _ <- lists:seq(1, length(Keys) div Rows)];
        _ -> Tables0
    end,
    Work = split(Op, Rows, Keys, Tables),
    erlang:garbage_collect(),
    {C0, _} = erlang:statistics(runtime),
    T0 = erlang:monotonic_time(nanosecond),
    work(Op, Work),
    T1 = erlang:monotonic_time(nanosecond),
    {C1, _} = erlang:statistics(runtime),
    N = length(Keys),
    io:format("~b ~b ~b~n", [T1 - T0, (C1 - C0) * 1000000, N]),
    Tables.

keys(Path, Kind, Shift) ->
    {ok, Bin} = file:read_file(Path),
    case Kind of
        "int" -> [P + Shift || <<P:32/little>> <= Bin];
        "str" -> [key(P + Shift) || <<P:32/little>> <= Bin]
    end.

key(P) ->
    <<Rest:11/binary>> = integer_to_binary(10000000000 + P),
    <<"user:", Rest/binary>>.

split(Op, Rows, Keys, Tables) when Op =:= "insert"; Op =:= "delete" -> deal(Rows, Keys, Tables);
split("loop", _, Keys, _) -> [{none, Keys}];
split("batch", _, Keys, [T | _]) -> [{T, chunks(Keys)}];
split(_, _, Keys, [T | _]) -> [{T, Keys}].

deal(_, [], _) -> [];
deal(Rows, Keys, [T | Ts]) ->
    {Mine, Rest} = lists:split(Rows, Keys),
    [{T, Mine} | deal(Rows, Rest, Ts)].

chunks([]) -> [];
chunks(Keys) ->
    {Chunk, Rest} = lists:split(?BATCH, Keys),
    [Chunk | chunks(Rest)].

work(_, []) -> ok;
work(Op, [{T, Keys} | Rest]) ->
    one(Op, T, Keys),
    work(Op, Rest).

one("loop", _, Ks) -> empty(Ks);
one("insert", T, Ks) -> insert(T, Ks);
one("replace", T, Ks) -> insert(T, Ks);
one("lookup", T, Ks) -> lookup(T, Ks);
one("miss", T, Ks) -> lookup(T, Ks);
one("lookup_element", T, Ks) -> element(T, Ks);
one("member", T, Ks) -> member(T, Ks);
one("update_counter", T, Ks) -> count(T, Ks);
one("delete", T, Ks) -> delete(T, Ks);
one("batch", T, Chunks) -> batch(T, Chunks).

empty([_ | Ks]) -> empty(Ks);
empty([]) -> ok.

insert(T, [K | Ks]) -> ets:insert(T, {K, ?VALUE}), insert(T, Ks);
insert(_, []) -> ok.

lookup(T, [K | Ks]) -> ets:lookup(T, K), lookup(T, Ks);
lookup(_, []) -> ok.

element(T, [K | Ks]) -> ets:lookup_element(T, K, 2), element(T, Ks);
element(_, []) -> ok.

member(T, [K | Ks]) -> ets:member(T, K), member(T, Ks);
member(_, []) -> ok.

count(T, [K | Ks]) -> ets:update_counter(T, K, 1), count(T, Ks);
count(_, []) -> ok.

delete(T, [K | Ks]) -> ets:delete(T, K), delete(T, Ks);
delete(_, []) -> ok.

batch(T, [Chunk | Rest]) -> [ets:lookup(T, K) || K <- Chunk], batch(T, Rest);
batch(_, []) -> ok.

%% ---- memory.py's side: <rows>=<growth of the resident set>:<ETS's own account> at each step, on one line.

memory(Kind, Rows, Step) ->
    T = ets:new(bench, [set, public]),
    fill(T, Kind, 0, 1000),
    erlang:garbage_collect(),
    Base = resident(),
    steps(T, Kind, 0, Rows, Step, Base),
    io:format("~n"),
    halt(0).

steps(_, _, Rows, Rows, _, _) -> ok;
steps(T, Kind, At, Rows, Step, Base) ->
    fill(T, Kind, At, At + Step),
    erlang:garbage_collect(),
    Told = ets:info(T, memory) * erlang:system_info(wordsize),
    io:format("~b=~b:~b ", [At + Step, resident() - Base, Told]),
    steps(T, Kind, At + Step, Rows, Step, Base).

fill(_, _, To, To) -> ok;
fill(T, int, I, To) -> ets:insert(T, {I + 1000, I + 10000000000}), fill(T, int, I + 1, To);
fill(T, str, I, To) -> ets:insert(T, {key(I), key(I)}), fill(T, str, I + 1, To).

resident() ->
    {ok, Text} = file:read_file("/proc/self/statm"),
    [_, Pages | _] = binary:split(Text, <<" ">>, [global]),
    binary_to_integer(Pages) * 4096.
