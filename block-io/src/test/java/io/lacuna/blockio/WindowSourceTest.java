package io.lacuna.blockio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.EOFException;
import java.nio.ByteBuffer;
import org.junit.jupiter.api.Test;

class WindowSourceTest {

    private final BlockSource whole = new BlockSource() {
        @Override
        public long size() {
            return 100;
        }

        @Override
        public void read(long offset, ByteBuffer target) throws EOFException {
            BlockSource.requireInside(offset, target.remaining(), 100);
            for (long at = offset; target.hasRemaining(); at++) {
                target.put((byte) at);
            }
        }
    };

    @Test
    void windowOfAWindow() throws Exception {
        byte[] bytes = new byte[3];
        whole.window(10, 50).window(5, 20).read(2, ByteBuffer.wrap(bytes));
        assertArrayEquals(new byte[] {17, 18, 19}, bytes);
    }

    @Test
    void nothingOutsideCanBeRead() {
        BlockSource window = whole.window(10, 50);
        assertThrows(EOFException.class, () -> window.read(48, ByteBuffer.allocate(3)));
        assertThrows(EOFException.class, () -> window.read(-1, ByteBuffer.allocate(1)));
        assertThrows(IllegalArgumentException.class, () -> whole.window(60, 41));
        assertThrows(IllegalArgumentException.class, () -> window.window(60, 1));
    }
}
