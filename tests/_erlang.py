"""One Erlang, at the other end of a pipe, for all tests that ask it something.

What it is: an emulator that is started once for a file of tests and answers questions (`ask(what, about)`), and a
decoder for the answers. That and the encoder of the questions (`_etf`) share no code with the engine, so that its
external term format is not judged by itself. What a question means is written in Erlang, in PROGRAM.

What it is not: a client of anything. It knows no tables of Tsunami.

Answers come *spelled*, as `_termmodel.exact_key` spells terms: two spellings are equal if and only if the terms are
=:=, no map needs a Python dict, and nothing that Erlang keeps apart is merged. Infinities and extension terms do not
exist in Erlang; whoever asks leaves them out.

Erlang before 27 takes 0.0 and -0.0 for the same: `with erlangs_zeros(erlang):` makes the model do so, too.
"""

import contextlib
import struct
from collections.abc import Iterator
from typing import Any, Final

import _etf
import _termmodel
import pytest
from _etf import encode

from tsunami import Atom

# A function from {Question, Argument} to the answer, in the external term format both.
PROGRAM: Final = r"""begin
    %% Two bytes for each pair: the order + 1 (9: it cannot be read), and =:=.
    Judge = fun(Data) ->
        try binary_to_term(Data) of
            {A, B} ->
                Order = if A == B -> 1; A < B -> 0; true -> 2 end,
                Exact = if A =:= B -> 1; true -> 0 end,
                <<Order, Exact>>
        catch
            _:_ -> <<9, 0>>
        end
    end,
    %% What a match spec makes of each term: [] or [Result]; or that it is none.
    Results = fun({Spec, Terms}) ->
        try ets:match_spec_compile(Spec) of
            Compiled -> {ok, [ets:match_spec_run([Term], Compiled) || Term <- Terms]}
        catch
            error:Reason -> {error, Reason}
        end
    end,
    %% A function of erlang applied to arguments, and the same as the body of a match spec.
    Call = fun({F, Args}) ->
        Names = [list_to_atom([$$ | integer_to_list(I)]) || I <- lists:seq(1, length(Args))],
        Spec = [{list_to_tuple(Names), [], [{{list_to_tuple([F | Names])}}]}],
        BySpec = try ets:match_spec_run([list_to_tuple(Args)], ets:match_spec_compile(Spec)) of
            [{'EXIT'}] -> 'EXIT'; [{Value}] -> {ok, Value}
        catch
            error:badarg -> none
        end,
        Applied = try {ok, apply(erlang, F, Args)} catch error:_ -> 'EXIT' end,
        {BySpec, Applied}
    end,
    %% What is wrong with a match spec, in Erlang's words.
    Mistakes = fun(Spec) ->
        case erlang:match_spec_test({}, Spec, table) of
            {error, Errors} -> [unicode:characters_to_binary(Text) || {error, Text} <- Errors];
            _ -> []
        end
    end,
    %% What select_replace makes of a table.
    Replace = fun({Type, KeyPos, Rows, Spec}) ->
        T = ets:new(t, [Type, {keypos, KeyPos}]),
        ets:insert(T, Rows),
        try {ok, ets:select_replace(T, Spec), ets:tab2list(T)}
        catch error:Reason -> {error, Reason}
        after ets:delete(T) end
    end,
    %% One call after the other of a new table: what each came to. Continuations are kept under numbers.
    Cause = fun
        ([{_, _, _, Info} | _]) -> maps:get(cause, proplists:get_value(error_info, Info, #{}), none);
        (_) -> none
    end,
    Chunk = fun
        (Number, F, {Results, Next}) -> put(Number, {F, Next}), {Results, Next =:= '$end_of_table'};
        (Number, F, '$end_of_table') -> put(Number, {F, '$end_of_table'}), '$end_of_table'
    end,
    Drain = fun
        Loop(F, {Results, Next}) -> [Results | Loop(F, ets:F(Next))];
        Loop(_, '$end_of_table') -> []
    end,
    Do = fun
        (T, {chunk, Number, F, Args}) -> Chunk(Number, F, apply(ets, F, [T | Args]));
        (_, {more, From, To}) ->
            case get(From) of
                {F, Next} -> Chunk(To, F, ets:F(Next));
                undefined -> '$end_of_table'
            end;
        (T, {drain, F, Args}) -> Drain(F, apply(ets, F, [T | Args]));
        (T, {F, Args}) -> apply(ets, F, [T | Args])
    end,
    Script = fun({Type, KeyPos, Calls}) ->
        T = ets:new(t, [Type, public, {keypos, KeyPos}]),
        Outcomes = [
            try {ok, Do(T, Call)} catch error:Reason:Stack -> {error, Reason, Cause(Stack)} end || Call <- Calls
        ],
        ets:delete(T),
        [erase(Number) || {Number, _} <- get(), is_integer(Number)],
        Outcomes
    end,
    Told = fun
        (release, []) -> list_to_integer(erlang:system_info(otp_release));
        (judge, Pairs) -> iolist_to_binary([Judge(Pair) || Pair <- Pairs]);
        (results, Batch) -> [Results(Question) || Question <- Batch];
        (mistakes, Specs) -> [Mistakes(Spec) || Spec <- Specs];
        (call, Batch) -> [Call(Question) || Question <- Batch];
        (replace, Batch) -> [Replace(Question) || Question <- Batch];
        (script, Question) -> Script(Question)
    end,
    fun(Data) ->
        {Question, Argument} = binary_to_term(Data),
        term_to_binary(Told(Question, Argument))
    end
end"""


