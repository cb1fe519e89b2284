%% @doc `ets' itself, over a Tsunami server: the same functions with the same arities.
%%
%% Each process that calls has a connection of its own, opened at its first call and closed when it ends, which plays
%% its part at the server: so tables, rights, heirs and fixations are those of processes, as in `ets'. Where the server
%% is stands in the application's environment: `{tsunami, [{host, "127.0.0.1"}, {port, 6379}]}'.
-module(tsunami_ets).

-export([connection/0]).
-export([
    all/0, delete/1, delete/2, delete_all_objects/1, delete_object/2, first/1, first_lookup/1, last/1,
    last_lookup/1, next/2, next_lookup/2, prev/2, prev_lookup/2, give_away/3, info/1, info/2, insert/2,
    insert_new/2, is_compiled_ms/1, lookup/2, lookup_element/3, lookup_element/4, match/1, match/2, match/3,
    match_delete/2, match_object/1, match_object/2, match_object/3, match_spec_compile/1, match_spec_run/2,
    member/2, new/2, rename/2, repair_continuation/2, safe_fixtable/2, select/1, select/2, select/3,
    select_count/2, select_delete/2, select_replace/2, select_reverse/1, select_reverse/2, select_reverse/3,
    setopts/2, slot/2, tab2list/1, take/2, test_ms/2, update_counter/3, update_counter/4, update_element/3,
    update_element/4, whereis/1, foldl/3, foldr/3, init_table/2, tab2file/2, tab2file/3, file2tab/1,
    file2tab/2, tabfile_info/1, to_dets/2, from_dets/2, table/1, table/2, i/0
]).

%% @doc The calling process's connection.
-spec connection() -> tsunami:conn().
connection() ->
    case get('$tsunami_connection') of
        undefined -> opened();
        Conn -> case is_process_alive(Conn) of
            true -> Conn;
            false -> opened()
        end
    end.

opened() ->
    Options = maps:from_list([Pair || {Key, _} = Pair <- application:get_all_env(tsunami),
                                      lists:member(Key, [host, port, timeout, password])]),
    case tsunami_conn:open(Options) of
        {ok, Conn} -> put('$tsunami_connection', Conn), Conn;
        {error, Reason} -> erlang:error({tsunami, Reason})
    end.

-spec all() -> term().
all() -> tsunami_conn:call(connection(), all, []).

-spec delete(term()) -> term().
delete(Tab) -> tsunami_conn:call(connection(), delete, [Tab]).

-spec delete(term(), term()) -> term().
delete(Tab, Key) -> tsunami_conn:call(connection(), delete, [Tab, Key]).

-spec delete_all_objects(term()) -> term().
delete_all_objects(Tab) -> tsunami_conn:call(connection(), delete_all_objects, [Tab]).

-spec delete_object(term(), term()) -> term().
delete_object(Tab, Object) -> tsunami_conn:call(connection(), delete_object, [Tab, Object]).

-spec first(term()) -> term().
first(Tab) -> tsunami_conn:call(connection(), first, [Tab]).

-spec first_lookup(term()) -> term().
first_lookup(Tab) -> tsunami_conn:call(connection(), first_lookup, [Tab]).

-spec last(term()) -> term().
last(Tab) -> tsunami_conn:call(connection(), last, [Tab]).

-spec last_lookup(term()) -> term().
last_lookup(Tab) -> tsunami_conn:call(connection(), last_lookup, [Tab]).

-spec next(term(), term()) -> term().
next(Tab, Key) -> tsunami_conn:call(connection(), next, [Tab, Key]).

-spec next_lookup(term(), term()) -> term().
next_lookup(Tab, Key) -> tsunami_conn:call(connection(), next_lookup, [Tab, Key]).

-spec prev(term(), term()) -> term().
prev(Tab, Key) -> tsunami_conn:call(connection(), prev, [Tab, Key]).

-spec prev_lookup(term(), term()) -> term().
prev_lookup(Tab, Key) -> tsunami_conn:call(connection(), prev_lookup, [Tab, Key]).

