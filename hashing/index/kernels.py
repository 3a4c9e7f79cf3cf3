"""The inner loops of the index, compiled by numba when first used. Values in, values out.

Importing this costs about a second for numba; compiling costs another one per process. Nothing is cached
on disk: numba's cache is a pickle, and this installation reads none. Long-lived workers compile before
they fork (``warm``). The kernels release the interpreter lock and use no threads of their own, so forking
after compiling is safe.
"""

# numba infers the types of what it compiles, for each kind of array; intrinsics are its own protocol.
# mypy: ignore-errors

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

__all__ = ["DAMAGED", "TOO_MANY", "build_word", "linear", "search", "word_of"]

TOO_MANY = -2
"""Returned by ``search`` when a linear scan is cheaper than the candidates of this query."""

DAMAGED = -3
"""Returned by ``search`` when the arrays point outside themselves."""

_AHEAD = 16
"""Probes for which memory is asked ahead: about as many cache misses as one core keeps in flight."""


@intrinsic
def _popcount(typingctx, x):
    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return x(x), codegen


@intrinsic
def _prefetch(typingctx, array, at):
    """Ask for the cache line of element ``at`` (in units of the array's items, over flat memory)."""

    def codegen(context, builder, signature, args):
        base = context.make_array(signature.args[0])(context, builder, args[0]).data
        byte = ir.IntType(8).as_pointer()
        flag = ir.IntType(32)
        name = "llvm.prefetch.p0"
        function = builder.module.globals.get(name) or ir.Function(
            builder.module, ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag]), name
        )
        address = builder.bitcast(builder.gep(base, [args[1]]), byte)
        builder.call(function, [address, flag(0), flag(3), flag(1)])
        return context.get_dummy_value()

    return types.void(array, types.int64), codegen


@njit(inline="always")
def word_of(digests, row, start, width):
    """Return ``width`` (at most 32) bits of a digest from bit ``start`` on, the highest bit being 0."""
    at = start >> 6
    off = start & 63
    high = digests[row, at] << np.uint64(off)
    if off + width > 64:
        high |= digests[row, at + 1] >> np.uint64(64 - off)
    return np.uint32(high >> np.uint64(64 - width))


@njit(nogil=True)
def build_word(digests, start, width, prefix, id_bits, offsets, post, pairs):
    """Order the rows by one word: ``offsets`` by its first ``prefix`` bits, ``post`` the rows with the rest.

    Radix sort in two passes: the first spreads to at most 1,024 places, which the address cache of a
    core can hold, the second works within one of them. ``pairs`` is scratch of one u64 per row. With an
    empty ``post`` only the offsets are counted (the rows are in this order already).
    """
    n = digests.shape[0]
    rest = width - prefix
    if post.shape[0] == 0:
        for i in range(n):
            offsets[(word_of(digests, i, start, width) >> np.uint32(rest)) + np.uint32(1)] += (
                np.uint32(1)
            )
        for b in range(1, offsets.shape[0]):
            offsets[b] += offsets[b - 1]
        return
    kept = min(rest, 32 - id_bits)
    coarse = min(prefix, 10)
    fine = prefix - coarse
    heads = np.zeros((1 << coarse) + 1, np.int64)
    for i in range(n):
        w = np.int64(word_of(digests, i, start, width))
        heads[(w >> (width - coarse)) + 1] += 1
    for b in range(1, heads.shape[0]):
        heads[b] += heads[b - 1]
    place = heads[:-1].copy()
    for i in range(n):
        w = np.int64(word_of(digests, i, start, width))
        b = w >> (width - coarse)
        pairs[place[b]] = (np.uint64(w) << np.uint64(32)) | np.uint64(i)
        place[b] += 1
    counts = np.zeros((1 << fine) + 1, np.int64)
    fine_mask = np.int64((1 << fine) - 1)
    kept_mask = np.int64((1 << kept) - 1)
    offsets[0] = 0
    for b in range(1 << coarse):
        low, high = heads[b], heads[b + 1]
        counts[:] = 0
        for j in range(low, high):
            w = np.int64(pairs[j] >> np.uint64(32))
            counts[((w >> rest) & fine_mask) + 1] += 1
        for c in range(1, counts.shape[0]):
            counts[c] += counts[c - 1]
            offsets[(b << fine) + c] = np.uint32(low + counts[c])
        for j in range(low, high):
            w = np.int64(pairs[j] >> np.uint64(32))
            c = (w >> rest) & fine_mask
            r = (w >> (rest - kept)) & kept_mask
            row = np.int64(pairs[j] & np.uint64(0xFFFFFFFF))
            post[low + counts[c]] = np.uint32((r << id_bits) | row)
            counts[c] += 1


@njit(inline="always")
def _distance(digests, row, query):
    total = _popcount(digests[row, 0] ^ query[0, 0])
    for k in range(1, digests.shape[1]):
        total += _popcount(digests[row, k] ^ query[0, k])
    return np.int64(total)


