%% The client against a real server, whose port stands in the environment variable TSUNAMI_PORT.
-module(tsunami_tests).
-compile([export_all, nowarn_export_all]).

%% The assertions alone: eunit.hrl, which has them too, comes with packages of its own.
-include_lib("stdlib/include/assert.hrl").
-include_lib("stdlib/include/qlc.hrl").

port() -> list_to_integer(os:getenv("TSUNAMI_PORT", "6379")).

with(Work) ->
    {ok, C} = tsunami:open(#{port => port()}),
    try Work(C)
    after tsunami:close(C)
    end.

%% In a process of its own, with the application's environment set: for tsunami_ets.
alone(Work) ->
    application:set_env(tsunami, port, port()),
    {Pid, Ref} = spawn_monitor(fun() -> exit({result, Work()}) end),
    receive {'DOWN', Ref, process, Pid, {result, Result}} -> Result;
            {'DOWN', Ref, process, Pid, Other} -> erlang:error(Other)
    end.

eventually(Condition) -> eventually(Condition, 200).
eventually(Condition, 0) -> ?assert(Condition());
eventually(Condition, N) ->
    case Condition() of
        true -> ok;
        false -> timer:sleep(25), eventually(Condition, N - 1)
    end.

%% ---- objects of all kinds come back as they are

terms() ->
    [1, -1, 1 bsl 200, -(1 bsl 63), 1.5, -0.0, atom, 'an atom', 'späß', <<"bin">>, <<1:3>>, <<>>, "string", [], [a | b],
     {}, {a, {b, [c]}}, #{}, #{1 => a, 1.0 => b, [x] => #{}}, self(), make_ref(), fun lists:map/2, fun(X) -> X end,
     lists:seq(1, 300), lists:foldl(fun(_, Acc) -> [Acc] end, [], lists:seq(1, 100000))].

every_term_comes_back_test() ->
    with(fun(C) ->
        T = tsunami:new(C, t, [public]),
        [begin
            true = tsunami:insert(C, T, {Key, Term}),
            ?assertEqual([{Key, Term}], tsunami:lookup(C, T, Key)),
            true = tsunami:insert(C, T, {Term, Key}),
            ?assertEqual([{Term, Key}], tsunami:lookup(C, T, Term))
         end || {Key, Term} <- lists:zip(lists:seq(1000, 999 + length(terms())), terms())]
    end).

every_type_test() ->
    with(fun(C) ->
        [begin
            T = tsunami:new(C, t, [Type, {keypos, 2}]),
            L = ets:new(t, [Type, {keypos, 2}]),
            Objects = [{N, N rem 7} || N <- lists:seq(1, 50)] ++ [{1, 1}],
            [?assertEqual(ets:insert(L, O), tsunami:insert(C, T, O)) || O <- Objects],
            ?assertEqual(lists:sort(ets:tab2list(L)), lists:sort(tsunami:tab2list(C, T))),
            ?assertEqual(ets:lookup(L, 3), tsunami:lookup(C, T, 3)),
            ?assertEqual(ets:info(L, size), tsunami:info(C, T, size)),
            ?assertEqual(ets:info(L, type), tsunami:info(C, T, type)),
            Spec = [{{'$1', '$2'}, [{'<', '$1', 20}], [{{'$2', '$1'}}]}],
            ?assertEqual(lists:sort(ets:select(L, Spec)), lists:sort(tsunami:select(C, T, Spec))),
            ?assertEqual(lists:sort(ets:foldl(fun(O, A) -> [O | A] end, [], L)),
                         lists:sort(tsunami:foldl(C, fun(O, A) -> [O | A] end, [], T))),
            ?assertEqual(ets:take(L, 3), tsunami:take(C, T, 3))
         end || Type <- [set, ordered_set, bag, duplicate_bag]]
    end).

folds_go_in_order_test() ->
    with(fun(C) ->
        T = tsunami:new(C, t, [ordered_set]),
        true = tsunami:insert(C, T, [{N} || N <- [3, 1, 2]]),
        ?assertEqual([{3}, {2}, {1}], tsunami:foldl(C, fun(O, A) -> [O | A] end, [], T)),
        ?assertEqual([{1}, {2}, {3}], tsunami:foldr(C, fun(O, A) -> [O | A] end, [], T)),
        ?assertError(oops, tsunami:foldl(C, fun(_, _) -> error(oops) end, [], T)),
        ?assertEqual(false, tsunami:info(C, T, fixed))
    end).

%% ---- failures are ets's own

failures_test() ->
    with(fun(C) ->
        T = tsunami:new(C, t, [set]),
        ?assertError(badarg, tsunami:insert(C, T, foo)),
        ?assertError(badarg, tsunami:lookup(C, no_such_table, 1)),
        ?assertError(badarg, tsunami:lookup_element(C, T, absent, 2)),
        ?assertError(undef, tsunami_conn:call(C, no_such_function, [])),
        ?assertEqual(undefined, tsunami:info(C, no_such_table)),
        try tsunami:lookup_element(C, T, absent, 2)
        catch error:badarg:Stack ->
            ?assertMatch([{tsunami_ets, lookup_element, [T, absent, 2], _} | _], Stack),
            ?assertEqual(badkey, cause(Stack)),
            ?assertMatch(#{2 := _}, tsunami_error:format_error(badarg, Stack))
        end
    end).

cause([{_, _, _, Info} | _]) ->
    maps:get(cause, proplists:get_value(error_info, Info)).

nobody_listens_test() ->
    {ok, Socket} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Socket),
    ok = gen_tcp:close(Socket),
    ?assertMatch({error, econnrefused}, tsunami:open(#{port => Port})).

%% ---- processes

a_table_dies_with_its_owner_test() ->
    Tab = alone(fun() -> tsunami_ets:new(t, [public]) end),
    with(fun(C) -> eventually(fun() -> tsunami:info(C, Tab) =:= undefined end) end).

rights_are_those_of_processes_test() ->
    with(fun(C) ->
        T = tsunami:new(C, t, [private]),
        true = tsunami:insert(C, T, {k, v}),
        ?assertEqual(access, alone(fun() ->
            try tsunami_ets:lookup(T, k)
            catch error:badarg:Stack -> cause(Stack)
            end
        end))
    end).

a_gift_arrives_as_a_message_test() ->
    with(fun(C) ->
        Me = self(),
        alone(fun() ->
            T = tsunami_ets:new(gift, [named_table, set]),
            true = tsunami_ets:insert(T, {k, v}),
            true = tsunami_ets:give_away(T, Me, {a, present})
        end),
        ?assertEqual([{k, v}], tsunami:lookup(C, gift, k)),
        receive {'ETS-TRANSFER', gift, From, {a, present}} -> ?assert(is_pid(From))
        after 5000 -> error(nothing_came)
        end,
        ?assertEqual(Me, tsunami:info(C, gift, owner)),
        true = tsunami:delete(C, gift)
    end).

an_heir_inherits_test() ->
    with(fun(C) ->
        Me = self(),
        {Tab, Pid} = alone(fun() -> {tsunami_ets:new(t, [set, {heir, Me, mine}]), self()} end),
        receive {'ETS-TRANSFER', Tab, Pid, mine} -> ok
        after 5000 -> error(nothing_came)
        end,
        ?assertEqual(Me, tsunami:info(C, Tab, owner))
    end).

many_processes_test() ->
    with(fun(C) ->
        T = tsunami:new(C, t, [public, ordered_set]),
        Workers = [spawn_monitor(fun() ->
            application:set_env(tsunami, port, port()),
            [tsunami_ets:update_counter(T, n, 1, {n, 0}) || _ <- lists:seq(1, 100)]
        end) || _ <- lists:seq(1, 20)],
        [receive {'DOWN', Ref, process, Pid, Reason} -> ?assertEqual(normal, Reason) end || {Pid, Ref} <- Workers],
        ?assertEqual([{n, 2000}], tsunami:lookup(C, T, n))
    end).

many_callers_of_one_connection_test() ->
    with(fun(C) ->
        T = tsunami:new(C, t, [set]),
        Workers = [spawn_monitor(fun() -> [tsunami:insert(C, T, {{W, N}}) || N <- lists:seq(1, 100)] end)
                   || W <- lists:seq(1, 20)],
        [receive {'DOWN', Ref, process, Pid, Reason} -> ?assertEqual(normal, Reason) end || {Pid, Ref} <- Workers],
        ?assertEqual(2000, tsunami:info(C, T, size))
    end).

%% ---- continuations, files

continuations_test() ->
    with(fun(C) ->
        [begin
            T = tsunami:new(C, t, [Type]),
            true = tsunami:insert(C, T, [{N} || N <- lists:seq(1, 1000)]),
            ?assertEqual([{N} || N <- lists:seq(1, 1000)],
                         lists:sort(chunks(C, tsunami:select(C, T, [{'$1', [], ['$_']}], 300))))
         end || Type <- [set, ordered_set, bag, duplicate_bag]]
    end).

chunks(_, '$end_of_table') -> [];
chunks(C, {Objects, Continuation}) -> Objects ++ chunks(C, tsunami:select(C, Continuation)).

file(Name) -> filename:join(os:getenv("TSUNAMI_TMP", "/tmp"), "tsunami_tests_" ++ os:getpid() ++ Name).

files_test() ->
    with(fun(C) ->
        File = file(".tab"),
        T = tsunami:new(C, t, [ordered_set, {keypos, 2}]),
        true = tsunami:insert(C, T, [{a, N} || N <- lists:seq(1, 3000)]),
        ok = tsunami:tab2file(C, T, File, [{extended_info, [md5sum]}]),
        {ok, Again} = tsunami:file2tab(C, File, [{verify, true}]),
        ok = file:delete(File),
        ?assertEqual(tsunami:tab2list(C, T), tsunami:tab2list(C, Again)),
        ?assertEqual(2, tsunami:info(C, Again, keypos))
    end).

a_file_keeps_the_options_of_the_table_test() ->
    with(fun(C) ->
        File = file(".options"),
        T = tsunami:new(C, t, [bag, public, compressed, {read_concurrency, true}, {write_concurrency, auto}]),
        Written = tsunami:info(C, T),
        ok = tsunami:tab2file(C, T, File),
        {ok, Again} = tsunami:file2tab(C, File),
        ok = file:delete(File),
        [?assertEqual(proplists:get_value(Item, Written), tsunami:info(C, Again, Item))
         || Item <- [type, name, protection, compressed, read_concurrency, write_concurrency, decentralized_counters]]
    end).

a_named_table_in_a_file_test() ->
    with(fun(C) ->
        File = file(".named"),
        in_a_file = tsunami:new(C, in_a_file, [named_table]),
        true = tsunami:insert(C, in_a_file, {k, v}),
        ok = tsunami:tab2file(C, in_a_file, File),
        ?assertEqual({error, cannot_create_table}, tsunami:file2tab(C, File)),
        true = tsunami:delete(C, in_a_file),
        in_a_file = ets:new(in_a_file, [named_table]),      % a table of this node is another matter
        ?assertEqual({ok, in_a_file}, tsunami:file2tab(C, File)),
        ?assertEqual([{k, v}], tsunami:tab2list(C, in_a_file)),
        true = ets:delete(in_a_file),
        true = tsunami:delete(C, in_a_file),
        ok = file:delete(File)
    end).

a_damaged_file_test() ->
    with(fun(C) ->
        File = file(".damaged"),
        T = tsunami:new(C, t, [set]),
        true = tsunami:insert(C, T, [{N} || N <- lists:seq(1, 10)]),
        ok = tsunami:tab2file(C, T, File),
        {ok, log} = disk_log:open([{name, log}, {file, File}]),
        {_, [Head, _ | Objects]} = disk_log:chunk(log, start),
        ok = disk_log:truncate(log),
        ok = disk_log:log_terms(log, [Head | Objects]),
        ok = disk_log:close(log),
        ?assertEqual({error, invalid_object_count}, tsunami:file2tab(C, File, [{verify, true}])),
        {ok, Again} = tsunami:file2tab(C, File),
        ?assertEqual(9, tsunami:info(C, Again, size)),
        ok = file:delete(File)
    end).

no_file_test() ->
    with(fun(C) ->
        ?assertEqual({error, badtab}, tsunami:tab2file(C, no_such_table, file(".none"))),
        ?assertMatch({error, {read_error, _}}, tsunami:file2tab(C, file(".none")))
    end).

dets_test() ->
    with(fun(C) ->
        File = file(".dets"),
        {ok, d} = dets:open_file(d, [{file, File}]),
        ok = dets:insert(d, [{N, file} || N <- lists:seq(1, 2500)]),
        T = tsunami:new(C, t, [set]),
        true = tsunami:insert(C, T, [{1, table}, {a, table}]),
        true = tsunami:from_dets(C, T, d),
        ?assertEqual([{1, file}], tsunami:lookup(C, T, 1)),
        ?assertEqual([{a, table}], tsunami:lookup(C, T, a)),    % what the file does not replace stays
        ok = dets:insert(d, {b, file}),
        d = tsunami:to_dets(C, T, d),
        ?assertEqual(lists:sort(tsunami:tab2list(C, T)), lists:sort(dets:match_object(d, '_'))),
        true = tsunami:delete(C, T),
        ?assertError(badarg, tsunami:to_dets(C, T, d)),
        ?assertEqual(2501, dets:info(d, size)),
        ok = dets:delete_all_objects(d),
        ?assertError(badarg, tsunami:from_dets(C, T, d)),
        ok = dets:close(d),
        ok = file:delete(File)
    end).

a_fold_sees_what_its_fun_writes_test() ->
    with(fun(C) ->
        T = tsunami:new(C, t, [ordered_set]),
        true = tsunami:insert(C, T, [{1}, {2}]),
        Up = fun({N}, Seen) -> N < 5 andalso tsunami:insert(C, T, {N + 1}), [N | Seen] end,
        ?assertEqual([5, 4, 3, 2, 1], tsunami:foldl(C, Up, [], T))
    end).

queries_test() ->
    with(fun(C) ->
        [begin
            T = tsunami:new(C, t, [Type]),
            true = tsunami:insert(C, T, [{N, N rem 3} || N <- lists:seq(1, 2500)]),
            [begin
                H = tsunami:table(C, T, {traverse, Traverse}),
                ?assertEqual(lists:seq(3, 2500, 3), lists:sort(qlc:e(qlc:q([K || {K, 0} <- H])))),
                ?assertEqual([{7, 1}], qlc:e(qlc:q([O || {K, _} = O <- H, K =:= 7])))
             end || Traverse <- [select, first_next, last_prev, {select, [{'$1', [], ['$1']}]}]],
            H = tsunami:table(C, T, [{n_objects, 100}]),
            ?assertEqual([2, 2], qlc:e(qlc:q([B || {A, X} <- H, {B, Y} <- H, A < 3, B =:= X + 1, Y =:= 2]))
                         ++ qlc:e(qlc:q([K || {K, _} <- H, K =:= 2]))),
            ?assertEqual(false, tsunami:info(C, T, fixed)),
            ?assertError(badarg, tsunami:table(C, T, [{n_objects, 0}])),
            ?assertError(badarg, tsunami:table(C, T, [{traverse, sideways}]))
         end || Type <- [set, ordered_set, bag, duplicate_bag]]
    end).

init_table_closes_what_it_cannot_insert_test() ->
    with(fun(C) ->
        T = tsunami:new(C, t, [set]),
        Me = self(),
        Init = fun(read) -> {[no_object], fun(close) -> Me ! closed end} end,
        ?assertExit({badarg, _}, tsunami:init_table(C, T, Init)),
        receive closed -> ok after 0 -> error(not_closed) end,
        ?assertExit(nonsense, tsunami:init_table(C, T, fun(read) -> nonsense end))
    end).

init_table_test() ->
    with(fun(C) ->
        T = tsunami:new(C, t, [set]),
        true = tsunami:insert(C, T, {old}),
        Init = fun(read) -> {[{1}, {2}], fun(read) -> end_of_input end} end,
        true = tsunami:init_table(C, T, Init),
        ?assertEqual([{1}, {2}], lists:sort(tsunami:tab2list(C, T)))
    end).
