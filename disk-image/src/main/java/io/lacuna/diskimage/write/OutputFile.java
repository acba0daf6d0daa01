package io.lacuna.diskimage.write;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;

/** The new file. What is never written is a hole. */
final class OutputFile {

    private final RandomAccessFile file;
    private final FileChannel channel;

    OutputFile(RandomAccessFile file) {
        this.file = file;
        this.channel = file.getChannel();
    }

    void write(long position, ByteBuffer bytes) throws IOException {
        long at = position;
        while (bytes.hasRemaining()) {
            at += channel.write(bytes, at);
        }
    }

    void write(long position, byte[] bytes) throws IOException {
        write(position, ByteBuffer.wrap(bytes));
    }

    /** Writes those pages of a range of a chunk that hold something; the range begins at this position of the file. */
    void write(long position, Chunk chunk, int from, int to) throws IOException {
        int at = chunk.next(true, from, to);
        while (at < to) {
            int end = chunk.next(false, at, to);
            write(position + (at - from), chunk.bytes().slice(at, end - at));
            at = chunk.next(true, end, to);
        }
    }

    /** Writes those pages of a table that are not all zeros. */
    void writeSparse(long position, byte[] table) throws IOException {
        for (int at = 0; at < table.length; at += Chunk.PAGE) {
            int end = Math.min(table.length, at + Chunk.PAGE);
            boolean zero = true;
            for (int i = at; i < end && zero; i++) {
                zero = table[i] == 0;
            }
            if (!zero) {
                write(position + at, ByteBuffer.wrap(table, at, end - at));
            }
        }
    }

    /** Sets the file's length; what was not written up to there is a hole. */
    void setLength(long length) throws IOException {
        file.setLength(length);
    }
}
