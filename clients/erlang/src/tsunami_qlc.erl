%% @doc Tables of a server in query list comprehensions, as `ets:table/1,2' gives those of this node.
%%
%% What it is: the funs that `qlc:table/2' asks for. What it is not: a planner; qlc decides whether it looks keys up or
%% walks, and turns the filters it can into a match spec, which the server runs.
%%
%% What must stay true: a walk fixes the table for as long as it lasts, so each object that stays comes exactly once.
-module(tsunami_qlc).

-export([table/3]).
-export_type([option/0]).

-type option() :: {n_objects, default | pos_integer()} | {traverse, traverse()} | {atom(), term()}.
-type traverse() :: first_next | last_prev | select | {select, ets:match_spec()}.

-define(CHUNK, 1000).       % a request a chunk: more than the hundred that ets takes

%% @doc A query handle of a table. Options that are not of ours are `qlc:table/2''s.
-spec table(tsunami:conn(), tsunami:tab(), option() | [option()]) -> qlc:query_handle().
table(Conn, Tab, Option) when is_tuple(Option) ->
    table(Conn, Tab, [Option]);
table(Conn, Tab, Options) ->
    Traverse = proplists:get_value(traverse, Options, select),
    Limit = limit(proplists:get_value(n_objects, Options, default)),
    Rest = [Option || Option <- Options, not lists:member(element(1, Option), [traverse, n_objects])],
    qlc:table(walk(Conn, Tab, Traverse, Limit), lookups(Conn, Tab, Traverse) ++ [
        {pre_fun, fun(_) -> tsunami:safe_fixtable(Conn, Tab, true) end},
        {post_fun, fun() -> tsunami:safe_fixtable(Conn, Tab, false) end},
        {info_fun, fun(Item) -> told(Conn, Tab, Item) end},
        {format_fun, fun(_) -> formatted(Tab, Options) end},
        {key_equality, equality(tsunami:info(Conn, Tab, type))}
    ] ++ Rest).

limit(default) -> ?CHUNK;
limit(Limit) when is_integer(Limit), Limit > 0 -> Limit;
limit(Other) -> erlang:error(badarg, [Other]).

walk(Conn, Tab, first_next, _) ->
    fun() -> step(Conn, Tab, tsunami:first_lookup(Conn, Tab), fun tsunami:next_lookup/3) end;
walk(Conn, Tab, last_prev, _) ->
    fun() -> step(Conn, Tab, tsunami:last_lookup(Conn, Tab), fun tsunami:prev_lookup/3) end;
walk(Conn, Tab, select, Limit) ->
    fun(Spec) -> chunk(Conn, tsunami:select(Conn, Tab, Spec, Limit)) end;
walk(Conn, Tab, {select, Spec}, Limit) ->
    fun() -> chunk(Conn, tsunami:select(Conn, Tab, Spec, Limit)) end;
walk(_, _, Other, _) ->
    erlang:error(badarg, [Other]).

step(_, _, '$end_of_table', _) -> [];
step(Conn, Tab, {Key, Objects}, Step) -> Objects ++ fun() -> step(Conn, Tab, Step(Conn, Tab, Key), Step) end.

chunk(_, '$end_of_table') -> [];
chunk(Conn, {Results, Continuation}) -> Results ++ fun() -> chunk(Conn, tsunami:select(Conn, Continuation)) end.

%% What a match spec of the caller's gives are no objects: they cannot be looked up by key.
lookups(_, _, {select, _}) ->
    [];
lookups(Conn, Tab, _) ->
    [{lookup_fun, fun(_, Keys) -> lists:flatmap(fun(Key) -> tsunami:lookup(Conn, Tab, Key) end, Keys) end}].

told(Conn, Tab, num_of_objects) -> tsunami:info(Conn, Tab, size);
told(Conn, Tab, keypos) -> tsunami:info(Conn, Tab, keypos);
told(Conn, Tab, is_unique_objects) -> tsunami:info(Conn, Tab, type) =/= duplicate_bag;
told(Conn, Tab, is_sorted_key) -> tsunami:info(Conn, Tab, type) =:= ordered_set;
told(_, _, _) -> undefined.

equality(ordered_set) -> '==';
equality(_) -> '=:='.

formatted(Tab, []) -> io_lib:format("tsunami_ets:table(~tp)", [Tab]);
formatted(Tab, Options) -> io_lib:format("tsunami_ets:table(~tp, ~tp)", [Tab, Options]).
