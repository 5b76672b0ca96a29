"""Can a pickle do anything but be data? Each attack would leave a file behind, and none does."""

import builtins
import contextlib
import gzip
import io
import os
import pickle
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accuracy.datasets import pickled
from accuracy.datasets.files import load_dataset
from harness.kernel.errors import BadInput


class Calls:
    """Pickles as "call this with these"."""

    def __init__(self, function, *args, state=None):
        self.call = (function, args) if state is None else (function, args, state)

    def __reduce__(self):
        return self.call


@pytest.fixture
def trap(tmp_path):
    """The file that a payload would make."""
    return tmp_path / "sprung"


@pytest.fixture
def refusal(tmp_path, trap):
    def refusal(data, name="a.pkl"):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(BadInput) as caught:
            load_dataset(str(path), max_new_tokens=8)
        assert not trap.exists()
        assert str(caught.value).startswith(f"dataset {name}")
        assert len(str(caught.value)) < 400
        return str(caught.value)

    return refusal


def touch(trap):
    return f"open({str(trap)!r}, 'w').close()"


def plain(text):
    """STACK_GLOBAL wants its strings on the stack."""
    return b"\x8c" + bytes([len(text)]) + text.encode()


def named(module, name):
    return plain(module) + plain(name) + b"\x93"


# ---- the attacks work, or refusing them would prove nothing


def test_the_traps_spring_under_pickle_load(trap):
    for payload in (Calls(os.system, f"touch {trap}"), Calls(builtins.eval, touch(trap))):
        pickle.loads(pickle.dumps(payload))
        assert trap.exists()
        trap.unlink()


# ---- calls


@pytest.mark.parametrize("protocol", range(6))
def test_a_command_is_refused_by_its_name(refusal, trap, protocol):
    text = refusal(pickle.dumps(Calls(os.system, f"touch {trap}"), protocol))
    assert (
        f"it asks for {os.system.__module__}.system; only plain arrays and frames are read" in text
    )


@pytest.mark.parametrize("function", [builtins.eval, builtins.exec])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_code_is_refused_by_its_name(refusal, trap, function, protocol):
    text = refusal(pickle.dumps(Calls(function, touch(trap)), protocol))
    assert function.__name__ in text
    assert "it asks for " in text


@pytest.mark.parametrize(
    "function",
    [
        subprocess.check_call,
        open,
        getattr,
        __import__,
        io.open,
        np.load,
        np.fromfile,
        np.memmap,
        pickle.loads,
    ],
)
def test_other_ways_out_are_refused_too(refusal, trap, function):
    assert "it asks for " in refusal(pickle.dumps(Calls(function, str(trap), "w")))


@pytest.mark.parametrize(
    "wrap", [lambda p: [p], lambda p: {"prompt": p}, lambda p: [{"prompt": "x", "deep": ([p],)}]]
)
def test_a_payload_inside_a_table_is_found(refusal, trap, wrap):
    assert "system" in refusal(pickle.dumps(wrap(Calls(os.system, f"touch {trap}"))))


def test_a_call_inside_a_call_is_found(refusal, trap):
    system = Calls(getattr, Calls(__import__, "os"), "system")
    assert "it asks for builtins.map" in refusal(
        pickle.dumps(Calls(map, system, [f"touch {trap}"]))
    )
    hidden = pickle.dumps([{"prompt": "x", "cell": Calls(slice, Calls(slice, system))}])
    assert "it asks for builtins.getattr" in refusal(hidden)


def test_a_payload_as_the_state_of_a_known_part_is_found(refusal, trap):
    array = Calls(
        np.arange(2).__reduce__()[0],
        np.ndarray,
        (0,),
        b"b",
        state=Calls(os.system, f"touch {trap}"),
    )
    assert "system" in refusal(pickle.dumps([{"prompt": array}]))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("numpy", "core.multiarray._reconstruct.__globals__"),
        ("numpy", "load"),
        ("numpy", "dtype.__class__"),
        ("numpy", "ndarray.tofile"),
        ("pandas", "read_pickle"),
        ("pandas", "DataFrame.to_csv"),
        ("pandas.core.frame", "sys"),
        ("pandas.core.frame", "DataFrame.__init__.__globals__"),
        ("numpy.core.multiarray", "_reconstruct.__class__"),
        ("builtins", "slice.__class__"),
        ("builtins", "Slice"),
        ("", "system"),
        ("numpy.core", "multiarray._reconstruct"),
        ("accuracy.datasets.pickled", "Program"),
        ("os", "sys\x1b[31m\nred"),
    ],
)
def test_only_exact_names_are_known(refusal, module, name):
    text = refusal(b"\x80\x04" + named(module, name) + b")R.")
    assert f"it asks for {ascii(f'{module}.{name}')[1:-1]}" in text
    assert "\x1b" not in text


