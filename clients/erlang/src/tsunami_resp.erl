%% @doc RESP, as far as Tsunami's Erlang door needs it: requests out, replies and pushes in.
%%
%% What it is: a pure encoder and an incremental decoder. What it is not: it knows no socket, no process and no term
%% format.
%%
%% What must stay true: `decode/1' takes nothing from a buffer that holds no whole reply, so feeding it a reply in any
%% pieces gives what feeding it whole gives. A bulk of which only a part has come is told with its length, so that the
%% caller can gather pieces without looking at them again.
-module(tsunami_resp).

-export([request/1, decode/1]).
-export_type([reply/0]).

-type reply() :: {ok, binary()} | {bulk, binary()} | {error, binary()} | {push, [reply()]}
    | {integer, integer()} | {array, [reply()]} | null.

%% @doc A request: an array of bulk strings.
-spec request([iodata()]) -> iodata().
request(Words) ->
    [$*, integer_to_binary(length(Words)), "\r\n" | [bulk(Word) || Word <- Words]].

bulk(Word) ->
    [$$, integer_to_binary(iolist_size(Word)), "\r\n", Word, "\r\n"].

%% @doc The first whole reply of a buffer and what is behind it; `{more, N}' if there is none yet: at least N more bytes
%% are needed.
-spec decode(binary()) -> {reply(), binary()} | {more, pos_integer()}.
decode(<<>>) ->
    {more, 1};
decode(<<Type, Rest/binary>>) ->
    case binary:match(Rest, <<"\r\n">>) of
        nomatch ->
            {more, 1};
        {At, 2} ->
            <<Line:At/binary, "\r\n", Tail/binary>> = Rest,
            decode(Type, Line, Tail)
    end.

decode($+, Line, Tail) -> {{ok, Line}, Tail};
decode($-, Line, Tail) -> {{error, Line}, Tail};
decode($:, Line, Tail) -> {{integer, binary_to_integer(Line)}, Tail};
decode($_, _, Tail) -> {null, Tail};
decode($$, <<"-1">>, Tail) -> {null, Tail};
decode($$, Line, Tail) ->
    Size = binary_to_integer(Line),
    case Tail of
        <<Bulk:Size/binary, "\r\n", After/binary>> -> {{bulk, Bulk}, After};
        _ -> {more, Size + 2 - byte_size(Tail)}
    end;
decode($*, Line, Tail) -> elements(array, binary_to_integer(Line), Tail, []);
decode($>, Line, Tail) -> elements(push, binary_to_integer(Line), Tail, []).

elements(Kind, 0, Tail, Done) ->
    {{Kind, lists:reverse(Done)}, Tail};
elements(Kind, N, Tail, Done) ->
    case decode(Tail) of
        {more, More} -> {more, More};
        {Element, After} -> elements(Kind, N - 1, After, [Element | Done])
    end.