@njit(inline="always")
def _wanted(row, distance, first, lists, reach):
    """Say whether one of the lists that hold this digest reaches as far."""
    if first.shape[0] == 0:
        return reach[lists[row]] >= distance
    for at in range(first[row], first[row + 1]):  # noqa: SIM110 — numba compiles no generator
        if reach[lists[at]] >= distance:
            return True
    return False


@njit(nogil=True)
def search(
    digests,
    offsets,
    posts,
    starts,
    widths,
    slack,
    flips,
    weights,
    upto,
    prefix,
    id_bits,
    query,
    radius,
    most_seen,
    most_compared,
    first,
    lists,
    reach,
    low,
    high,
    candidates,
    rows,
    distances,
):
    """Find the rows within ``radius`` of ``query`` that a list in force reaches; return how many.

    ``slack[s]`` bits may differ in word ``s`` (−1: the word is left out). ``rows`` and ``distances`` are
    filled as far as they go; a larger result says how long they have to be. Each row is found once: by
    the first word that reaches it. TOO_MANY when the buckets hold more than
    ``most_seen`` rows or more than ``most_compared`` of them would have to be compared.
    """
    n = digests.shape[0]
    wide = digests.shape[1]
    id_mask = np.uint32((1 << id_bits) - 1)
    room = candidates.shape[0]
    found = 0
    seen = 0
    compared = 0
    for s in range(starts.shape[0]):
        bits = slack[s]
        if bits < 0:
            continue
        width = widths[s]
        rest = width - prefix
        kept = min(rest, 32 - id_bits)
        word = np.int64(word_of(query, 0, starts[s], width))
        head = word >> rest
        tail = np.uint32((word >> (rest - kept)) & ((1 << kept) - 1))
        probes = upto[bits]
        table = offsets[s]
        for k in range(probes):
            if k + _AHEAD < probes:
                _prefetch(table, head ^ flips[k + _AHEAD])
            b = head ^ flips[k]
            low[k] = table[b]
            high[k] = table[b + 1]
            if low[k] > high[k] or high[k] > n:
                return DAMAGED
            seen += high[k] - low[k]
        if seen > most_seen:
            return TOO_MANY
        post = posts[max(s - 1, 0)]
        filled = 0
        k = 0
        j = low[0]
        while k < probes:
            if s == 0:
                # The digests themselves are in the order of the first word.
                while k < probes and filled < room:
                    if j < high[k]:
                        candidates[filled] = np.uint32(j)
                        filled += 1
                        j += 1
                    else:
                        k += 1
                        if k < probes:
                            j = low[k]
            else:
                while k < probes:
                    if k + _AHEAD < probes and low[k + _AHEAD] < n:
                        _prefetch(post, low[k + _AHEAD])
                        _prefetch(post, max(high[k + _AHEAD] - 1, 0))
                    end = min(high[k], j + room - filled)
                    left = np.uint32(bits - weights[k])
                    for at in range(j, end):
                        entry = post[at]
                        candidates[filled] = entry & id_mask
                        # Without a branch: whether an entry passes cannot be foreseen.
                        filled += np.int64(_popcount((entry >> np.uint32(id_bits)) ^ tail) <= left)
                    if end < high[k]:
                        j = end
                        break
                    k += 1
                    if k < probes:
                        j = low[k]
                    if filled == room:
                        break
            compared += filled
            if compared > most_compared:
                return TOO_MANY
            for c in range(filled):
                if c + _AHEAD < filled:
                    _prefetch(digests, np.int64(candidates[c + _AHEAD]) * wide)
                row = np.int64(candidates[c])
                if row >= n:
                    return DAMAGED
                distance = _distance(digests, row, query)
                if distance > radius or not _wanted(row, distance, first, lists, reach):
                    continue
                # Only what this word finds and no earlier one did: each row is told once.
                is_first = True
                for other in range(s + 1):
                    if slack[other] >= 0:
                        differ = word_of(digests, row, starts[other], widths[other]) ^ word_of(
                            query, 0, starts[other], widths[other]
                        )
                        is_near = np.int64(_popcount(np.uint32(differ))) <= slack[other]
                        if is_near != (other == s):
                            is_first = False
                            break
                if not is_first:
                    continue
                if found < rows.shape[0]:
                    rows[found] = row
                    distances[found] = distance
                found += 1
            filled = 0
    return found


@njit(nogil=True)
def linear(digests, query, radius, first, lists, reach, rows, distances):
    """Look at every row. Returns how many were found; see ``search``."""
    found = 0
    for row in range(digests.shape[0]):
        distance = _distance(digests, row, query)
        if distance <= radius and _wanted(row, distance, first, lists, reach):
            if found < rows.shape[0]:
                rows[found] = row
                distances[found] = distance
            found += 1
    return found