def test_the_parts_of_a_frame_are_descriptions_and_never_called(refusal, trap):
    """Whatever a known name is called with, nothing comes of it but a refusal."""
    command = plain(touch(trap)) + b"\x85"
    for module, name in pickled.PARTS:
        assert refusal(b"\x80\x04" + named(module, name) + command + b"R.")
        assert refusal(
            b"\x80\x04" + named(module, name) + command + b"\x81}" + plain("prompt") + b"Nsb."
        )
        assert refusal(b"\x80\x04]" + named(module, name) + b"a.")


def test_a_result_cannot_be_called(refusal):
    for called in (
        b"N",
        b"K\x01",
        plain("os.system"),
        b"]",
        named("builtins", "slice") + b"K\x01\x85R",
    ):
        assert "a call of what is no part of a frame" in refusal(b"\x80\x04" + called + b")R.")


def test_states_cannot_be_set_on_values_or_names(refusal):
    for target in (b"]", b"}", plain("x"), named("numpy", "ndarray")):
        assert "a state for what has none" in refusal(b"\x80\x04" + target + b"}b.")


# ---- instructions


@pytest.mark.parametrize(
    ("program", "found"),
    [
        (b"Pname\n.", "the instruction PERSID"),
        (b"\x80\x02" + b"X\x01\x00\x00\x00aQ.", "the instruction BINPERSID"),
        (b"\x80\x02\x82\x01.", "the instruction EXT1"),
        (b"\x80\x02\x83\x01\x00.", "the instruction EXT2"),
        (b"\x80\x02\x84\x01\x00\x00\x00.", "the instruction EXT4"),
        (b"(S'touch x'\nios\nsystem\n.", "the instruction STRING"),
        (b"(ios\nsystem\n.", "it asks for os.system"),
        (b"(inumpy\nndarray\n.", "the instruction INST"),
        (b"(cos\nsystem\no.", "it asks for os.system"),
        (b"(cnumpy\nndarray\no.", "the instruction OBJ"),
        (b"\x80\x04" + named("numpy", "ndarray") + b")}\x92.", "the instruction NEWOBJ_EX"),
        (b"\x80\x05\x97.", "the instruction NEXT_BUFFER"),
        (b"\x80\x04\x8f(K\x01\x90.", "the instruction EMPTY_SET"),
        (b"\x80\x04K\x012.", "the instruction DUP"),
        (b"\x80\x09.", "pickle protocol 9"),
        (b"\xff.", "no pickle's instruction"),
        (b"hello", "a broken pickle"),
    ],
)
def test_instructions_that_no_frame_needs_are_refused(refusal, program, found):
    assert found in refusal(program)


def test_the_byte_is_named(refusal):
    assert refusal(b"\x80\x02K\x01Q.").startswith(
        "dataset a.pkl, byte 4: the instruction BINPERSID;"
    )


@pytest.mark.parametrize(
    "program",
    [
        b"",
        b"\x80",
        b".",
        b"\x80\x04.",
        b"R.",
        b"b.",
        b"t.",
        b"a.",
        b"K\x01a.",
        b"]u.",
        b"s.",
        b"\x94.",
        b"h\x05.",
        b"\x93.",
        b"\x87.",
    ],
)
def test_programs_that_reach_into_nothing_are_refused(refusal, program):
    assert refusal(b"\x80\x04" + program)


@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300
)
@given(
    st.lists(
        st.sampled_from(
            [bytes([code]) for code in pickled._STEPS]
            + [b"K\x01", plain("a"), b".", named("numpy", "dtype")]
        )
    )
)
def test_any_program_is_read_or_refused(tmp_path, steps):
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04" + b"".join(steps) + b".")
    with contextlib.suppress(BadInput):
        load_dataset(str(tmp_path / "a.pkl"), max_new_tokens=8)


# ---- memory and time


@pytest.mark.parametrize(
    "program",
    [
        b"\x8e" + struct.pack("<Q", 2**62),  # bytes
        b"\x8d" + struct.pack("<Q", 2**40),  # a text
        b"\x96" + struct.pack("<Q", 2**40),  # a bytearray
        b"B" + struct.pack("<I", 2**32 - 1),
        b"X" + struct.pack("<I", 2**32 - 1),
        b"\x95" + struct.pack("<Q", 2**62) + b"N",  # a frame of the file
        b"\x8b" + struct.pack("<I", 2**31 - 1),  # a number
    ],
)
def test_what_is_said_to_be_huge_is_not_believed(refusal, program):
    with limited_memory():
        assert refusal(b"\x80\x05" + program + b".")


