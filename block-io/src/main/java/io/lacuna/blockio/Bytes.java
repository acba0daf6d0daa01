package io.lacuna.blockio;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * Checked access to the fields of an on-disk structure. Remembers where the structure lies, so that every complaint names
 * the place. A field behind the end of the bytes is a {@link CorruptException}, never an unchecked one.
 *
 * <p>For single fields. Loops over large tables read a {@link ByteBuffer} of checked length themselves.
 */
public final class Bytes {

    private final ByteBuffer buffer;
    private final long position;

    private Bytes(ByteBuffer buffer, long position) {
        this.buffer = buffer;
        this.position = position;
    }

    /**
     * @param buffer the bytes from its position to its limit; neither is changed
     * @param position where the first of them lies in what is being read, for messages
     */
    public static Bytes littleEndian(ByteBuffer buffer, long position) {
        return new Bytes(buffer.slice().order(ByteOrder.LITTLE_ENDIAN), position);
    }

    /** Like {@link #littleEndian(ByteBuffer, long)} with the other byte order. */
    public static Bytes bigEndian(ByteBuffer buffer, long position) {
        return new Bytes(buffer.slice().order(ByteOrder.BIG_ENDIAN), position);
    }

    /**
     * Reads a structure.
     *
     * @param what name of the structure, for the error
     * @param length bytes; the caller has bounded it
     * @throws CorruptException if the source ends before the structure does
     */
    public static Bytes read(BlockSource source, String what, long offset, int length, ByteOrder order) throws IOException {
        if (offset < 0 || offset > source.size() - length) {
            throw new CorruptException(what, offset, length + " bytes before the end at 0x"
                    + Long.toHexString(source.size()), "an end inside of them");
        }
        ByteBuffer buffer = ByteBuffer.allocate(length);
        source.read(offset, buffer);
        return new Bytes(buffer.flip().slice().order(order), offset);
    }

    public int length() {
        return buffer.limit();
    }

    /** @return where the byte with this index lies in what is being read */
    public long position(int at) {
        return position + at;
    }

    public int u8(int at) throws CorruptException {
        return buffer.get(checked(at, 1)) & 0xFF;
    }

    public int s8(int at) throws CorruptException {
        return buffer.get(checked(at, 1));
    }

    public int u16(int at) throws CorruptException {
        return buffer.getShort(checked(at, 2)) & 0xFFFF;
    }

    public int s32(int at) throws CorruptException {
        return buffer.getInt(checked(at, 4));
    }

    public long u32(int at) throws CorruptException {
        return buffer.getInt(checked(at, 4)) & 0xFFFF_FFFFL;
    }

    /** @throws CorruptException also if the value is 2^63 or more, which no field that Lacuna computes with can be */
    public long u64(int at) throws CorruptException {
        long value = buffer.getLong(checked(at, 8));
        if (value < 0) {
            throw corrupt("64-bit field", at, "less than 2^63", "0x" + Long.toHexString(value));
        }
        return value;
    }

    /** @return all 64 bits: a signed number, or a set of flags */
    public long s64(int at) throws CorruptException {
        return buffer.getLong(checked(at, 8));
    }

    /** @return the characters as ISO 8859-1, byte by byte */
    public String text(int at, int length) throws CorruptException {
        return new String(copy(at, length), StandardCharsets.ISO_8859_1);
    }

    public byte[] copy(int at, int length) throws CorruptException {
        byte[] copy = new byte[length];
        buffer.get(checked(at, length), copy);
        return copy;
    }

    /** @return whether these characters (ISO 8859-1) stand here; false if the bytes end before */
    public boolean matches(int at, String characters) {
        byte[] wanted = characters.getBytes(StandardCharsets.ISO_8859_1);
        if (at < 0 || at > length() - wanted.length) {
            return false;
        }
        for (int i = 0; i < wanted.length; i++) {
            if (buffer.get(at + i) != wanted[i]) {
                return false;
            }
        }
        return true;
    }

    /** @return whether all these bytes are 0 */
    public boolean isZero(int at, int length) throws CorruptException {
        checked(at, length);
        for (int i = 0; i < length; i++) {
            if (buffer.get(at + i) != 0) {
                return false;
            }
        }
        return true;
    }

    public Bytes slice(int at, int length) throws CorruptException {
        return new Bytes(buffer.slice(checked(at, length), length).order(buffer.order()), position + at);
    }

    /** @return a read-only view of all bytes, in this byte order */
    public ByteBuffer buffer() {
        return buffer.asReadOnlyBuffer().order(buffer.order());
    }

    /** @return the error that this field is wrong, to be thrown */
    public CorruptException corrupt(String what, int at, String expected, Object found) {
        return new CorruptException(what, position(at), expected, found);
    }

    /** @return the error that this field asks for too much, to be thrown */
    public UnsupportedException unsupported(String what, int at, String expected, Object found) {
        return new UnsupportedException(what, position(at), expected, found);
    }

    private int checked(int at, int length) throws CorruptException {
        if (at < 0 || length < 0 || at > length() - length) {
            throw new CorruptException("on-disk structure", position(at), length + " more bytes",
                    "the end at 0x" + Long.toHexString(position(length())));
        }
        return at;
    }
}
