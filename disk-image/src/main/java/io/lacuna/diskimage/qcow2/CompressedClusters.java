package io.lacuna.diskimage.qcow2;

import com.github.luben.zstd.ZstdException;
import com.github.luben.zstd.ZstdInputStreamNoFinalizer;
import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.CorruptException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/**
 * Unpacks compressed clusters and remembers a few. Each is a raw deflate stream or a zstd frame that yields one cluster; what
 * follows it in its last sector belongs to somebody else. For several threads.
 */
final class CompressedClusters {

    private static final int REMEMBERED_BYTES = 4 << 20;
    /** Ours: a frame may ask for a window of 8 MiB; QEMU's writer needs no more than a cluster of 2 MiB. */
    private static final int MAX_WINDOW_LOG = 23;

    private final BlockSource file;
    private final Qcow2Header header;
    private final L2Entry entries;
    private final Map<Long, byte[]> remembered;
    private Inflater inflater;

    CompressedClusters(BlockSource file, Qcow2Header header) {
        this.file = file;
        this.header = header;
        this.entries = new L2Entry(header);
        int most = (int) Math.min(64, REMEMBERED_BYTES / header.clusterSize());
        this.remembered = new LinkedHashMap<>(16, 0.75f, true) {
            private static final long serialVersionUID = 1L;

            @Override
            protected boolean removeEldestEntry(Map.Entry<Long, byte[]> eldest) {
                return size() > most;
            }
        };
    }

    /** @return the bytes of the cluster; not to be changed */
    synchronized byte[] unpack(long entry) throws IOException {
        byte[] cluster = remembered.get(entry);
        if (cluster == null) {
            long offset = entries.compressedOffset(entry);
            if (offset < header.clusterSize() || offset >= file.size()) {
                throw new CorruptException("compressed cluster", offset, "a place behind the header, in the file's 0x"
                        + Long.toHexString(file.size()) + " bytes", "0x" + Long.toHexString(offset));
            }
            // At most two clusters and a sector by the width of the field.
            ByteBuffer packed = ByteBuffer.allocate((int) Math.min(entries.compressedLength(entry), file.size() - offset));
            file.read(offset, packed);
            cluster = new byte[(int) header.clusterSize()];
            boolean whole = header.zstd() ? unzstd(packed.array(), cluster) : inflate(packed.array(), cluster);
            if (!whole) {
                throw new CorruptException("compressed cluster", offset, "a " + (header.zstd() ? "zstd frame" : "deflate"
                        + " stream") + " of " + cluster.length + " bytes", "something else");
            }
            remembered.put(entry, cluster);
        }
        return cluster;
    }

    synchronized void clear() {
        remembered.clear();
    }

    /** Frees the native memory; whatever is unpacked afterwards takes some anew. */
    synchronized void release() {
        if (inflater != null) {
            inflater.end();
            inflater = null;
        }
        remembered.clear();
    }

    private boolean inflate(byte[] packed, byte[] cluster) {
        if (inflater == null) {
            inflater = new Inflater(true);
        }
        inflater.reset();
        inflater.setInput(packed);
        try {
            int done = 0;
            while (done < cluster.length) { // Ends: no progress means the stream is over or wants more than there is.
                int count = inflater.inflate(cluster, done, cluster.length - done);
                if (count == 0) {
                    return false;
                }
                done += count;
            }
            return true;
        } catch (DataFormatException e) {
            return false;
        }
    }

    private static boolean unzstd(byte[] packed, byte[] cluster) throws IOException {
        try (var stream = new ZstdInputStreamNoFinalizer(new ByteArrayInputStream(packed))) {
            stream.setLongMax(MAX_WINDOW_LOG);
            return stream.readNBytes(cluster, 0, cluster.length) == cluster.length;
        } catch (ZstdException e) {
            return false;
        } catch (IOException e) {
            return false; // The source is memory: only the frame itself can be at fault.
        }
    }
}
