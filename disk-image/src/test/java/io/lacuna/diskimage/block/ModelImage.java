package io.lacuna.diskimage.block;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLayer;
import io.lacuna.blockio.Progress;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * An image format for tests, whose table is in memory: blocks of any size with a head of their own before the data, at any
 * place, structures in between that stay, a footer at the end, and several files.
 */
final class ModelImage implements DiskImage, BlockMap, BlockTable {

    static final String FOOTER = "THE END.";

    final List<HostFile> files;
    final long size;
    final int blockSize;
    final int head;
    final int alignment;
    final long start;
    final ExtentSet fixed;
    final boolean withoutHoles;
    /** Block number to place; file times 2^40 plus the byte where the head starts, -1 for none. */
    final long[] places;
    final List<String> calls = new ArrayList<>();
    String obstacle;
    long movedBlocks;

    ModelImage(List<HostFile> files, long size, int blockSize, int head, int alignment, long start, ExtentSet fixed,
            boolean withoutHoles, long[] places) {
        this.files = files;
        this.size = size;
        this.blockSize = blockSize;
        this.head = head;
        this.alignment = alignment;
        this.start = start;
        this.fixed = fixed;
        this.withoutHoles = withoutHoles;
        this.places = places;
    }

    static long place(int file, long offset) {
        return (long) file << 40 | offset;
    }

    private static int fileOf(long place) {
        return (int) (place >>> 40);
    }

    private static long offsetOf(long place) {
        return place & (1L << 40) - 1;
    }

    @Override
    public List<HostFile> files() {
        return files;
    }

    @Override
    public long virtualSize() {
        return size;
    }

    @Override
    public long mappedSize() {
        return (long) places.length * blockSize;
    }

    @Override
    public long blockSize() {
        return blockSize;
    }

    @Override
    public void forEachStored(Extent range, StoredVisitor visitor) throws IOException {
        for (int block = (int) (range.offset() / blockSize); (long) block * blockSize < range.end(); block++) {
            long from = Math.max(range.offset(), (long) block * blockSize);
            long to = Math.min(range.end(), (block + 1L) * blockSize);
            if (places[block] >= 0) {
                visitor.stored(from, fileOf(places[block]), offsetOf(places[block]) + head + from - (long) block * blockSize,
                        to - from);
            }
        }
    }

    @Override
    public String obstacleToUnmapping() {
        return obstacle;
    }

    @Override
    public boolean isWithoutHoles() {
        return withoutHoles;
    }

    @Override
    public void forEachBlock(Extent range, BlockVisitor visitor) throws IOException {
        for (int block = (int) (range.offset() / blockSize); (long) block * blockSize < range.end(); block++) {
            long guest = (long) block * blockSize;
            if (places[block] >= 0) {
                visitor.block(guest, guest < size ? Math.min(blockSize, size - guest) : blockSize, fileOf(places[block]),
                        offsetOf(places[block]), head + blockSize);
            }
        }
    }

    @Override
    public void begin(boolean changesTables) {
        calls.add("begin");
    }

    @Override
    public void unmap(ExtentSet blocks) {
        calls.add("unmap");
        for (Extent range : blocks) {
            for (long at = range.offset(); at < range.end(); at += blockSize) {
                places[(int) (at / blockSize)] = -1;
            }
        }
    }

    @Override
    public void end() {
        calls.add("end");
    }

    @Override
    public Optional<BlockArea> area(int file) {
        return Optional.of(new BlockArea(start, head + blockSize, alignment, fixed, FOOTER.length()));
    }

    @Override
    public void claim(List<BlockMove> moves) {
        calls.add("claim");
    }

    @Override
    public void remap(List<BlockMove> moves) {
        calls.add("remap");
        for (BlockMove move : moves) {
            int block = (int) (move.guestOffset() / blockSize);
            if (places[block] != place(move.file(), move.from()) || move.to() >= move.from()) {
                throw new AssertionError("no such move: " + move);
            }
            places[block] = place(move.file(), move.to());
        }
        movedBlocks += moves.size();
    }

    @Override
    public void release(List<BlockMove> moves) {
        calls.add("release");
    }

    @Override
    public void shorten(int file, long end) throws IOException {
        calls.add("shorten");
        for (int block = 0; block < places.length; block++) {
            if (places[block] >= 0 && fileOf(places[block]) == file && offsetOf(places[block]) + head + blockSize > end) {
                throw new AssertionError("block " + block + " lies behind the end " + end);
            }
        }
        files.get(file).write(end, ByteBuffer.wrap(FOOTER.getBytes(java.nio.charset.StandardCharsets.US_ASCII)));
        files.get(file).truncate(end + FOOTER.length());
    }

    String describe() {
        return " blocks of " + head + " + " + blockSize + " from " + start + " at " + alignment + ", fixed " + fixed
                + java.util.Arrays.toString(places) + calls + files.stream().map(HostFile::size).toList();
    }

    /** @return the disk's bytes; where there is no block, zeros */
    byte[] content() throws IOException {
        byte[] bytes = new byte[(int) size];
        forEachStored(new Extent(0, size), (guest, file, host, length) ->
                files.get(file).read(host, ByteBuffer.wrap(bytes, (int) guest, (int) length)));
        return bytes;
    }

    @Override
    public String format() {
        return "model";
    }

    @Override
    public BlockSource guest() {
        throw new IllegalStateException();
    }

    @Override
    public List<ImageLayer> layers() {
        return List.of();
    }

    @Override
    public List<String> remarks() {
        return List.of();
    }

    @Override
    public long hostBytes() throws IOException {
        long sum = 0;
        for (HostFile file : files) {
            sum += file.hostBytes();
        }
        return sum;
    }

    @Override
    public Deallocation plan(DeallocationRequest request) throws IOException {
        return BlockPlan.of(this, this, this, null, request);
    }

    @Override
    public void apply(Deallocation plan, Progress progress) throws IOException {
        BlockWriter.apply(this, plan, progress);
    }

    @Override
    public void close() {
    }
}
