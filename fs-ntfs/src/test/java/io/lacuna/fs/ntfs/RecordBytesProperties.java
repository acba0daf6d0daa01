package io.lacuna.fs.ntfs;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;

/** Every field at every place, against Java's own buffers. */
class RecordBytesProperties {

    @Property
    void readsWhatABufferReads(@ForAll @Size(64) byte[] content) {
        ByteBuffer expected = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN);
        RecordBytes bytes = new RecordBytes(content.length);
        // The order of the buffer it is loaded from is nobody's concern, and neither is where it stands.
        bytes.load(ByteBuffer.wrap(content).order(ByteOrder.BIG_ENDIAN).position(5));
        for (int at = 0; at < content.length; at++) {
            assertEquals(content[at] & 0xFF, bytes.u8(at), "byte " + at);
            if (at <= content.length - Short.BYTES) {
                assertEquals(expected.getShort(at) & 0xFFFF, bytes.u16(at), "16 bits at " + at);
            }
            if (at <= content.length - Integer.BYTES) {
                assertEquals(expected.getInt(at), bytes.s32(at), "32 bits at " + at);
            }
            if (at <= content.length - Long.BYTES) {
                assertEquals(expected.getLong(at), bytes.s64(at), "64 bits at " + at);
            }
        }
    }

    @Property
    void changesTheTwoBytesAlone(@ForAll @Size(16) byte[] content, @ForAll @IntRange(max = 7) int half, @ForAll short value) {
        RecordBytes bytes = new RecordBytes(content.length);
        bytes.load(ByteBuffer.wrap(content));
        bytes.putU16(2 * half, value);
        ByteBuffer expected = ByteBuffer.wrap(content.clone()).order(ByteOrder.LITTLE_ENDIAN).putShort(2 * half, value);
        for (int at = 0; at < content.length; at++) {
            assertEquals(expected.get(at) & 0xFF, bytes.u8(at), "byte " + at);
        }
    }
}