def test_a_far_place_in_the_memory_costs_nothing(refusal):
    """The C unpickler makes room for four thousand million entries."""
    with limited_memory():
        assert "it has no rows" in refusal(b"\x80\x02]r\xff\xff\xff\xff.")


def test_a_shape_that_is_not_there_is_not_made(refusal):
    for shape in (
        b"\x8a\x08" + struct.pack("<q", 2**60) + b"\x85",
        b"K\x00\x8a\x08" + struct.pack("<q", 2**60) + b"\x86",
    ):
        array = (
            named("numpy._core.numeric", "_frombuffer")
            + b"(\x8e"
            + bytes(8)
            + named("numpy", "dtype")
        )
        array += (
            plain("i8")
            + b"\x89\x88\x87R(K\x03"
            + plain("<")
            + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        )
        with limited_memory():
            assert refusal(b"\x80\x05](}" + plain("prompt") + array + shape + plain("C") + b"tRse.")


def test_nothing_grows_from_sharing(refusal):
    """A list of a list of a list ..., each holding the one before twice: small to write, endless to
    walk.
    """
    program = b"\x80\x04]\x94" + b"".join(b"](h%ch%ce\x94" % (i, i) for i in range(100))
    assert "neither a pandas frame" in refusal(program + b".")
    rows = (
        b"\x80\x04]\x94"
        + b"".join(b"](h%ch%ce\x94" % (i, i) for i in range(100))
        + b"\x94](}"
        + plain("prompt")
        + b"hdse."
    )
    assert "column 'prompt': a value of type list" in refusal(rows)


def test_keys_are_texts(refusal):
    """The hash of a tuple of tuples of tuples ... of the same two takes for ever."""
    key = b")\x94" + b"".join(b"h%ch%c\x86\x94" % (i, i) for i in range(60))
    assert "a dict with keys that are no texts" in refusal(b"\x80\x04}(" + key + b"Nu.")


def test_deep_nesting_is_only_deep(refusal):
    assert "neither a pandas frame" in refusal(b"\x80\x04" + b")" + b"\x85" * 500_000 + b".")


@pytest.mark.parametrize(
    ("program", "limit", "found"),
    [
        (b"N" * 2000, "MOST_STEPS", "a program of more than 1000 steps"),
        (b"]" * 2000, "MOST_PARTS", "more than 1000 lists, dicts and tuples"),
        (b"N" + b"\x94" * 2000, "MOST_PARTS", "more than 1000 things to remember"),
        (b"(" * 2000, "MOST_PARTS", "more than 1000 open marks"),
    ],
)
def test_programs_have_limits(refusal, monkeypatch, program, limit, found):
    monkeypatch.setattr(pickled, limit, 1000)
    assert found in refusal(b"\x80\x04" + program + b".")


def test_a_file_has_a_limit(refusal, monkeypatch):
    monkeypatch.setattr(pickled, "MOST_BYTES", 2**20)
    assert "it has 2 MiB; pickles of at most 1 MiB are read" in refusal(
        b"\x80\x04" + b"N" * 2**21 + b"."
    )


def test_a_packed_bomb_is_not_unpacked(refusal):
    """A gigabyte of nothing, in a megabyte: it is given up at a tenth."""
    packer, block = zlib.compressobj(9, zlib.DEFLATED, 31), bytes(2**20)
    bomb = b"".join(packer.compress(block) for _ in range(1024)) + packer.flush()
    assert len(bomb) < 2**20 + 2**16
    with limited_memory():
        text = refusal(bomb, "a.pkl.gz")
    assert "it unpacks to more than " in text
    assert int(text.split("more than ")[1].split(" MiB")[0]) < 110


@pytest.mark.parametrize(
    "data",
    [b"\x80\x04.", gzip.compress(b"\x80\x04]." * 100, mtime=0)[:-9], b"\x1f\x8b\x08" + bytes(30)],
)
def test_what_is_not_packed_or_torn_is_refused(refusal, data):
    assert "expected a file packed by gzip" in refusal(data, "a.pkl.gz")


def test_a_packed_payload_is_refused_like_any_other(refusal, trap):
    assert "system" in refusal(
        gzip.compress(pickle.dumps(Calls(os.system, f"touch {trap}"))), "a.pkl.gz"
    )


class limited_memory:
    """Asking for 2 GiB more than now is an error, where the system can say so."""

    def __enter__(self):
        self._resource = pytest.importorskip("resource") if sys.platform == "linux" else None
        if self._resource:
            self._before = self._resource.getrlimit(self._resource.RLIMIT_AS)
            with open("/proc/self/statm") as file:
                now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
            self._resource.setrlimit(self._resource.RLIMIT_AS, (now + 2**31, self._before[1]))

    def __exit__(self, *_):
        if self._resource:
            self._resource.setrlimit(self._resource.RLIMIT_AS, self._before)
