"""The vault's construction: every change to a stored file is noticed."""

from __future__ import annotations

import uuid

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from core.vault import cipher

KEY = AESGCM(bytes(range(32)))
ONE, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)


def test_a_chunk_comes_back_as_it_was() -> None:
    sealed = cipher.seal_chunk(KEY, ONE, 3, b"drawn picture", final=True)
    assert cipher.open_chunk(KEY, ONE, 3, sealed, final=True) == b"drawn picture"
    assert b"drawn" not in sealed


def test_a_chunk_in_another_place_does_not_open() -> None:
    sealed = cipher.seal_chunk(KEY, ONE, 3, b"x", final=False)
    for cipher_id, index, final in ((ONE, 4, False), (ONE, 3, True), (OTHER, 3, False)):
        with pytest.raises(cipher.Tampered):
            cipher.open_chunk(KEY, cipher_id, index, sealed, final=final)


@given(st.integers(0, 8 * 17 - 1))
@settings(max_examples=40, deadline=None)
def test_every_flipped_bit_is_noticed(bit: int) -> None:
    sealed = bytearray(cipher.seal_chunk(KEY, ONE, 0, b"a", final=True))
    sealed[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(cipher.Tampered):
        cipher.open_chunk(KEY, ONE, 0, bytes(sealed), final=True)


@pytest.mark.parametrize(
    ("size", "chunks"),
    [(0, 1), (1, 1), (cipher.CHUNK, 1), (cipher.CHUNK + 1, 2), (3 * cipher.CHUNK, 3)],
)
def test_the_number_of_chunks_follows_from_the_size(size: int, chunks: int) -> None:
    assert cipher.chunk_count(size) == chunks
    assert cipher.stored_size(size) == cipher.HEADER + size + chunks * cipher.TAG
