%% @doc The `ets' API over a Tsunami server. Each function is `ets'' own with the connection before its arguments:
%%
%% ```
%% {ok, C} = tsunami:open(#{host => "127.0.0.1", port => 6379}),
%% users = tsunami:new(C, users, [named_table, public, ordered_set]),
%% true = tsunami:insert(C, users, {1, <<"alice">>, 30}),
%% [{1, <<"alice">>, 30}] = tsunami:lookup(C, users, 1).
%% '''
%%
%% Arguments, results and failures are those of `ets' in OTP 27. A table belongs to the process that opened the
%% connection; see `tsunami_conn'. For code that calls `ets' by name there is `tsunami_ets', with the same arities.
-module(tsunami).

-export([open/1, close/1]).
-export([
    all/1, delete/2, delete/3, delete_all_objects/2, delete_object/3, first/2, first_lookup/2, last/2,
    last_lookup/2, next/3, next_lookup/3, prev/3, prev_lookup/3, give_away/4, info/2, info/3, insert/3,
    insert_new/3, is_compiled_ms/2, lookup/3, lookup_element/4, lookup_element/5, match/2, match/3, match/4,
    match_delete/3, match_object/2, match_object/3, match_object/4, match_spec_compile/2, match_spec_run/3,
    member/3, new/3, rename/3, repair_continuation/3, safe_fixtable/3, select/2, select/3, select/4,
    select_count/3, select_delete/3, select_replace/3, select_reverse/2, select_reverse/3, select_reverse/4,
    setopts/3, slot/3, tab2list/2, take/3, test_ms/3, update_counter/4, update_counter/5, update_element/4,
    update_element/5, whereis/2, foldl/4, foldr/4, init_table/3, tab2file/3, tab2file/4, file2tab/2,
    file2tab/3, tabfile_info/2, to_dets/3, from_dets/3, table/2, table/3, i/1
]).

-export_type([conn/0, tab/0]).

-type conn() :: tsunami_conn:conn().
-type tab() :: atom() | reference().

%% @doc Open a connection that plays the part of the calling process at the server.
-spec open(tsunami_conn:options()) -> {ok, conn()} | {error, term()}.
open(Options) -> tsunami_conn:open(Options).

%% @doc End it: tables go to their heirs or are deleted before this returns.
-spec close(conn()) -> ok.
close(Conn) -> tsunami_conn:close(Conn).

%% ---- the functions that the server has

-spec all(conn()) -> term().
all(Conn) -> tsunami_conn:call(Conn, all, []).

-spec delete(conn(), term()) -> term().
delete(Conn, Tab) -> tsunami_conn:call(Conn, delete, [Tab]).

-spec delete(conn(), term(), term()) -> term().
delete(Conn, Tab, Key) -> tsunami_conn:call(Conn, delete, [Tab, Key]).

-spec delete_all_objects(conn(), term()) -> term().
delete_all_objects(Conn, Tab) -> tsunami_conn:call(Conn, delete_all_objects, [Tab]).

-spec delete_object(conn(), term(), term()) -> term().
delete_object(Conn, Tab, Object) -> tsunami_conn:call(Conn, delete_object, [Tab, Object]).

-spec first(conn(), term()) -> term().
first(Conn, Tab) -> tsunami_conn:call(Conn, first, [Tab]).

-spec first_lookup(conn(), term()) -> term().
first_lookup(Conn, Tab) -> tsunami_conn:call(Conn, first_lookup, [Tab]).

-spec last(conn(), term()) -> term().
last(Conn, Tab) -> tsunami_conn:call(Conn, last, [Tab]).

-spec last_lookup(conn(), term()) -> term().
last_lookup(Conn, Tab) -> tsunami_conn:call(Conn, last_lookup, [Tab]).

-spec next(conn(), term(), term()) -> term().
next(Conn, Tab, Key) -> tsunami_conn:call(Conn, next, [Tab, Key]).

-spec next_lookup(conn(), term(), term()) -> term().
next_lookup(Conn, Tab, Key) -> tsunami_conn:call(Conn, next_lookup, [Tab, Key]).

-spec prev(conn(), term(), term()) -> term().
prev(Conn, Tab, Key) -> tsunami_conn:call(Conn, prev, [Tab, Key]).

