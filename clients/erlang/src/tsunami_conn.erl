%% @doc One connection: the part of one Erlang process at the server.
%%
%% A connection belongs to the process that opened it, its owner, and is that process to the server: tables made over it
%% are the owner's, and what the server sends to the owner (`{'ETS-TRANSFER', Tab, From, Data}') arrives in the owner's
%% mailbox. When the owner ends, for whatever reason, the connection ends, and the server lets its tables go to their
%% heirs or deletes them, as ETS does.
%%
%% Several processes may call over one connection. Requests are sent at once and answered in their order, so many can
%% be under way.
%%
%% What must stay true:
%%  1. `waiting' holds exactly the callers whose replies have not come, oldest first.
%%  2. A push is given to the owner before the reply that came after it is given to its caller.
-module(tsunami_conn).
-behaviour(gen_server).

-export([open/1, close/1, call/3, request/2, owner/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).
-export_type([conn/0, options/0]).

-type conn() :: pid().
-type options() :: #{
    host => inet:hostname() | inet:ip_address(),
    port => inet:port_number(),
    timeout => timeout(),                       % for connecting; calls wait as long as they take
    password => iodata()
}.

-record(state, {
    socket :: gen_tcp:socket(),
    owner :: pid(),
    monitor :: reference(),
    waiting = queue:new() :: queue:queue(gen_server:from()),
    pieces = [] :: [binary()],                  % received and not yet decoded, newest first
    size = 0 :: non_neg_integer(),
    need = 1 :: pos_integer()                   % decoding makes no sense before so many bytes are there
}).

%% @doc Open a connection that plays the part of the calling process.
-spec open(options()) -> {ok, conn()} | {error, term()}.
open(Options) ->
    case dial(Options) of
        {ok, Socket} ->
            {ok, Conn} = gen_server:start(?MODULE, {self(), Socket}, []),
            ok = gen_tcp:controlling_process(Socket, Conn),
            ok = gen_server:cast(Conn, listen),
            {ok, Conn};
        Error ->
            Error
    end.

%% @doc End a connection. When this returns, its tables have gone to their heirs or have been deleted.
-spec close(conn()) -> ok.
close(Conn) ->
    try
        {ok, _} = gen_server:call(Conn, close, infinity),
        ok
    catch exit:{Reason, _} when Reason =:= noproc; Reason =:= normal -> ok
    end.

%% @doc Call a function of ets. Fails as it does.
-spec call(conn(), atom(), [term()]) -> term().
call(Conn, Function, Args) ->
    Words = [<<"ETS.CALL">>, atom_to_binary(Function), term_to_iovec(Args, [{minor_version, 2}])],
    case request(Conn, Words) of
        {bulk, Reply} -> binary_to_term(Reply);
        {error, Text} -> fail(Text, Function, Args);
        Other -> erlang:error({tsunami, Other}, Args)
    end.

%% @doc Send a request and wait for its reply.
-spec request(conn(), [iodata()]) -> tsunami_resp:reply().
request(Conn, Words) ->
    try gen_server:call(Conn, {request, tsunami_resp:request(Words)}, infinity)
    catch exit:{Reason, _} -> erlang:error({tsunami, {closed, Reason}})
    end.

%% @doc The process whose part this connection plays.
-spec owner(conn()) -> pid().
owner(Conn) ->
    gen_server:call(Conn, owner, infinity).

-spec fail(binary(), atom(), [term()]) -> no_return().
fail(Text, Function, Args) ->
    case binary:split(Text, <<" ">>) of
        [<<"BADARG">>] -> raise(badarg, Function, Args, []);
        [<<"BADARG">>, Cause] ->
            raise(badarg, Function, Args, [{error_info, #{cause => cause(Cause), module => tsunami_error}}]);
        [<<"SYSTEM_LIMIT">> | _] -> raise(system_limit, Function, Args, []);
        [<<"UNDEF">> | _] -> raise(undef, Function, Args, []);
        _ -> raise({tsunami, Text}, Function, Args, [])
    end.

%% The failure as one of the function that was called, with its arguments: not of this module, where it comes to light.
-spec raise(term(), atom(), [term()], [tuple()]) -> no_return().
raise(Reason, Function, Args, Info) ->
    try erlang:error(Reason)
    catch error:Reason:Stack -> erlang:raise(error, Reason, [{tsunami_ets, Function, Args, Info} | tl(Stack)])
    end.

%% The causes of the contract; a server that knows more cannot make atoms here.
cause(<<"type">>) -> type;
cause(<<"id">>) -> id;
cause(<<"access">>) -> access;
cause(<<"badkey">>) -> badkey;
cause(<<"position">>) -> position;
cause(<<"keypos">>) -> keypos;
cause(<<"table_type">>) -> table_type;
cause(<<"owner">>) -> owner;
cause(<<"not_owner">>) -> not_owner;
cause(<<"already_exists">>) -> already_exists;
cause(Other) -> Other.

%% ---- before the process: dialling and greeting are done by the caller, who is told what is wrong

dial(Options) ->
    Host = maps:get(host, Options, "127.0.0.1"),
    Port = maps:get(port, Options, 6379),
    Timeout = maps:get(timeout, Options, 5000),
    case gen_tcp:connect(Host, Port, socket_options(), Timeout) of
        {ok, Socket} -> greet(Socket, Options, Timeout);
        Error -> Error
    end.

%% A large reply comes in pieces of `buffer', each a message: with the default of 1460 bytes it takes twice as long.
socket_options() -> [binary, {active, false}, {nodelay, true}, {packet, raw}, {buffer, 65536}].

