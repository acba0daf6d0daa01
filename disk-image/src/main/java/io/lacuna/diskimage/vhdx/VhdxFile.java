package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.HostFile;
import java.io.IOException;
import java.nio.ByteBuffer;

/** The image's file as it reads once its log is replayed: the file itself where the log is empty. */
final class VhdxFile implements BlockSource {

    private final HostFile file;
    private volatile ReplayedLog log;

    /** @param log null if there is nothing to replay */
    VhdxFile(HostFile file, ReplayedLog log) {
        this.file = file;
        this.log = log;
    }

    HostFile host() {
        return file;
    }

    /** @return what has to be replayed; null if nothing */
    ReplayedLog log() {
        return log;
    }

    /** Says that the file itself now holds what the log asked for. */
    void replayed() {
        log = null;
    }

    @Override
    public long size() {
        ReplayedLog pending = log;
        return pending == null ? file.size() : pending.size();
    }

    @Override
    public void read(long offset, ByteBuffer target) throws IOException {
        ReplayedLog pending = log;
        if (pending == null) {
            file.read(offset, target);
        } else {
            BlockSource.requireInside(offset, target.remaining(), pending.size());
            pending.read(offset, target);
        }
    }

    @Override
    public void prefetch(long offset, long length) {
        file.prefetch(offset, length);
    }
}