# ---- the external term format to spelled terms


class Reader:
    """Reads one term after the other, and spells each as `_termmodel.exact_key` does."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def unpack(self, form: str) -> tuple[Any, ...]:
        size = struct.calcsize(form)
        self.at += size
        return struct.unpack(form, self.taken(self.at - size, size))

    def taken(self, start: int, size: int) -> bytes:
        assert start + size <= len(self.data), "the answer ends in the middle of a term"
        return self.data[start : start + size]

    def take(self, size: int) -> bytes:
        self.at += size
        return self.taken(self.at - size, size)

    def terms(self, n: int) -> tuple[Any, ...]:
        return tuple(self.term() for _ in range(n))

    def number(self, size: int, sign: int) -> Any:
        value = int.from_bytes(self.take(size), "little")
        return ("int", -value if sign else value)

    def list(self, items: tuple[Any, ...]) -> Any:
        match self.term():
            case ("list", more):
                return ("list", items + more)
            case ("improper", more, tail):
                return ("improper", items + more, tail)
            case tail:
                return ("improper", items, tail)

    def term(self) -> Any:
        (tag,) = self.unpack(">B")
        match tag:
            case 97 | 98:
                return ("int", *self.unpack(">B" if tag == 97 else ">i"))
            case 110 | 111:
                return self.number(*self.unpack(">BB" if tag == 110 else ">IB"))
            case 70:
                return ("float", _termmodel.float_key(*self.unpack(">d")))
            case 115 | 119 | 100 | 118:
                text = self.take(*self.unpack(">B" if tag in (115, 119) else ">H"))
                return ("atom", text.decode("utf-8" if tag in (118, 119) else "latin-1"))
            case 104 | 105:
                return ("tuple", self.terms(*self.unpack(">B" if tag == 104 else ">I")))
            case 106:
                return ("list", ())
            case 107:
                return ("list", tuple(("int", byte) for byte in self.take(*self.unpack(">H"))))
            case 108:
                return self.list(self.terms(*self.unpack(">I")))
            case 109:
                return ("bits", _termmodel.bit_text(self.take(*self.unpack(">I"))))
            case 77:
                size, last = self.unpack(">IB")
                return ("bits", _termmodel.bit_text(self.take(size))[: size * 8 - 8 + last])
            case 116:
                (size,) = self.unpack(">I")
                return ("map", frozenset((self.term(), self.term()) for _ in range(size)))
        return self.opaque(tag)

    def opaque(self, tag: int) -> Any:
        match tag:
            case 88:
                node = self.term()
                return ("pid", node, *self.unpack(">III"))
            case 120 | 89:
                node = self.term()
                return ("port", node, *self.unpack(">QI" if tag == 120 else ">II"))
            case 90:
                (size,) = self.unpack(">H")
                node = self.term()
                creation, *words = self.unpack(f">I{size}I")
                return ("reference", node, creation, tuple(words))
            case 113:
                return ("export", ("tuple", self.terms(3)))
            case 112:
                _size, _arity, uniq, _index, free = self.unpack(">IB16sII")
                module, index, _old_uniq, _pid, *values = self.terms(4 + free)
                spelled = (module, index, ("bits", _termmodel.bit_text(uniq)), ("tuple", tuple(values)))
                return ("local", ("tuple", spelled))
        raise AssertionError(f"a term with the tag {tag}")


def spelled(data: bytes) -> Any:
    """The term in an answer, spelled."""
    assert data[:1] == b"\x83"
    reader = Reader(data[1:])
    term = reader.term()
    assert reader.at == len(reader.data), "something stands behind the term"
    return term


def items(answer: Any) -> tuple[Any, ...]:
    """What is in a spelled tuple or list."""
    assert answer[0] in ("tuple", "list"), answer
    return answer[1]  # type: ignore[no-any-return]


# ---- the emulator


class Erlang:
    def __init__(self) -> None:
        self.emulator = _etf.Erlang(PROGRAM)
        self.release: int = self.ask("release", [])[1]

    def ask(self, question: str, about: Any) -> Any:
        """Erlang's answer to a question of PROGRAM's about a term, spelled."""
        return spelled(self.answer(question, about))

    def answer(self, question: str, about: Any) -> bytes:
        return self.emulator.ask(encode((Atom(question), about)))

    def judge(self, pairs: list[tuple[Any, Any]]) -> list[tuple[int, bool]]:
        """How the two of each pair compare (-1, 0, 1), and whether they are =:=."""
        answer = self.answer("judge", list(map(encode, pairs)))[6:]  # behind 131 and a binary's head
        assert len(answer) == 2 * len(pairs)
        for pair, order in zip(pairs, answer[::2], strict=True):
            assert order != 9, f"Erlang cannot read {pair!r}"
        return [(order - 1, exact == 1) for order, exact in zip(answer[::2], answer[1::2], strict=True)]

    def close(self) -> None:
        self.emulator.close()


@contextlib.contextmanager
def erlangs_zeros(erlang: Erlang) -> Iterator[None]:
    """Within the block the model takes 0.0 and -0.0 for one term if this Erlang does so."""
    with pytest.MonkeyPatch.context() as patch:
        if erlang.release < 27:
            exact = _termmodel.float_key
            patch.setattr(_termmodel, "float_key", lambda value: exact(value + 0.0))  # -0.0 + 0.0 is 0.0
        yield