greet(Socket, Options, Timeout) ->
    Auth = [[<<"AUTH">>, maps:get(password, Options)] || maps:is_key(password, Options)],
    Hello = [<<"ETS.HELLO">>, term_to_binary(self(), [{minor_version, 2}])],
    case greetings(Socket, Auth ++ [Hello], Timeout) of
        ok -> {ok, Socket};
        Error -> ok = gen_tcp:close(Socket), Error
    end.

greetings(_, [], _) ->
    ok;
greetings(Socket, [Words | More], Timeout) ->
    case gen_tcp:send(Socket, tsunami_resp:request(Words)) of
        ok ->
            case first_reply(Socket, <<>>, Timeout) of
                {ok, _} -> greetings(Socket, More, Timeout);
                Error -> Error
            end;
        Error ->
            Error
    end.

first_reply(Socket, Buffer, Timeout) ->
    case tsunami_resp:decode(Buffer) of
        {{ok, Line}, <<>>} -> {ok, Line};
        {{error, Text}, _} -> {error, {tsunami, Text}};
        {more, _} ->
            case gen_tcp:recv(Socket, 0, Timeout) of
                {ok, Data} -> first_reply(Socket, <<Buffer/binary, Data/binary>>, Timeout);
                Error -> Error
            end
    end.

%% ---- the process

-spec init({pid(), gen_tcp:socket()}) -> {ok, #state{}}.
init({Owner, Socket}) ->
    {ok, #state{socket = Socket, owner = Owner, monitor = monitor(process, Owner)}}.

-spec handle_call(term(), gen_server:from(), #state{}) ->
    {reply, term(), #state{}} | {noreply, #state{}} | {stop, term(), #state{}}.
handle_call({request, Data}, From, State) ->
    send(Data, From, State);
handle_call(close, From, State) ->
    send(tsunami_resp:request([<<"ETS.BYE">>]), From, State);
handle_call(owner, _From, State) ->
    {reply, State#state.owner, State}.

send(Data, From, #state{socket = Socket, waiting = Waiting} = State) ->
    case gen_tcp:send(Socket, Data) of
        ok -> {noreply, State#state{waiting = queue:in(From, Waiting)}};
        {error, Reason} -> {stop, {shutdown, Reason}, State}
    end.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast(listen, State) ->
    ok = inet:setopts(State#state.socket, [{active, 100}]),
    {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}} | {stop, term(), #state{}}.
handle_info({tcp, Socket, Data}, #state{socket = Socket} = State) ->
    {noreply, received(Data, State)};
handle_info({tcp_passive, Socket}, #state{socket = Socket} = State) ->
    ok = inet:setopts(Socket, [{active, 100}]),
    {noreply, State};
handle_info({tcp_closed, Socket}, #state{socket = Socket} = State) ->
    {stop, normal, State};
handle_info({tcp_error, Socket, Reason}, #state{socket = Socket} = State) ->
    {stop, {shutdown, Reason}, State};
handle_info({'DOWN', Monitor, process, _, _}, #state{monitor = Monitor} = State) ->
    {stop, normal, State};
handle_info(_, State) ->
    {noreply, State}.

-spec terminate(term(), #state{}) -> ok.
terminate(_, #state{socket = Socket}) ->
    gen_tcp:close(Socket).

received(Data, #state{pieces = Pieces, size = Size, need = Need} = State) ->
    case Size + byte_size(Data) of
        Enough when Enough >= Need ->
            decode(iolist_to_binary(lists:reverse(Pieces, [Data])), State);
        Less ->
            State#state{pieces = [Data | Pieces], size = Less}
    end.

decode(Buffer, State) ->
    case tsunami_resp:decode(Buffer) of
        {more, More} ->
            State#state{pieces = [Buffer], size = byte_size(Buffer), need = byte_size(Buffer) + More};
        {{push, Push}, Rest} ->
            pushed(Push, State),
            decode(Rest, State);
        {Reply, Rest} ->
            {{value, From}, Waiting} = queue:out(State#state.waiting),
            gen_server:reply(From, Reply),
            decode(Rest, State#state{waiting = Waiting})
    end.

pushed([{bulk, <<"ETS-TRANSFER">>}, {bulk, Message}], #state{owner = Owner}) ->
    Owner ! binary_to_term(Message),
    ok;
pushed(_, _) ->
    ok.