-spec prev_lookup(conn(), term(), term()) -> term().
prev_lookup(Conn, Tab, Key) -> tsunami_conn:call(Conn, prev_lookup, [Tab, Key]).

-spec give_away(conn(), term(), term(), term()) -> term().
give_away(Conn, Tab, Pid, Gift) -> tsunami_conn:call(Conn, give_away, [Tab, Pid, Gift]).

-spec info(conn(), term()) -> term().
info(Conn, Tab) -> tsunami_conn:call(Conn, info, [Tab]).

-spec info(conn(), term(), term()) -> term().
info(Conn, Tab, Item) -> tsunami_conn:call(Conn, info, [Tab, Item]).

-spec insert(conn(), term(), term()) -> term().
insert(Conn, Tab, Objects) -> tsunami_conn:call(Conn, insert, [Tab, Objects]).

-spec insert_new(conn(), term(), term()) -> term().
insert_new(Conn, Tab, Objects) -> tsunami_conn:call(Conn, insert_new, [Tab, Objects]).

-spec is_compiled_ms(conn(), term()) -> term().
is_compiled_ms(Conn, Term) -> tsunami_conn:call(Conn, is_compiled_ms, [Term]).

-spec lookup(conn(), term(), term()) -> term().
lookup(Conn, Tab, Key) -> tsunami_conn:call(Conn, lookup, [Tab, Key]).

-spec lookup_element(conn(), term(), term(), term()) -> term().
lookup_element(Conn, Tab, Key, Pos) -> tsunami_conn:call(Conn, lookup_element, [Tab, Key, Pos]).

-spec lookup_element(conn(), term(), term(), term(), term()) -> term().
lookup_element(Conn, Tab, Key, Pos, Default) -> tsunami_conn:call(Conn, lookup_element, [Tab, Key, Pos, Default]).

-spec match(conn(), term()) -> term().
match(Conn, Continuation) -> tsunami_conn:call(Conn, match, [Continuation]).

-spec match(conn(), term(), term()) -> term().
match(Conn, Tab, Pattern) -> tsunami_conn:call(Conn, match, [Tab, Pattern]).

-spec match(conn(), term(), term(), term()) -> term().
match(Conn, Tab, Pattern, Limit) -> tsunami_conn:call(Conn, match, [Tab, Pattern, Limit]).

-spec match_delete(conn(), term(), term()) -> term().
match_delete(Conn, Tab, Pattern) -> tsunami_conn:call(Conn, match_delete, [Tab, Pattern]).

-spec match_object(conn(), term()) -> term().
match_object(Conn, Continuation) -> tsunami_conn:call(Conn, match_object, [Continuation]).

-spec match_object(conn(), term(), term()) -> term().
match_object(Conn, Tab, Pattern) -> tsunami_conn:call(Conn, match_object, [Tab, Pattern]).

-spec match_object(conn(), term(), term(), term()) -> term().
match_object(Conn, Tab, Pattern, Limit) -> tsunami_conn:call(Conn, match_object, [Tab, Pattern, Limit]).

-spec match_spec_compile(conn(), term()) -> term().
match_spec_compile(Conn, Spec) -> tsunami_conn:call(Conn, match_spec_compile, [Spec]).

-spec match_spec_run(conn(), term(), term()) -> term().
match_spec_run(Conn, Terms, Compiled) -> tsunami_conn:call(Conn, match_spec_run, [Terms, Compiled]).

-spec member(conn(), term(), term()) -> term().
member(Conn, Tab, Key) -> tsunami_conn:call(Conn, member, [Tab, Key]).

-spec new(conn(), term(), term()) -> term().
new(Conn, Name, Options) -> tsunami_conn:call(Conn, new, [Name, Options]).

-spec rename(conn(), term(), term()) -> term().
rename(Conn, Tab, Name) -> tsunami_conn:call(Conn, rename, [Tab, Name]).

-spec repair_continuation(conn(), term(), term()) -> term().
repair_continuation(Conn, Continuation, Spec) -> tsunami_conn:call(Conn, repair_continuation, [Continuation, Spec]).

-spec safe_fixtable(conn(), term(), term()) -> term().
safe_fixtable(Conn, Tab, Fix) -> tsunami_conn:call(Conn, safe_fixtable, [Tab, Fix]).

