package io.lacuna.diskimage.vdi;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.diskimage.block.BlockArea;
import io.lacuna.diskimage.block.BlockMove;
import io.lacuna.diskimage.block.BlockTable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;

/**
 * Changes the block map of a dynamic or differencing VDI. Entries do not straddle sectors, so that a torn write leaves each of
 * them old or new, and any mixture of old and new is right: an unmapped block is free either way, and a moved one is in both
 * places. The counter of the header is the slot that a writer takes next. It falls only when the map is durable, and the file
 * becomes shorter only when the counter is.
 */
final class VdiTable implements BlockTable {

    private final HostFile file;
    private final VdiHeader header;
    private final VdiMap map;

    VdiTable(HostFile file, VdiHeader header, VdiMap map) {
        this.file = file;
        this.header = header;
        this.map = map;
    }

    @Override
    public String obstacleToUnmapping() {
        return null;
    }

    @Override
    public boolean isWithoutHoles() {
        return true;
    }

    @Override
    public void forEachBlock(Extent guestRange, BlockVisitor visitor) throws IOException {
        long size = header.blockSize();
        for (long block = guestRange.offset() / size; block * size < guestRange.end(); block++) {
            long entry = map.entry(block);
            if (VdiMap.isStored(entry)) {
                long start = block * size;
                boolean cut = start < header.virtualSize() && header.virtualSize() < start + size;
                visitor.block(start, cut ? header.virtualSize() - start : size, 0, map.place(block, entry), size);
            }
        }
    }

    @Override
    public void begin(boolean changesTables) {
        // The format knows no mark for an image that is being written to.
    }

    @Override
    public void unmap(ExtentSet blocks) throws IOException {
        long size = header.blockSize();
        long none = header.hasParent() ? VdiMap.ZERO : VdiMap.NONE;
        for (Extent range : blocks) {
            long first = range.offset() / size;
            long[] numbers = new long[(int) ((range.length() + size - 1) / size)];
            long[] entries = new long[numbers.length];
            for (int i = 0; i < numbers.length; i++) {
                numbers[i] = first + i;
                entries[i] = none;
            }
            map.write(numbers, entries);
        }
        file.sync();
    }

    @Override
    public void end() {
        // As above.
    }

    @Override
    public Optional<BlockArea> area(int fileIndex) {
        return Optional.of(new BlockArea(header.dataOffset(), header.blockSize(), header.blockSize(), ExtentSet.EMPTY, 0));
    }

    @Override
    public void remap(List<BlockMove> moves) throws IOException {
        List<BlockMove> rising = moves.stream().sorted(Comparator.comparingLong(BlockMove::guestOffset)).toList();
        long[] numbers = rising.stream().mapToLong(move -> move.guestOffset() / header.blockSize()).toArray();
        long[] entries = rising.stream().mapToLong(move -> (move.to() - header.dataOffset()) / header.blockSize()).toArray();
        map.write(numbers, entries);
        file.sync();
    }

    @Override
    public void shorten(int fileIndex, long end) throws IOException {
        ByteBuffer counter = ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        counter.putInt(0, (int) ((end - header.dataOffset()) / header.blockSize()));
        file.write(VdiHeader.ALLOCATED_OFFSET, counter);
        file.sync();
        file.truncate(end);
        file.sync();
    }
}
