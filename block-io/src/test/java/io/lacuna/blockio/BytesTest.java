package io.lacuna.blockio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class BytesTest {

    private final ByteBuffer raw = ByteBuffer.wrap(new byte[] {1, 2, (byte) 0xFF, 4, 5, 6, 7, (byte) 0x88, 'N', 'T'});

    @Test
    void readsBothByteOrders() throws Exception {
        assertEquals(0x0201, Bytes.littleEndian(raw, 0).u16(0));
        assertEquals(0x0102, Bytes.bigEndian(raw, 0).u16(0));
        assertEquals(0x04FF0201L, Bytes.littleEndian(raw, 0).u32(0));
        assertEquals(0xFF040506L, Bytes.bigEndian(raw, 0).u32(2));
        assertEquals(-1, Bytes.littleEndian(raw, 0).s8(2));
    }

    @Test
    void refusesA64BitFieldAbove2To63() {
        CorruptException error = assertThrows(CorruptException.class, () -> Bytes.littleEndian(raw, 100).u64(0));
        assertEquals(100, error.offset());
        assertEquals("less than 2^63", error.expected());
    }

    @Test
    void aFieldBehindTheEndIsCorruptAndNamesThePlace() {
        Bytes bytes = Bytes.bigEndian(raw, 0x1000);
        CorruptException error = assertThrows(CorruptException.class, () -> bytes.u32(7));
        assertEquals(0x1007, error.offset());
        assertThrows(CorruptException.class, () -> bytes.u8(-1));
        assertThrows(CorruptException.class, () -> bytes.copy(0, 11));
        assertThrows(CorruptException.class, () -> bytes.slice(8, Integer.MAX_VALUE));
    }

    @Test
    void matchesCharacters() {
        Bytes bytes = Bytes.littleEndian(raw, 0);
        assertTrue(bytes.matches(8, "NT"));
        assertFalse(bytes.matches(8, "NTFS"));
        assertFalse(bytes.matches(0, "NT"));
    }

    @Test
    void errorNamesPathOffsetExpectedAndFound() {
        DiskFormatException error = new CorruptException("region table 1, entry 3 length", 0x30038,
                "multiple of 0x100000", "0x1800").in(Path.of("a.vhdx"));
        assertEquals("a.vhdx: region table 1, entry 3 length @0x30038: expected multiple of 0x100000, found 0x1800",
                error.getMessage());
        assertEquals("a.vhdx", error.in(Path.of("other")).path(), "the first name stays");
    }
}