-spec select(conn(), term()) -> term().
select(Conn, Continuation) -> tsunami_conn:call(Conn, select, [Continuation]).

-spec select(conn(), term(), term()) -> term().
select(Conn, Tab, Spec) -> tsunami_conn:call(Conn, select, [Tab, Spec]).

-spec select(conn(), term(), term(), term()) -> term().
select(Conn, Tab, Spec, Limit) -> tsunami_conn:call(Conn, select, [Tab, Spec, Limit]).

-spec select_count(conn(), term(), term()) -> term().
select_count(Conn, Tab, Spec) -> tsunami_conn:call(Conn, select_count, [Tab, Spec]).

-spec select_delete(conn(), term(), term()) -> term().
select_delete(Conn, Tab, Spec) -> tsunami_conn:call(Conn, select_delete, [Tab, Spec]).

-spec select_replace(conn(), term(), term()) -> term().
select_replace(Conn, Tab, Spec) -> tsunami_conn:call(Conn, select_replace, [Tab, Spec]).

-spec select_reverse(conn(), term()) -> term().
select_reverse(Conn, Continuation) -> tsunami_conn:call(Conn, select_reverse, [Continuation]).

-spec select_reverse(conn(), term(), term()) -> term().
select_reverse(Conn, Tab, Spec) -> tsunami_conn:call(Conn, select_reverse, [Tab, Spec]).

-spec select_reverse(conn(), term(), term(), term()) -> term().
select_reverse(Conn, Tab, Spec, Limit) -> tsunami_conn:call(Conn, select_reverse, [Tab, Spec, Limit]).

-spec setopts(conn(), term(), term()) -> term().
setopts(Conn, Tab, Options) -> tsunami_conn:call(Conn, setopts, [Tab, Options]).

-spec slot(conn(), term(), term()) -> term().
slot(Conn, Tab, Index) -> tsunami_conn:call(Conn, slot, [Tab, Index]).

-spec tab2list(conn(), term()) -> term().
tab2list(Conn, Tab) -> tsunami_conn:call(Conn, tab2list, [Tab]).

-spec take(conn(), term(), term()) -> term().
take(Conn, Tab, Key) -> tsunami_conn:call(Conn, take, [Tab, Key]).

-spec test_ms(conn(), term(), term()) -> term().
test_ms(Conn, Term, Spec) -> tsunami_conn:call(Conn, test_ms, [Term, Spec]).

-spec update_counter(conn(), term(), term(), term()) -> term().
update_counter(Conn, Tab, Key, What) -> tsunami_conn:call(Conn, update_counter, [Tab, Key, What]).

-spec update_counter(conn(), term(), term(), term(), term()) -> term().
update_counter(Conn, Tab, Key, What, Default) -> tsunami_conn:call(Conn, update_counter, [Tab, Key, What, Default]).

-spec update_element(conn(), term(), term(), term()) -> term().
update_element(Conn, Tab, Key, What) -> tsunami_conn:call(Conn, update_element, [Tab, Key, What]).

-spec update_element(conn(), term(), term(), term(), term()) -> term().
update_element(Conn, Tab, Key, What, Default) -> tsunami_conn:call(Conn, update_element, [Tab, Key, What, Default]).

-spec whereis(conn(), term()) -> term().
whereis(Conn, Name) -> tsunami_conn:call(Conn, whereis, [Name]).

%% ---- the functions that take funs or files of this side: made out of the others

%% @doc Fold over all objects, first to last. The table is fixed meanwhile.
-spec foldl(conn(), fun((term(), Acc) -> Acc), Acc, tab()) -> Acc.
foldl(Conn, Fun, Acc, Tab) ->
    fixed(Conn, Tab, fun() ->
        fold(Conn, Tab, first_lookup(Conn, Tab), fun next_lookup/3, fun lists:foldl/3, Fun, Acc)
    end).

-spec foldr(conn(), fun((term(), Acc) -> Acc), Acc, tab()) -> Acc.
foldr(Conn, Fun, Acc, Tab) ->
    fixed(Conn, Tab, fun() ->
        fold(Conn, Tab, last_lookup(Conn, Tab), fun prev_lookup/3, fun lists:foldr/3, Fun, Acc)
    end).