-spec give_away(term(), term(), term()) -> term().
give_away(Tab, Pid, Gift) -> tsunami_conn:call(connection(), give_away, [Tab, Pid, Gift]).

-spec info(term()) -> term().
info(Tab) -> tsunami_conn:call(connection(), info, [Tab]).

-spec info(term(), term()) -> term().
info(Tab, Item) -> tsunami_conn:call(connection(), info, [Tab, Item]).

-spec insert(term(), term()) -> term().
insert(Tab, Objects) -> tsunami_conn:call(connection(), insert, [Tab, Objects]).

-spec insert_new(term(), term()) -> term().
insert_new(Tab, Objects) -> tsunami_conn:call(connection(), insert_new, [Tab, Objects]).

-spec is_compiled_ms(term()) -> term().
is_compiled_ms(Term) -> tsunami_conn:call(connection(), is_compiled_ms, [Term]).

-spec lookup(term(), term()) -> term().
lookup(Tab, Key) -> tsunami_conn:call(connection(), lookup, [Tab, Key]).

-spec lookup_element(term(), term(), term()) -> term().
lookup_element(Tab, Key, Pos) -> tsunami_conn:call(connection(), lookup_element, [Tab, Key, Pos]).

-spec lookup_element(term(), term(), term(), term()) -> term().
lookup_element(Tab, Key, Pos, Default) -> tsunami_conn:call(connection(), lookup_element, [Tab, Key, Pos, Default]).

-spec match(term()) -> term().
match(Continuation) -> tsunami_conn:call(connection(), match, [Continuation]).

-spec match(term(), term()) -> term().
match(Tab, Pattern) -> tsunami_conn:call(connection(), match, [Tab, Pattern]).

-spec match(term(), term(), term()) -> term().
match(Tab, Pattern, Limit) -> tsunami_conn:call(connection(), match, [Tab, Pattern, Limit]).

-spec match_delete(term(), term()) -> term().
match_delete(Tab, Pattern) -> tsunami_conn:call(connection(), match_delete, [Tab, Pattern]).

-spec match_object(term()) -> term().
match_object(Continuation) -> tsunami_conn:call(connection(), match_object, [Continuation]).

-spec match_object(term(), term()) -> term().
match_object(Tab, Pattern) -> tsunami_conn:call(connection(), match_object, [Tab, Pattern]).

-spec match_object(term(), term(), term()) -> term().
match_object(Tab, Pattern, Limit) -> tsunami_conn:call(connection(), match_object, [Tab, Pattern, Limit]).

-spec match_spec_compile(term()) -> term().
match_spec_compile(Spec) -> tsunami_conn:call(connection(), match_spec_compile, [Spec]).

-spec match_spec_run(term(), term()) -> term().
match_spec_run(Terms, Compiled) -> tsunami_conn:call(connection(), match_spec_run, [Terms, Compiled]).

-spec member(term(), term()) -> term().
member(Tab, Key) -> tsunami_conn:call(connection(), member, [Tab, Key]).

-spec new(term(), term()) -> term().
new(Name, Options) -> tsunami_conn:call(connection(), new, [Name, Options]).

-spec rename(term(), term()) -> term().
rename(Tab, Name) -> tsunami_conn:call(connection(), rename, [Tab, Name]).

-spec repair_continuation(term(), term()) -> term().
repair_continuation(Continuation, Spec) -> tsunami_conn:call(connection(), repair_continuation, [Continuation, Spec]).

-spec safe_fixtable(term(), term()) -> term().
safe_fixtable(Tab, Fix) -> tsunami_conn:call(connection(), safe_fixtable, [Tab, Fix]).

-spec select(term()) -> term().
select(Continuation) -> tsunami_conn:call(connection(), select, [Continuation]).

-spec select(term(), term()) -> term().
select(Tab, Spec) -> tsunami_conn:call(connection(), select, [Tab, Spec]).

-spec select(term(), term(), term()) -> term().
select(Tab, Spec, Limit) -> tsunami_conn:call(connection(), select, [Tab, Spec, Limit]).

-spec select_count(term(), term()) -> term().
select_count(Tab, Spec) -> tsunami_conn:call(connection(), select_count, [Tab, Spec]).

