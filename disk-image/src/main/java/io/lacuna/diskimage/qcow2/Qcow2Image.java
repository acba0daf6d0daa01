package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLayer;
import io.lacuna.blockio.ImageLinks;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.UnsupportedException;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** An opened qcow2 image. */
final class Qcow2Image implements DiskImage {

    private final HostFile file;
    private final HostFile dataFile;
    private final DiskImage backing;
    private Qcow2Header header;
    private final Qcow2Extensions extensions;
    private final Qcow2Guest guest;

    private Qcow2Image(HostFile file, HostFile dataFile, DiskImage backing, Qcow2Header header,
            Qcow2Extensions extensions, long[] l1) {
        this.file = file;
        this.dataFile = dataFile;
        this.backing = backing;
        this.header = header;
        this.extensions = extensions;
        this.guest = new Qcow2Guest(header, file, dataFile != null ? dataFile : file,
                backing != null ? backing.guest() : null, l1);
    }

    static Qcow2Image open(HostFile file, ImageLinks links) throws IOException {
        Qcow2Header header = Qcow2Header.parse(file);
        Qcow2Extensions extensions = Qcow2Extensions.parse(file, header);
        long[] l1 = HostBytes.readLongs(file, header.l1Offset(), header.l1Entries());
        HostFile dataFile = null;
        DiskImage backing = null;
        try {
            if (header.hasDataFile()) {
                if (extensions.dataFileName() == null) {
                    throw new UnsupportedException("the image keeps its data in a file of its own, but does not name it");
                }
                dataFile = links.openDataFile(extensions.dataFileName());
            }
            if (header.backingNameOffset() != 0) {
                backing = links.openBacking(backingName(file, header), extensions.backingFormat());
            }
            return new Qcow2Image(file, dataFile, backing, header, extensions, l1);
        } catch (IOException | RuntimeException | Error e) {
            IOException closing = closeAll(dataFile, backing);
            if (closing != null) {
                e.addSuppressed(closing);
            }
            throw e;
        }
    }

    private static String backingName(HostFile file, Qcow2Header header) throws IOException {
        Bytes name = Bytes.read(file, "backing file's name", header.backingNameOffset(), header.backingNameLength(),
                ByteOrder.BIG_ENDIAN);
        for (int i = 0; i < name.length(); i++) {
            if (name.u8(i) == 0) {
                throw new CorruptException("backing file's name", name.position(i), "no byte 0", "one");
            }
        }
        return new String(name.copy(0, name.length()), StandardCharsets.UTF_8);
    }

    /** Closes all that is not null, whatever the others answer. @return the first failure; null if there was none */
    private static IOException closeAll(Closeable... opened) {
        IOException failure = null;
        for (Closeable one : opened) {
            try {
                if (one != null) {
                    one.close();
                }
            } catch (IOException e) {
                if (failure == null) {
                    failure = e;
                } else {
                    failure.addSuppressed(e);
                }
            }
        }
        return failure;
    }

    @Override
    public String format() {
        return Qcow2Format.NAME;
    }

    @Override
    public long virtualSize() {
        return header.virtualSize();
    }

    @Override
    public long blockSize() {
        return header.clusterSize();
    }

    @Override
    public BlockSource guest() {
        return guest;
    }

    @Override
    public ExtentSet mayHoldData() throws IOException {
        try {
            ExtentSet stored = storedRanges();
            if (backing == null) {
                return stored;
            }
            return stored.union(backing.mayHoldData().minus(ownRanges()).intersect(ExtentSet.ofRange(0, virtualSize())));
        } catch (DiskFormatException e) {
            throw e.in(file.path());
        }
    }

    /** @return ranges of the disk that clusters of this image hold */
    ExtentSet storedRanges() throws IOException {
        return guest.ranges(kind -> kind == L2Entry.Kind.STORED || kind == L2Entry.Kind.COMPRESSED);
    }

    @Override
    public ExtentSet ownRanges() throws IOException {
        if (backing == null) {
            return ExtentSet.ofRange(0, virtualSize());
        }
        try {
            return guest.ranges(kind -> kind != L2Entry.Kind.UNALLOCATED);
        } catch (DiskFormatException e) {
            throw e.in(file.path());
        }
    }

    @Override
    public List<ImageLayer> layers() throws IOException {
        List<ImageLayer> layers = new ArrayList<>();
        layers.add(new ImageLayer("image", file.path(), Qcow2Format.NAME, header.virtualSize(), file.hostBytes()));
        if (dataFile != null) {
            layers.add(new ImageLayer("data file", dataFile.path(), "raw", dataFile.size(), dataFile.hostBytes()));
        }
        if (backing != null) {
            for (ImageLayer layer : backing.layers()) {
                layers.add(new ImageLayer("backing", layer.path(), layer.format(), layer.virtualSize(),
                        layer.hostBytes()));
            }
        }
        return layers;
    }

    @Override
    public List<String> remarks() {
        return List.of();
    }

    @Override
    public long hostBytes() throws IOException {
        long image = file.hostBytes();
        long data = dataFile == null ? 0 : dataFile.hostBytes();
        return image < 0 || data < 0 ? -1 : image + data;
    }

    @Override
    public Deallocation plan(DeallocationRequest request) throws IOException {
        try {
            return new Qcow2Planner(this, header, extensions, file, dataFile, request)
                    .plan(guest.l1(), backing == null ? 0 : backing.virtualSize());
        } catch (DiskFormatException e) {
            throw e.in(file.path());
        }
    }

    List<Deallocation.HostRanges> hostRanges(ExtentSet imagePunches, ExtentSet replaced, ExtentSet dataPunches,
            long newSize) {
        long end = newSize < 0 ? file.size() : Math.min(newSize, file.size());
        var image = new Deallocation.HostRanges(file, imagePunches.union(ExtentSet.ofRange(end, file.size() - end)),
                replaced);
        return dataFile == null ? List.of(image)
                : List.of(image, new Deallocation.HostRanges(dataFile, dataPunches, ExtentSet.EMPTY));
    }

    @Override
    public void apply(Deallocation plan, Progress progress) throws IOException {
        if (!(plan instanceof Qcow2Plan mine) || mine.image() != this) {
            throw new IllegalArgumentException("a plan of another image");
        }
        if (!plan.isEmpty() && !file.isWritable()) {
            throw new IOException(file.path() + " was opened read-only");
        }
        try {
            new Qcow2Writer(header, file, dataFile).apply(mine, guest.l1(), progress);
            if (!mine.leavesImageAlone()) {
                readAgain();
            }
        } catch (IOException | RuntimeException e) {
            try {
                readAgain();
            } catch (IOException alsoFailed) {
                e.addSuppressed(alsoFailed);
            }
            if (e instanceof DiskFormatException refusal) {
                throw refusal.in(file.path());
            }
            throw e;
        }
    }

    /** The header and the L1 table may have changed, also where a run failed. */
    private void readAgain() throws IOException {
        header = Qcow2Header.parse(file);
        guest.changed(HostBytes.readLongs(file, header.l1Offset(), header.l1Entries()));
    }

    @Override
    public void close() throws IOException {
        guest.release();
        IOException failure = closeAll(file, dataFile, backing);
        if (failure != null) {
            throw failure;
        }
    }
}
