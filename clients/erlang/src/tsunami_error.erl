%% @doc What the shell says beside a badarg: the same that it says for ets.
-module(tsunami_error).

-export([format_error/2]).

-spec format_error(term(), [tuple()]) -> #{pos_integer() | general => unicode:chardata()}.
format_error(_Reason, [{_M, _F, _As, Info} | _]) ->
    #{cause := Cause} = proplists:get_value(error_info, Info, #{cause => none}),
    told(Cause).

told(type) -> #{1 => <<"not an atom or a table identifier">>};
told(id) -> #{1 => <<"the table identifier does not refer to an existing table">>};
told(access) -> #{1 => <<"the table identifier refers to a table with insufficient access rights">>};
told(badkey) -> #{2 => <<"not a key that exists in the table">>};
told(position) -> #{3 => <<"not a position in the object">>};
told(keypos) -> #{3 => <<"the position of the key, which cannot be updated">>};
told(table_type) -> #{1 => <<"the table type is not supported by this function">>};
told(owner) -> #{2 => <<"the process is the owner of the table already">>};
told(not_owner) -> #{1 => <<"the calling process is not the owner of the table">>};
told(already_exists) -> #{1 => <<"a table of this name exists already">>};
told(_) -> #{}.