fold(_, _, '$end_of_table', _, _, _, Acc) ->
    Acc;
fold(Conn, Tab, {Key, Objects}, Step, Each, Fun, Acc) ->
    Next = Each(Fun, Acc, Objects),
    fold(Conn, Tab, Step(Conn, Tab, Key), Step, Each, Fun, Next).

fixed(Conn, Tab, Work) ->
    true = safe_fixtable(Conn, Tab, true),
    try Work()
    after safe_fixtable(Conn, Tab, false)
    end.

%% All objects, a piece at a time: for copies, which run none of the caller's code on the way. A fold, which does, goes
%% from key to key, so that it sees what its fun has just written.
each_piece(Conn, Tab, Work) ->
    fixed(Conn, Tab, fun() -> piece(Conn, match_object(Conn, Tab, '_', 1000), Work) end).

piece(_, '$end_of_table', _) ->
    ok;
piece(Conn, {Objects, Continuation}, Work) ->
    _ = Work(Objects),
    piece(Conn, match_object(Conn, Continuation), Work).

%% @doc Replace the contents by what an init function gives, as `ets:init_table/2'.
-spec init_table(conn(), tab(), fun((read | close) -> end_of_input | {[tuple()], fun()} | term())) -> true.
init_table(Conn, Tab, Init) ->
    true = delete_all_objects(Conn, Tab),
    filled(Conn, Tab, Init(read)).

filled(_, _, end_of_input) ->
    true;
filled(Conn, Tab, {Objects, Init}) when is_list(Objects), is_function(Init) ->
    try insert(Conn, Tab, Objects)
    catch error:Reason:Stack ->
        catch Init(close),
        exit({Reason, Stack})
    end,
    filled(Conn, Tab, Init(read));
filled(_, _, Other) ->
    exit(Other).

%% @doc Write the table to a file of this node, which `ets:file2tab/1' can read.
-spec tab2file(conn(), tab(), file:name()) -> ok | {error, term()}.
tab2file(Conn, Tab, File) -> tab2file(Conn, Tab, File, []).

-spec tab2file(conn(), tab(), file:name(), [term()]) -> ok | {error, term()}.
tab2file(Conn, Tab, File, Options) ->
    case info(Conn, Tab) of
        undefined ->
            {error, badtab};
        Info ->
            Copy = copy(Conn, Tab, maps:from_list(Info)),
            try ets:tab2file(Copy, File, Options)
            after ets:delete(Copy)
            end
    end.

