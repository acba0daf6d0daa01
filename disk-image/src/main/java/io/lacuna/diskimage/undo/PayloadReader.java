package io.lacuna.diskimage.undo;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdException;
import io.lacuna.blockio.CorruptException;
import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** Reads payloads of records that were proved before. */
final class PayloadReader implements Closeable {

    private final FileChannel channel;

    PayloadReader(Path path) throws IOException {
        channel = FileChannel.open(path, StandardOpenOption.READ);
    }

    /** @return the payload, from 0 to its end */
    ByteBuffer read(UndoRecord record) throws IOException {
        ByteBuffer payload = ByteBuffer.allocate(record.payloadLength());
        while (payload.hasRemaining()) {
            if (channel.read(payload, record.payloadAt() + payload.position()) < 0) {
                throw new EOFException("the undo file became shorter while it was used");
            }
        }
        return payload.flip();
    }

    /** @return the old bytes that a record with data tells */
    ByteBuffer data(UndoRecord record) throws IOException {
        ByteBuffer payload = read(record);
        if (record.type() == UndoRecord.Type.STORED) {
            return payload;
        }
        byte[] bytes = new byte[(int) record.length()];
        try {
            if (Zstd.decompressByteArray(bytes, 0, bytes.length, payload.array(), 0, payload.limit()) == bytes.length) {
                return ByteBuffer.wrap(bytes);
            }
        } catch (ZstdException e) {
            // Told below.
        }
        throw new CorruptException("packed bytes of the undo file", record.payloadAt(), record.length() + " bytes", "others");
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
