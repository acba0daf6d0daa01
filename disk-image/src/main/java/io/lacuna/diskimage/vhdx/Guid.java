package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import java.nio.ByteBuffer;
import java.util.Optional;
import java.util.UUID;
import java.util.regex.Pattern;

/**
 * A GUID as Microsoft stores it: 16 bytes, of which the first three groups are little-endian numbers.
 *
 * @param low bytes 0 to 7 as a little-endian number
 * @param high bytes 8 to 15 as a little-endian number
 */
record Guid(long low, long high) {

    static final int SIZE = 16;
    static final Guid ZERO = new Guid(0, 0);

    private static final Pattern TEXT = Pattern.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}");

    static Guid at(Bytes bytes, int at) throws CorruptException {
        return new Guid(bytes.s64(at), bytes.s64(at + Long.BYTES));
    }

    /** @param text 32 hexadecimal digits in five groups, right by construction */
    static Guid of(String text) {
        return of(UUID.fromString(text));
    }

    /** @return the GUID of this text, in braces or not; empty if it is none */
    static Optional<Guid> parse(String text) {
        String digits = text.startsWith("{") && text.endsWith("}") ? text.substring(1, text.length() - 1) : text;
        return TEXT.matcher(digits).matches() ? Optional.of(of(digits)) : Optional.empty();
    }

    /** @return one that nobody else has */
    static Guid random() {
        return of(UUID.randomUUID());
    }

    private static Guid of(UUID uuid) {
        long groups = uuid.getMostSignificantBits();
        return new Guid(groups >>> 32 | (groups >>> 16 & 0xFFFF) << 32 | (groups & 0xFFFF) << 48,
                Long.reverseBytes(uuid.getLeastSignificantBits()));
    }

    boolean isZero() {
        return low == 0 && high == 0;
    }

    /** @param target little-endian */
    void put(ByteBuffer target, int at) {
        target.putLong(at, low).putLong(at + Long.BYTES, high);
    }

    @Override
    public String toString() {
        return new UUID(low << 32 | (low >>> 32 & 0xFFFF) << 16 | low >>> 48, Long.reverseBytes(high)).toString();
    }
}