-spec select_delete(term(), term()) -> term().
select_delete(Tab, Spec) -> tsunami_conn:call(connection(), select_delete, [Tab, Spec]).

-spec select_replace(term(), term()) -> term().
select_replace(Tab, Spec) -> tsunami_conn:call(connection(), select_replace, [Tab, Spec]).

-spec select_reverse(term()) -> term().
select_reverse(Continuation) -> tsunami_conn:call(connection(), select_reverse, [Continuation]).

-spec select_reverse(term(), term()) -> term().
select_reverse(Tab, Spec) -> tsunami_conn:call(connection(), select_reverse, [Tab, Spec]).

-spec select_reverse(term(), term(), term()) -> term().
select_reverse(Tab, Spec, Limit) -> tsunami_conn:call(connection(), select_reverse, [Tab, Spec, Limit]).

-spec setopts(term(), term()) -> term().
setopts(Tab, Options) -> tsunami_conn:call(connection(), setopts, [Tab, Options]).

-spec slot(term(), term()) -> term().
slot(Tab, Index) -> tsunami_conn:call(connection(), slot, [Tab, Index]).

-spec tab2list(term()) -> term().
tab2list(Tab) -> tsunami_conn:call(connection(), tab2list, [Tab]).

-spec take(term(), term()) -> term().
take(Tab, Key) -> tsunami_conn:call(connection(), take, [Tab, Key]).

-spec test_ms(term(), term()) -> term().
test_ms(Term, Spec) -> tsunami_conn:call(connection(), test_ms, [Term, Spec]).

-spec update_counter(term(), term(), term()) -> term().
update_counter(Tab, Key, What) -> tsunami_conn:call(connection(), update_counter, [Tab, Key, What]).

-spec update_counter(term(), term(), term(), term()) -> term().
update_counter(Tab, Key, What, Default) -> tsunami_conn:call(connection(), update_counter, [Tab, Key, What, Default]).

-spec update_element(term(), term(), term()) -> term().
update_element(Tab, Key, What) -> tsunami_conn:call(connection(), update_element, [Tab, Key, What]).

-spec update_element(term(), term(), term(), term()) -> term().
update_element(Tab, Key, What, Default) -> tsunami_conn:call(connection(), update_element, [Tab, Key, What, Default]).

-spec whereis(term()) -> term().
whereis(Name) -> tsunami_conn:call(connection(), whereis, [Name]).

-spec foldl(term(), term(), term()) -> term().
foldl(Fun, Acc, Tab) -> tsunami:foldl(connection(), Fun, Acc, Tab).

-spec foldr(term(), term(), term()) -> term().
foldr(Fun, Acc, Tab) -> tsunami:foldr(connection(), Fun, Acc, Tab).

-spec init_table(term(), term()) -> term().
init_table(Tab, Init) -> tsunami:init_table(connection(), Tab, Init).

-spec tab2file(term(), term()) -> term().
tab2file(Tab, File) -> tsunami:tab2file(connection(), Tab, File).

-spec tab2file(term(), term(), term()) -> term().
tab2file(Tab, File, Options) -> tsunami:tab2file(connection(), Tab, File, Options).

-spec file2tab(term()) -> term().
file2tab(File) -> tsunami:file2tab(connection(), File).

-spec file2tab(term(), term()) -> term().
file2tab(File, Options) -> tsunami:file2tab(connection(), File, Options).

-spec tabfile_info(term()) -> term().
tabfile_info(File) -> ets:tabfile_info(File).

-spec table(term()) -> term().
table(Tab) -> tsunami:table(connection(), Tab).

-spec table(term(), term()) -> term().
table(Tab, Options) -> tsunami:table(connection(), Tab, Options).

-spec to_dets(term(), term()) -> term().
to_dets(Tab, Dets) -> tsunami:to_dets(connection(), Tab, Dets).

-spec from_dets(term(), term()) -> term().
from_dets(Tab, Dets) -> tsunami:from_dets(connection(), Tab, Dets).

-spec i() -> term().
i() -> tsunami:i(connection()).
