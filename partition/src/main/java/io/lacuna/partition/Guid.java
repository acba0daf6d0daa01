package io.lacuna.partition;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;

/** A GUID as GPT stores it: 16 bytes, the first three groups little-endian (UEFI specification, appendix A). */
final class Guid {

    static final int SIZE = 16;
    static final String ZERO = "00000000-0000-0000-0000-000000000000";

    private Guid() {
    }

    /** @param at index of the first of the 16 bytes. @return the usual text, in lower case */
    static String text(Bytes bytes, int at) throws CorruptException {
        StringBuilder tail = new StringBuilder();
        for (int i = 8; i < SIZE; i++) {
            tail.append(i == 10 ? "-" : "").append(String.format("%02x", bytes.u8(at + i)));
        }
        return String.format("%08x-%04x-%04x-", bytes.u32(at), bytes.u16(at + 4), bytes.u16(at + 6)) + tail;
    }
}
