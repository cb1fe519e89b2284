# ruff: noqa: E501
"""Scripts whose replies redis-server 7.0 and ours must agree on, one a line; \\N stands for a line break.

They run with KEYS {"k"}, ARGV {"v"}; the keys l (a list of one element) and h (a hash of one field) exist, a does not.
Left out on purpose: where 7.2 differs from 7.0 (numbers are spelled as short as they can be), where 7.0 crashes, addresses.
"""

CORPUS = r"""
return {err="x"}
return {err="ERR x"}
return {err="-X y"}
return redis.error_reply("x")
return redis.error_reply("-X y")
return redis.error_reply("")
return redis.error_reply()
return redis.error_reply(1)
return redis.status_reply(1)
return redis.status_reply("")
return redis.call({})
return redis.call("get", {})
return redis.call("get", true)
return redis.call("get", nil)
return redis.pcall()
return redis.pcall({})
return redis.sha1hex()
return redis.sha1hex("a","b")
return redis.sha1hex(12)
return redis.sha1hex({})
return {1,2.7,"a",nil,4}
return 3.99
return -3.99
return {double=3.5}
return {double=3}
return {double="x"}
return {double=math.huge}
return {map={a=1}}
return {map={}}
return {set={a=true,b=1}}
return {big_number="123"}
return {big_number=123}
return {big_number="12\n3"}
return {verbatim_string={string="hi",format="txt"}}
return {verbatim_string="hi"}
return {verbatim_string={string="hi"}}
return {ok="a\r\nb"}
return {err="a\r\nb"}
return {ok=1}
return {err=1}
return {ok=true}
return {err={}}
return true
return false
return {true,false,1}
return
return nil
return 1,2
syntax error
return redis.call("incr","l")
return redis.pcall("incr","l")
return redis.setresp(4)
return redis.setresp()
return redis.setresp("3")
return redis.setresp(2,3)
redis.log(1)
redis.log("a","b")
redis.log(10,"a")
redis.log(3)
redis.log(3,{})
return redis.set_repl(9)
return redis.set_repl()
return redis.set_repl(1)
return redis.replicate_commands()
return redis.breakpoint()
return redis.debug(1)
return redis.acl_check_cmd("set","a",1)
return redis.acl_check_cmd()
return redis.acl_check_cmd("nosuch")
return redis.acl_check_cmd({})
error()
error(12)
error("x",0)
error({err="ERR a", source="zz", line=4})
error(true)
local x = nil; return x.y
return string.rep
return function() end
return coroutine.create(function() end)
return cjson.null
return redis.call("script","flush")
return redis.call("client","id")
return redis.call("hello",3)
return redis.call("auth","x")
return redis.call("config","get","maxmemory")
return redis.call("client","nosuch")
return redis.call("client")
return redis.call("time","x")
return redis.call("wait",0,0)
return redis.call("select","1")
return redis.call("select","99")
return redis.call("debug","sleep","0")
return redis.call("reset")
return redis.call("quit")
string.foo=1
return {tostring(string.foo)}
return setmetatable(_G,{})
rawset(_G,"a",1)
rawset(string,"a",1)
table.insert(_G,1)
table.insert(string,1)
table.remove(string)
table.sort(string)
table.foreach(redis, function(k,v) return k end)
return type(getmetatable(""))
return getmetatable("").__index==string
getmetatable("").__index=1
return type(getmetatable(_G))
getmetatable(_G).__index=1
return tostring(getmetatable(string))
return setmetatable({}, {__index=_G}).redis.REPL_ALL
local e=redis.pcall("incr","l"); local t={} for k,v in pairs(e) do t[#t+1]=k.."="..tostring(v) end table.sort(t) return t
local ok,e=pcall(redis.call,"incr","l"); local t={} for k,v in pairs(e) do t[#t+1]=k.."="..tostring(v) end table.sort(t) return t
local ok,e=pcall(redis.call); local t={} for k,v in pairs(e) do t[#t+1]=k.."="..tostring(v) end table.sort(t) return t
local ok,e=pcall(redis.call,"nosuch"); local t={} for k,v in pairs(e) do t[#t+1]=k.."="..tostring(v) end table.sort(t) return t
local e=redis.pcall(); local t={} for k,v in pairs(e) do t[#t+1]=k.."="..tostring(v) end table.sort(t) return t
local ok,e=pcall(error,"x"); return e
local ok,e=pcall(function() error("x") end); return e
local ok,e=pcall(function() return zz end); return type(e)..tostring(e)
local ok,e=pcall(function() zz=1 end); return type(e)..tostring(e)
local ok,e=pcall(redis.sha1hex); return type(e)..tostring(e.err)
local ok,e=pcall(redis.setresp); return type(e)..tostring(e.err)
local e=redis.error_reply("x y"); local t={} for k,v in pairs(e) do t[#t+1]=k.."="..tostring(v) end table.sort(t) return t
local e=redis.error_reply(); local t={} for k,v in pairs(e) do t[#t+1]=k.."="..tostring(v) end table.sort(t) return t
error(redis.error_reply("My err"))
return loadstring("\27Lua")
return {loadstring("x=")}
return {loadstring("return 1","=abc")()}
return loadstring("error('hi')")()
return loadstring("yy=1")()
return load(function() return nil end)()
return math.huge
return -math.huge
return 0/0
return 1e18
return 1e19
return -1e19
return tostring(1e15)..tostring(3.0)..tostring(1e100)
return redis.call("echo", 1.5)
return redis.call("echo", 3)
return redis.call("echo",1e20)
return redis.call("echo", 1e17)
return redis.call("echo",math.huge)
return redis.call("echo",9007199254740993)
return redis.call("echo",3.0000000000000004)
redis.setresp(3); return tostring(redis.call("get","nokey"))
return tostring(redis.call("get","nokey"))
return redis.call("get","nokey")
return {redis.call("get","nokey"),1}
redis.setresp(3); return {redis.call("get","nokey"),1}
redis.setresp(3); return redis.call("get","nokey")
return redis.call("ping")
return redis.call("ping").ok
return redis.call("set","a","1").ok
return {redis.call("set","a","1")}
return tostring(redis.call("exists","a"))
return #ARGV
KEYS=1
ARGV[1]=3 return ARGV
KEYS[1]=3 return KEYS
return {KEYS=1}
return {pcall(nil)}
return {xpcall(function() error("a") end, function(e) return e.."!" end)}
return {xpcall(function() error({err="a"}) end, function(e) return e end)}
return #tostring(print)
return __redis__err__handler("x")
return __redis__err__handler
return {unpack({1,2,3})}
return {unpack({},1,1e8)}
local function f() return f() + 1 end return f()
return string.rep("x",10):len()
return ("x"):rep(3)
return string.format("%5.2f|%d|%s|%q|%x|%i",3.14159,42,"a","b\n\"",255,7)
return string.gsub("hello","l",{l="L"})
return {string.find("hello","l+")}
return table.concat({1,2,3},",")
return {table.getn({1,2}), table.maxn({1,2,[9]=1})}
return math.mod(5,3)
return string.gfind("a","a")()
return collectgarbage("foo")
return coroutine.wrap(function() return redis.call("incr","a") end)()
return coroutine.wrap(function() coroutine.yield(5) end)()
return coroutine.yield(1)
return tostring(coroutine.running())
return {coroutine.resume(coroutine.create(function() error("x") end))}
return {coroutine.resume(coroutine.create(function() return redis.call("incr","l") end))}
return coroutine.wrap(function() error("x") end)()
return coroutine.wrap(function() redis.call("incr","l") end)()
#!lua
#!lua flags=no-writes
#!lua flags=no-writes,allow-oom,allow-stale,no-cluster,allow-cross-slot-keys
#!lua flags=bad
#!lua foo=1
#!python
#!luaflags
#! lua
#!lua
#!
return redis.call("evalsha","x",0)
return redis.REPL_ALL
return redis.nosuch
return tostring(redis.nosuch)
redis.call("lpush","l",1); redis.call("incr","l")
redis.setresp(3); return redis.call("hgetall","h")
redis.setresp(3); local t=redis.call("hgetall","h"); return type(t.map)..tostring(t.map.f)
redis.setresp(3); redis.call("sadd","a","x"); local t=redis.call("smembers","a"); return tostring(t.set.x)
redis.setresp(3); redis.call("sadd","a","x"); return redis.call("smembers","a")
redis.setresp(3); redis.call("zadd","a",1.5,"x"); return redis.call("zscore","a","x")
redis.setresp(3); redis.call("zadd","a",1.5,"x"); return tostring(redis.call("zscore","a","x").double)
return redis.call("hgetall","h")
return redis.call("zadd","a",1,"x")
return redis.call("zrange","a",0,-1,"withscores")
return select("#", redis.call("mget","a","b"))
return cjson.encode({1,2,3})
return cjson.encode({})
return cjson.encode({a={}})
return cjson.encode("a/b\"\\\n\t\1\127\200")
return cjson.encode(1.5)
return cjson.encode(1e20)
return cjson.encode(123456789012345)
return cjson.encode(0.1)
return cjson.encode(1/3)
return cjson.encode(-0.0)
return cjson.encode(math.huge)
return cjson.encode(0/0)
return cjson.encode(nil)
return cjson.encode(true)
return cjson.encode(cjson.null)
return cjson.encode()
return cjson.encode(1,2)
return cjson.encode(print)
return cjson.encode(function() end)
return cjson.encode({[1]=1,[2]=2,[4]=4})
return cjson.encode({[1]=1,[100]=2})
return cjson.encode({[0]=1,[1]=2})
return cjson.encode({[-1]=1})
return cjson.encode({[1.5]=1})
return cjson.encode({[true]=1})
local t={} t.a=t return cjson.encode(t)
local t={} for i=1,999 do t={t} end return #cjson.encode(t)
local t={} for i=1,1000 do t={t} end return #cjson.encode(t)
return cjson.decode("{")
return cjson.decode("[1,2")
return cjson.decode("")
return cjson.decode("nul")
return cjson.decode("[1,]")
return cjson.decode("{\"a\"}")
return cjson.decode("{\"a\":}")
return cjson.decode("{a:1}")
return cjson.decode("{\"a\":1,}")
return cjson.decode("[1 2]")
return cjson.decode("1 2")
return cjson.decode("\"abc")
return cjson.decode("\"a\\x\"")
return cjson.decode("\"\\u12\"")
return cjson.decode("\"\\ud800\"")
return cjson.decode("\"\\ud83d\\ude00\"")
return cjson.decode("\"\\u00e9\\u20ac\\n\\/\\\"\"")
return cjson.decode("01")
return tostring(cjson.decode("0x1F"))
return tostring(cjson.decode("-1.5e3"))
return tostring(cjson.decode("1e400"))
return tostring(cjson.decode("inf"))
return tostring(cjson.decode("-inf"))
return cjson.decode("-")
return cjson.decode("+1")
return cjson.decode("1.")
return cjson.decode(".5")
return cjson.decode("tru")
return cjson.decode("[true,false,null]")
return tostring(cjson.decode("null")==cjson.null)
return cjson.decode("{\"a\":[1,{\"b\":2}]}").a[2].b
return cjson.decode("\0\0")
return cjson.decode("1\0")
return cjson.decode("[\0]")
return cjson.decode("]")
return cjson.decode(":")
return cjson.decode("@")
return cjson.decode()
return cjson.decode({})
return cjson.decode(12)
return cjson.decode(string.rep("[",1001))
return #cjson.decode(string.rep("[",1000)..string.rep("]",1000))
return cjson.decode(" \t\r\n[ 1 , 2 ] ")
return {cjson.encode_sparse_array()}
return {cjson.encode_sparse_array(true,1,1), cjson.encode({[3]=1})}
return {cjson.encode_sparse_array(false,2,10)}
return {cjson.encode_max_depth(5)}
return cjson.encode({{{{{{}}}}}})
return {cjson.encode_max_depth(1000)}
return {cjson.encode_number_precision(3), cjson.encode(3.14159)}
return {cjson.encode_number_precision(14)}
return {cjson.encode_number_precision(15)}
return {cjson.encode_keep_buffer(), cjson.encode_keep_buffer("off"), cjson.encode_keep_buffer("on")}
return {cjson.encode_invalid_numbers("null"), cjson.encode(0/0), cjson.encode_invalid_numbers("on"), cjson.encode(math.huge), tostring(cjson.encode_invalid_numbers("off"))}
return {tostring(cjson.decode_invalid_numbers("off")), tostring(pcall(cjson.decode,"0x1")), tostring(cjson.decode_invalid_numbers("on"))}
local c=cjson.new() c.encode_number_precision(2) return {c.encode(1.234),cjson.encode(1.234)}
return cjson._NAME..cjson._VERSION
return cjson.encode(cjson.decode('{"a":1.0,"b":[],"c":{},"d":"x"}').a)
return cmsgpack.pack(1)
return cmsgpack.pack(0,1,127,128,255,256,65535,65536,4294967295,4294967296,2^53,2^63)
return cmsgpack.pack(-1,-32,-33,-128,-129,-32768,-32769,-2147483648,-2147483649,-2^53)
return cmsgpack.pack(1.5,0.1,1e300,-0.0,math.huge,-math.huge)
return cmsgpack.pack("","a",string.rep("b",31),string.rep("c",32),string.rep("d",255))
return cmsgpack.pack(string.rep("e",256)):sub(1,5)
return cmsgpack.pack(string.rep("e",70000)):sub(1,7)
return cmsgpack.pack(nil,true,false)
return cmsgpack.pack({},{1,2,3},{a=1},{[1]=1,[3]=3},{[1.5]=1})
local t={} for i=1,20 do t[i]=i end return cmsgpack.pack(t)
local t={} for i=1,70000 do t[i]=1 end return cmsgpack.pack(t):sub(1,8)
local t={} for i=1,20 do t["k"..i]=i end return #cmsgpack.pack(t)
local t={} t[1]=t return cmsgpack.pack(t)
local t={} t.a=t return cmsgpack.pack(t)
return cmsgpack.pack(function() end)
return cmsgpack.pack()
return {cmsgpack.unpack(cmsgpack.pack(1,"a",{1,2},true,1.5))}
return {cmsgpack.unpack("\147\1\2")}
return {cmsgpack.unpack("\193")}
return {cmsgpack.unpack("")}
return {cmsgpack.unpack()}
return {cmsgpack.unpack({})}
return {cmsgpack.unpack_one(cmsgpack.pack(1,2,3))}
return {cmsgpack.unpack_one(cmsgpack.pack(1,2,3),1)}
return {cmsgpack.unpack_one(cmsgpack.pack(1,2,3),2)}
return {cmsgpack.unpack_one(cmsgpack.pack(1,2,3),3)}
return {cmsgpack.unpack_one(cmsgpack.pack(1,2,3),4)}
return {cmsgpack.unpack_one(cmsgpack.pack(1,2,3),-1)}
return {cmsgpack.unpack_limit(cmsgpack.pack(1,2,3),2)}
return {cmsgpack.unpack_limit(cmsgpack.pack(1,2,3),2,1)}
return {cmsgpack.unpack_limit(cmsgpack.pack(1,2,3),0)}
return {cmsgpack.unpack_limit(cmsgpack.pack(1,2,3))}
return {cmsgpack.unpack("\208\255\209\255\254\210\255\255\255\253\211\255\255\255\255\255\255\255\252")}
return {tostring(cmsgpack.unpack("\207\255\255\255\255\255\255\255\255"))}
return {cmsgpack.unpack("\196\2ab\197\0\1c\217\1d")}
return {cmsgpack.unpack("\217\5ab")}
return tostring(cmsgpack.unpack("\202\63\128\0\0"))
return cmsgpack._NAME..cmsgpack._VERSION
return struct.pack(">I2<i4b", 258, -2, -1)
return struct.pack("BbHhLlTi3I1", 255,-1,65535,-1,1,-1,2,-2,255)
return struct.pack("fd>f>d", 1.5,2.5,1.5,0.1)
return struct.pack("sc3c0x","ab","abcdef","xyz")
return struct.pack("!4 b i4 !8 d",1,2,3.5)
return struct.pack("=i4",1)
return struct.pack("z",1)
return struct.pack("i4")
return struct.pack("i4","x")
return struct.pack("s")
return struct.pack("c5","ab")
return struct.pack("i33",1)
return struct.pack("!3i4",1)
return struct.pack("i99999999999",1)
return struct.pack("i16I16>i12",-2,5,-3)
return {struct.unpack(">I2<i4b", struct.pack(">I2<i4b", 258, -2, -1))}
return {struct.unpack("BbHhLlTi3I1", struct.pack("BbHhLlTi3I1", 255,-1,65535,-1,1,-1,2,-2,255))}
return {struct.unpack("sc3x",struct.pack("sc3x","ab","abcdef"))}
return {struct.unpack("bc0",struct.pack("bc0",3,"xyz"))}
return {struct.unpack("c0","abc")}
return {struct.unpack("s","abc")}
return {struct.unpack("i4","abc")}
return {struct.unpack("i2","abcdef",3)}
return {struct.unpack("i2","abcdef",0)}
return {struct.unpack("i2","abcdef",6)}
return {struct.unpack("!4bi4","a\0\0\0\1\0\0\0")}
local t={struct.unpack("fd",struct.pack("fd",0.1,0.1))} return {tostring(t[1]),tostring(t[2]),t[3]}
return {struct.unpack("i16",struct.pack("i16",-2))}
return {struct.size("i4d"),struct.size("!8i4d"),struct.size("c10"),struct.size("bhx")}
return struct.size("s")
return struct.size("c0")
return struct.size("?")
return struct.pack(1)
return struct.unpack("i4")
return {bit.tobit(0xffffffff),bit.tobit(2^32+1),bit.tobit(-1.5),bit.tobit(2.5),bit.tobit(3.5),bit.tobit(1e15),bit.tobit(-2^31-1)}
return {bit.bnot(0),bit.bnot(0x12345678)}
return {bit.band(0x12345678,0xff),bit.bor(1,2,4,8),bit.bxor(0xa5a5f0f0,0xaa55ff00)}
return {bit.lshift(1,0),bit.lshift(1,8),bit.lshift(1,40),bit.lshift(0x87654321,12)}
return {bit.rshift(256,8),bit.rshift(-256,24),bit.rshift(0x87654321,12),bit.arshift(-256,8),bit.arshift(0x87654321,12)}
return {bit.rol(0x12345678,12),bit.ror(0x12345678,12)}
return {bit.bswap(0x12345678),bit.bswap(0x78563412)}
return {bit.tohex(1),bit.tohex(-1),bit.tohex(0xffffffff),bit.tohex(-1,-8),bit.tohex(0x21,4),bit.tohex(0x87654321,4),bit.tohex(255,-2),bit.tohex(255,0),bit.tohex(255,20)}
return bit.band()
return bit.band("x")
return bit.band(1,"x")
return bit.band("3",7)
return bit.lshift(1)
return bit.tobit()
return bit.tobit({})
return bit.tohex()
return bit.tohex(1,"x")
return bit.bnot(nil)
return bit.tobit("0x10")
return {string.rep("ab",3),string.rep("x",0),string.rep("x",-1),string.rep("",5)}
return string.rep()
return string.rep("x")
return string.rep({},1)
return string.rep("x",{})
return ("x").rep(1,2)
return {string.find("a.b",".",1,true),string.match("key=val","(%w+)=(%w+)")}
return string.find()
return string.find("a")
return string.find("a",{})
return string.gsub("a","a")
return string.gsub("abc","%w",{a="1"})
return string.gsub("abc","%w","%0%0")
return string.gsub("abc","(%w","x")
return string.gsub("hello world","o",function(c) return c:upper() end,1)
return {string.byte("abc",1,-1)}
return string.format("%s")
return string.format("%d","x")
return string.char(256)
return ("x"):bad()
return #string.dump(function() end)>0
return table.concat({1,{},3})
return table.concat({"a","b"},",",1,3)
return table.insert({},1,2,3)
return table.insert({})
return table.insert(1,2)
return table.insert({},"x",1)
local t={1,2,3} table.insert(t,2,9) table.remove(t,1) table.sort(t,function(a,b) return a>b end) return t
table.sort({3,1,"x"})
table.sort({1,2,3},function() error("in sort") end)
table.foreach({a=1},function(k,v) redis.log(0,k) end)
return table.foreachi({5,6},function(i,v) if i==2 then return v end end)
return next({})
return next()
return next({},"x")
return next({10})
return pairs()
return ipairs()
for i,v in ipairs({1,2,nil,4}) do if i==3 then return v end end return "end"
local n=0 for k in pairs(_G) do n=n+1 end return n > 30
local t={} for k in pairs(redis) do t[#t+1]=k end table.sort(t) return t
local t={} for k in pairs(string) do t[#t+1]=k end table.sort(t) return t
local t={} for k in pairs(table) do t[#t+1]=k end table.sort(t) return t
local t={} for k in pairs(math) do t[#t+1]=k end table.sort(t) return t
local t={} for k in pairs(coroutine) do t[#t+1]=k end table.sort(t) return t
local t={} for k in pairs(cjson) do t[#t+1]=k end table.sort(t) return t
local t={} for k in pairs(bit) do t[#t+1]=k end table.sort(t) return t
local t={} for k in pairs(struct) do t[#t+1]=k end table.sort(t) return t
local t={} for k in pairs(cmsgpack) do t[#t+1]=k end table.sort(t) return t
return rawget({5},1)
return rawget(redis,"REPL_ALL")
return rawset({},1,2)[1]
return rawequal("a","a")
return setmetatable(1,{})
return setmetatable({},1)
return setmetatable({})
return setmetatable(setmetatable({},{__metatable=1}),{})
return getmetatable(setmetatable({},{__metatable=7}))
return setmetatable({},{__index=function(t,k) return k.."!" end}).abc
return tostring(setmetatable({},{__tostring=function() return "me" end}))
return setmetatable({},{__call=function(self,a) return a end})(5)
return setmetatable({1,2},{__index=function() error("boom") end})
return setmetatable({},{__len=function() return 9 end})
return tonumber("0x10"),tonumber("z",36)
return {tonumber("0x10"),tonumber("z",36),tonumber("1e2"),tostring(tonumber("x"))}
return {math.floor(3.7),math.max(1,5,3),math.fmod(7,3),math.abs(-2)}
return math.floor("x")
return math.random(0)
math.randomseed(1) return math.random(1,1)
return select(-1,1,2,3)
return select(0)
return select("#")
return unpack({1,2,3},2)
assert(false)
assert(nil,"msg")
assert(false,{err="E x"})
return assert(5)
error({err="no code"})
error({err="MYERR with code"})
error({err="-DASH x"})
error({err=5})
return pcall(error,{err="A b"})
return {pcall(error,{err="A b"})}
return {pcall(error,"x",0)}
return {pcall(error)}
return {pcall(function(...) return ... end,1,2,3)}
return {xpcall(function() return 1,2 end,tostring)}
return {xpcall(error,function(e) return "h" end)}
return {pcall(redis.call,"get")}
return {pcall(redis.call,"nosuchcmd")}
return {pcall(redis.pcall,"get")}
return redis.pcall("nosuchcmd").err
return redis.pcall("get").err
return redis.call("set","a","b","c").err
return redis.pcall("set","a","b","c").err
return redis.call("SET","a","1")
return redis.call("GeT","a")
return {redis.call("set","a","1"),redis.call("get","a"),redis.call("incr","a"),redis.call("append","a","x")}
return redis.call("incrbyfloat","a","1.5")
return redis.call("mset","a",1,"b",2)
return redis.call("mget","a","b","nokey")
return redis.call("mget",unpack({"a","b"}))
return {redis.call("ttl","nokey"),redis.call("type","nokey"),redis.call("exists","a","b")}
return redis.call("strlen","a")+1
return redis.call("getrange","a",0,-1)
return redis.call("setnx","a","x")
return redis.call("set","a","x","nx")
return redis.call("set","a","x","get")
return redis.call("keys","zzz*")
return redis.call("echo","\0\r\n\255")
return redis.call("echo","")
return redis.call("object","encoding","nokey")
return redis.call("ping","x")
redis.setresp(3) return redis.call("set","a","x")
redis.setresp(3) return redis.call("mget","a","nokey")
redis.setresp(3) return true
redis.setresp(3) return false
redis.setresp(3) return {true,false}
redis.setresp(3) return redis.call("echo","x")
redis.setresp(3) redis.setresp(2) return tostring(redis.call("get","nokey"))
redis.call("set","a",1.5) return redis.call("get","a")
redis.call("set","a",100) return redis.call("get","a")
redis.call("set","a",2^53) return redis.call("get","a")
redis.call("set","a",-7) return redis.call("get","a")
local t={} for i=1,300 do t[i]="x"..i end return redis.call("exists",unpack(t))
local t={"mset"} for i=1,200 do t[#t+1]="a" t[#t+1]=i end redis.call(unpack(t)) return redis.call("get","a")
return {unpack({1,2,3,4,5,6,7,8,9,10})}
local t={} for i=1,5000 do t[i]=i end return #{unpack(t)}
return {1,{2,{3,{4,"x"}}},{},{err="in E"},{ok="fine"}}
return {{double=1.5},{map={1,2}},{set={1}},{big_number="9"},{verbatim_string={format="mkd",string="a\r\nb"}}}
return {verbatim_string={format="toolong",string="x"}}
return {verbatim_string={format="x",string="y"}}
return {map={[1]={map={a=true}}}}
return {ok="both",err="wins"}
return {err=false,ok="ok"}
return {1,2,3,ok="fine"}
return {[1]="a",[2]="b",[4]="d"}
return {false,true,nil,4}
return "\0bin\r\n\255"
return ""
return 2^31
return -2^40-0.5
return 1e15
return 123456789012
-- comment only
--[[ long ]] return 7 --trailing
return KEYS[1]
return {KEYS[1],ARGV[1]}
return type(KEYS)..type(ARGV)..#KEYS..#ARGV
local x = ARGV[1] + 1 return x
a.b = 1
local t = nil t[1] = 2
return nil .. "x"
return {} + 1
return #5
return 1 < "x"
return {} < {}
foo()
redis.foo()
("x")()
for i=1,"x" do end
return ...
local a <const> = 1
goto x
return 1 2
return "unclosed
return 5 // 2
if x then
\N\Nerror("third line")
\Nreturn\Nredis.call("get")
\Nlocal function f()\N  error("deep")\Nend\N\Nf()
\Nlocal ok,e = pcall(function()\N error("e") end)\Nreturn e
#!lua\Nreturn 1
#!lua flags=no-writes\Nreturn redis.call("get","nokey")
#!lua flags=no-writes\Nreturn redis.call("set","a","b")
#!lua flags=no-writes,allow-oom,allow-stale,no-cluster,allow-cross-slot-keys\Nreturn 1
#!lua flags=bad\Nreturn 1
#!lua flags=\Nreturn 1
#!lua foo=1\Nreturn 1
#!python\Nreturn 1
#!lua  flags=no-writes\N\Nerror("line 3")
#!\Nreturn 1
#! lua\Nreturn 1
#!lua flags=no-writes flags=allow-oom\Nreturn 1
#!lua name=x\Nreturn 1
#comment\Nreturn 1
loadstring("return redis.call('get')")()
return loadstring("return KEYS[1]")()
return loadstring("return ...")(4)
return {loadstring(nil)}
return {loadstring({})}
return {load(1)}
return {load(function() error("r") end)}
local n=0 return load(function() n=n+1 if n==1 then return "return 7" end end)()
local n=0 return {load(function() n=n+1 if n==1 then return 5 end end)}
local n=0 return {load(function() n=n+1 if n==1 then return "x=" end end)}
return coroutine.wrap(function(a) local b=coroutine.yield(a+1) return b*2 end)(1)
local co=coroutine.create(function(a) local b=coroutine.yield(a) return b end) local _,x=coroutine.resume(co,1) local _,y=coroutine.resume(co,2) return {x,y,coroutine.status(co)}
return coroutine.create(1)
return coroutine.wrap()
local f=coroutine.wrap(function() end) f() f()
return {coroutine.resume(1)}
return coroutine.status(coroutine.create(function() end))
"""
