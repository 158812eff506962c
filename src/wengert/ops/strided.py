"""Elementwise work over any strides: block by block through a small scratch. Kernel text and its packets.

A kernel of an op (see `elementwise`) wants contiguous operands. If they are, its packet is

    | kernel | size | n | out | in0 | in1 ...

Otherwise (broadcast, transposed, sliced) a driver calls that kernel on blocks of the iteration space:

    | driver | size | n | kernel | block | nd | n_ops | scratch | rows | dims[nd] | operand 0 (out) | operand 1 ...
    operand:  | slot | itemsize | how | strides[nd]        in bytes, C order of the result
    how       0 contiguous   1 gathered each block   2 gathered once (repeats with every block)

`scratch` is a slot of raw bytes: first the block buffers, one an operand; at `rows` words into it the
driver's own little address table, and behind that the packet that it hands to the kernel.
"""

from __future__ import annotations

from collections.abc import Sequence

from wengert.ops.spec import Lowering
from wengert.shapes import broadcast_strides, collapse, is_contiguous

BLOCK = 512
"""Elements a block: an operand's block of float64 is 4 KiB, so a handful of them live in L1."""

_DRIVER = """
def move(dst, dst_step, src, src_step, size, count):
    if dst_step == size and src_step == size:
        D = pu1(dst)
        S = pu1(src)
        for i in range(count * size):
            put(D, i, get(S, i))
    elif size == 8:
        for i in range(count):
            pu8(dst + i * dst_step)[0] = pu8(src + i * src_step)[0]
    elif size == 4:
        for i in range(count):
            pu4(dst + i * dst_step)[0] = pu4(src + i * src_step)[0]
    elif size == 2:
        for i in range(count):
            pu2(dst + i * dst_step)[0] = pu2(src + i * src_step)[0]
    else:
        for i in range(count):
            pu1(dst + i * dst_step)[0] = pu1(src + i * src_step)[0]

def walk(ins, nd, strides, base, start, count, buffer, size, out):
    # Moves `count` elements from flat position `start` between a strided operand and a buffer.
    done = 0
    inner = ins[9 + nd - 1]
    step = ins[strides + nd - 1]
    while done < count:
        rest = (start + done) // inner
        at = (start + done) - rest * inner
        here = base + at * step
        for k in range(nd - 2, -1, -1):
            up = rest // ins[9 + k]
            here += (rest - up * ins[9 + k]) * ins[strides + k]
            rest = up
        m = where(inner - at < count - done, inner - at, count - done)
        there = buffer + done * size
        if out != 0:
            move(here, step, there, size, size, m)
        else:
            move(there, size, here, step, size, m)
        done += m

def kernel(ins, addr, n):
    function = ins[3]
    block = ins[4]
    nd = ins[5]
    n_ops = ins[6]
    scratch = addr[ins[7]]
    table = pi8(scratch + 8 * ins[8])
    packet = skip(table, n_ops)
    packet[0] = function
    for j in range(n_ops):
        packet[3 + j] = j
    width = 3 + nd
    start = i8(0)  # typed: a literal would make Numba compile `walk` twice
    while start < n:
        count = where(block < n - start, block, n - start)
        at = 9 + nd
        for j in range(n_ops):
            base = addr[ins[at]]
            size = ins[at + 1]
            how = ins[at + 2]
            if how == 0:
                table[j] = base + start * size
            else:
                table[j] = scratch + 8 * block * j
                if how == 1 or start == 0:
                    walk(ins, nd, at + 3, base, start, count, table[j], size, i8(0))
            at += width
        status = call(function, packet, table, count)
        if status != 0:
            return status
        at = 9 + nd
        if ins[at + 2] != 0:
            walk(ins, nd, at + 3, addr[ins[at]], start, count, table[0], ins[at + 1], i8(1))
        start += count
    return 0
"""


def elementwise(plan: Lowering, kernel: tuple[str, str], out: int, ins: Sequence[int]) -> None:
    """Packets that run an elementwise kernel over the result and the operands, however they lie."""
    target = plan.aval(out)
    if target.size == 0:
        return
    slots = (out, *ins)
    if all(plan.aval(s).size == target.size and plan.is_dense(s) for s in slots):
        plan.packet(*kernel, target.size, *slots)
        return
    steps = [broadcast_strides(plan.aval(s).shape, plan.strides(s), target.shape) for s in slots]
    dims, collapsed = collapse(target.shape, steps)
    dims, collapsed = (dims, collapsed) if dims else ([1], [[0] for _ in slots])
    sizes = [plan.aval(s).dtype.itemsize for s in slots]
    periods = [_period(dims, s, size) for s, size in zip(collapsed, sizes, strict=True)]
    block = _block(target.size, periods)
    words = len(slots) * block
    scratch = plan.scratch(8 * (words + 2 * len(slots) + 3))
    body: list[int] = []
    for s, size, strides, period in zip(slots, sizes, collapsed, periods, strict=True):
        dense = is_contiguous(tuple(dims), tuple(strides), size)
        repeats = period and (block % period == 0 or block >= target.size)
        body += [s, size, 0 if dense else 2 if repeats else 1, *strides]
    # The kernel may read where the result lies (in-place sums), so a strided result is gathered each block.
    plan.driver(_DRIVER, "strided", target.size, kernel, block, len(dims), len(slots), scratch, words, *dims, *body)


def _period(dims: Sequence[int], strides: Sequence[int], size: int) -> int:
    """After how many elements an operand repeats itself; 0 if it does not."""
    first = next((k for k, s in enumerate(strides) if s != 0), len(dims))
    if first == 0:
        return 0
    period = 1
    for n in dims[first:]:
        period *= n
    return period


def _block(total: int, periods: Sequence[int]) -> int:
    """Elements a block: a multiple of the longest period that fits, so that its operand is gathered once."""
    longest = max((p for p in periods if p <= BLOCK), default=0)
    block = BLOCK // longest * longest if longest else BLOCK
    return min(block, total)
