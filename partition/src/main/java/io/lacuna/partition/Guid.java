package io.lacuna.partition;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import java.util.HexFormat;

/** A GUID as GPT stores it: 16 bytes, the first three groups little-endian (UEFI specification, appendix A). */
final class Guid {

    static final int SIZE = 16;
    static final String ZERO = "00000000-0000-0000-0000-000000000000";

    private Guid() {
    }

    /** @param at index of the first of the 16 bytes. @return the usual text, in lower case */
    static String text(Bytes bytes, int at) throws CorruptException {
        // Not String.format: an array has 128 of these, and at the start of a JVM that would take longer than all the reading.
        StringBuilder text = new StringBuilder(36);
        HexFormat hex = HexFormat.of();
        text.append(hex.toHexDigits(bytes.u32(at), 8)).append('-').append(hex.toHexDigits(bytes.u16(at + 4), 4)).append('-')
                .append(hex.toHexDigits(bytes.u16(at + 6), 4)).append('-');
        for (int i = 8; i < SIZE; i++) {
            text.append(i == 10 ? "-" : "").append(hex.toHexDigits(bytes.u8(at + i), 2));
        }
        return text.toString();
    }
}
