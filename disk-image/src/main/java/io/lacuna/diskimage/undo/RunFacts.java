package io.lacuna.diskimage.undo;

import java.nio.ByteBuffer;

/**
 * What is known of a run. As payload: two texts, then u64s in this order.
 *
 * @param tool name and version of the program
 * @param format name of the image's format
 * @param virtualSize bytes of its disk
 * @param startedMillis when the undo file was made, milliseconds since 1970
 * @param marked whether the sign of an earlier cut run stood beside the image
 */
public record RunFacts(String tool, String format, long virtualSize, long startedMillis, boolean marked) {

    ByteBuffer encode() {
        return Payload.of(tool, format, virtualSize, startedMillis, marked ? 1L : 0L);
    }

    static RunFacts parse(ByteBuffer payload) {
        return new RunFacts(Payload.text(payload), Payload.text(payload), payload.getLong(), payload.getLong(),
                payload.getLong() != 0);
    }
}