%% The file says of the table what this copy is. A table of the same name here would be in the way of a named copy: then
%% the copy is not named.
copy(Conn, Tab, #{name := Name, named_table := Named} = Info) ->
    Free = Named andalso ets:whereis(Name) =:= undefined,
    Copy = ets:new(Name, [named_table || Free] ++ options(Info)),
    try each_piece(Conn, Tab, fun(Objects) -> ets:insert(Copy, Objects) end) of
        ok -> Copy
    catch Class:Reason:Stack ->
        ets:delete(Copy),
        erlang:raise(Class, Reason, Stack)
    end.

%% The options of a table like the one that this tells of. A file of an old OTP does not tell the last three.
options(#{type := Type, keypos := Position, protection := Protection} = Info) ->
    [Type, {keypos, Position}, Protection] ++ [compressed || #{compressed := true} <- [Info]]
        ++ [Option || {Name, _} = Option <- maps:to_list(Info),
                      lists:member(Name, [read_concurrency, write_concurrency])].

%% @doc Make the table that a file of this node holds.
-spec file2tab(conn(), file:name()) -> {ok, tab()} | {error, term()}.
file2tab(Conn, File) -> file2tab(Conn, File, []).

-spec file2tab(conn(), file:name(), [term()]) -> {ok, tab()} | {error, term()}.
file2tab(Conn, File, Options) ->
    case ets:tabfile_info(File) of
        {ok, _} -> read(Conn, File, Options, head(File));
        Error -> Error
    end.

%% All that the head of a file tells; `ets:tabfile_info/1' leaves some of it out.
head(File) ->
    Log = make_ref(),
    {ok, Log} = disk_log:open([{name, Log}, {file, File}, {mode, read_only}]),
    {_, [Head | _]} = disk_log:chunk(Log, start, 1),
    ok = disk_log:close(Log),
    maps:from_list([Pair || {_, _} = Pair <- tuple_to_list(Head)]).

%% The file is read into a table of this node that has no name, whatever the file says: `users' here need not be in the way
%% of `users' there.
read(Conn, File, Options, #{type := Type, keypos := Position} = Head) ->
    Local = ets:new(tsunami, [Type, {keypos, Position}, private]),
    try ets:file2tab(File, [{table, Local} | Options]) of
        {ok, Local} -> sent(Conn, Local, Head);
        Error -> Error
    after
        catch ets:delete(Local)         % ets has deleted it already if the file proved to be damaged
    end.

sent(Conn, Local, #{name := Name, named_table := Named} = Head) ->
    try new(Conn, Name, [named_table || Named] ++ options(Head)) of
        Tab -> pieces(Conn, Tab, ets:match_object(Local, '_', 1000))
    catch
        error:badarg -> {error, cannot_create_table}
    end.

pieces(_, Tab, '$end_of_table') ->
    {ok, Tab};
pieces(Conn, Tab, {Objects, Continuation}) ->
    true = insert(Conn, Tab, Objects),
    pieces(Conn, Tab, ets:match_object(Continuation)).

%% @doc What a file of this node tells of the table that it holds.
-spec tabfile_info(conn(), file:name()) -> {ok, [tuple()]} | {error, term()}.
tabfile_info(_, File) -> ets:tabfile_info(File).

%% @doc A handle of the table for query list comprehensions, as `ets:table/1,2'.
-spec table(conn(), tab()) -> qlc:query_handle().
table(Conn, Tab) -> tsunami_qlc:table(Conn, Tab, []).

-spec table(conn(), tab(), tsunami_qlc:option() | [tsunami_qlc:option()]) -> qlc:query_handle().
table(Conn, Tab, Options) -> tsunami_qlc:table(Conn, Tab, Options).

%% @doc Replace the contents of a Dets table by those of a table.
-spec to_dets(conn(), tab(), dets:tab_name()) -> dets:tab_name().
to_dets(Conn, Tab, Dets) ->
    fixed(Conn, Tab, fun() ->                       % fails without the table: then the file keeps what it has
        ok = dets:delete_all_objects(Dets),
        ok = piece(Conn, match_object(Conn, Tab, '_', 1000), fun(Objects) -> ok = dets:insert(Dets, Objects) end)
    end),
    Dets.

%% @doc Insert what a Dets table holds. What is in the table already stays, unless it is replaced.
-spec from_dets(conn(), tab(), dets:tab_name()) -> true.
from_dets(Conn, Tab, Dets) ->
    true = insert(Conn, Tab, []),                   % fails without the table, even if there is nothing to insert
    ok = dets:safe_fixtable(Dets, true),
    try from_pieces(Conn, Tab, dets:match_object(Dets, '_', 1000))
    after dets:safe_fixtable(Dets, false)
    end.

from_pieces(_, _, '$end_of_table') ->
    true;
from_pieces(_, _, {error, Reason}) ->
    erlang:error(Reason);
from_pieces(Conn, Tab, {Objects, Continuation}) ->
    true = insert(Conn, Tab, Objects),
    from_pieces(Conn, Tab, dets:match_object(Continuation)).

%% @doc Print the server's tables.
-spec i(conn()) -> ok.
i(Conn) ->
    io:format(" ~-22ts ~-16ts ~-13s ~-9s ~-12s ~ts~n", ["id", "name", "type", "size", "mem", "owner"]),
    io:format(" ~s~n", [lists:duplicate(78, $-)]),
    lists:foreach(fun(Tab) -> line(Tab, info(Conn, Tab)) end, all(Conn)).

line(_, undefined) ->
    ok;
line(Tab, Info) ->
    [Name, Type, Size, Memory, Owner] = [proplists:get_value(Item, Info) || Item <- [name, type, size, memory, owner]],
    io:format(" ~-22ts ~-16ts ~-13w ~-9w ~-12w ~tw~n",
              [io_lib:format("~tw", [Tab]), io_lib:format("~tw", [Name]), Type, Size, Memory, Owner]).
