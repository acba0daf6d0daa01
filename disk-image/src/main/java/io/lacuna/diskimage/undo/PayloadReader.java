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

/** Reads payloads of records. They were proved before, and are proved again: they may have to be read from the disk once more. */
final class PayloadReader implements Closeable {

    private final FileChannel channel;
    private final byte[] run;

    /** @param run the run's id */
    PayloadReader(Path path, byte[] run) throws IOException {
        this.channel = FileChannel.open(path, StandardOpenOption.READ);
        this.run = run;
    }

    /** @return the payload, from 0 to its end */
    ByteBuffer read(UndoRecord record) throws IOException {
        ByteBuffer payload = ByteBuffer.allocate(record.payloadLength());
        while (payload.hasRemaining()) {
            if (channel.read(payload, record.payloadAt() + payload.position()) < 0) {
                throw new EOFException("the undo file became shorter while it was used");
            }
        }
        if (UndoLayout.checksum(run, payload.array(), 0, payload.capacity()) != record.checksum()) {
            throw new CorruptException("payload of the undo file", record.payloadAt(), "what was read before", "something else");
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
