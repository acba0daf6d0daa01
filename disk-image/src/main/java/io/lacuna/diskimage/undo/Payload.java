package io.lacuna.diskimage.undo;

import io.lacuna.blockio.CorruptException;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.function.Function;

/** Reads and writes the payloads that tell facts. Texts are a u32 number of bytes, then UTF-8. */
final class Payload {

    private Payload() {
    }

    static ByteBuffer of(Object... values) {
        int size = 0;
        for (Object value : values) {
            size += value instanceof String text ? Integer.BYTES + text.getBytes(StandardCharsets.UTF_8).length : Long.BYTES;
        }
        ByteBuffer buffer = UndoLayout.buffer(size);
        for (Object value : values) {
            if (value instanceof String text) {
                byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
                buffer.putInt(bytes.length).put(bytes);
            } else {
                buffer.putLong((Long) value);
            }
        }
        return buffer.flip();
    }

    static String text(ByteBuffer buffer) {
        int length = buffer.getInt();
        if (length < 0 || length > buffer.remaining()) {
            throw new BufferUnderflowException();
        }
        byte[] bytes = new byte[length];
        buffer.get(bytes);
        return new String(bytes, StandardCharsets.UTF_8);
    }

    /** @throws CorruptException if the payload is shorter than what is to be read from it, or says what cannot be */
    static <T> T parse(ByteBuffer payload, long position, Function<ByteBuffer, T> parser) throws CorruptException {
        try {
            return parser.apply(payload);
        } catch (BufferUnderflowException | IllegalArgumentException e) {
            throw new CorruptException("record's content", position, "facts of the run", "something else");
        }
    }
}
