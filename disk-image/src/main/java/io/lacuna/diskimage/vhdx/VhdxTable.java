package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.diskimage.block.BlockArea;
import io.lacuna.diskimage.block.BlockMove;
import io.lacuna.diskimage.block.BlockTable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;

/** Changes the block allocation table, always through the log. */
final class VhdxTable implements BlockTable {

    private final VhdxFile file;
    private final HostFile host;
    private final Bat bat;
    private final BatLayout layout;
    private final BatSurvey survey;
    private final HeaderWriter headers;
    private final LogWriter log;
    private final String obstacle;
    private final boolean untouched;

    /**
     * @param survey what the table said last
     * @param log bytes of the file; null if there is none
     * @param obstacle why no entry may change, a phrase; null if they may
     * @param untouched whether holes are all there may be, and not even a header changes (unless a log has to be replayed)
     */
    VhdxTable(VhdxFile file, Bat bat, BatSurvey survey, HeaderWriter headers, Extent log, String obstacle, boolean untouched) {
        this.file = file;
        this.host = file.host();
        this.bat = bat;
        this.layout = bat.layout();
        this.survey = survey;
        this.headers = headers;
        this.log = log == null ? null : new LogWriter(host, log, headers);
        this.obstacle = obstacle;
        this.untouched = untouched;
    }

    /** Where a parent shines through is no obstacle: defined zeros hide it. */
    @Override
    public String obstacleToUnmapping() {
        return obstacle;
    }

    @Override
    public void forEachBlock(Extent guestRange, BlockVisitor visitor) throws IOException {
        int last = layout.blockOf(guestRange.end() - 1);
        for (int block = layout.blockOf(guestRange.offset()); block <= last; block++) {
            if (bat.state(block).isStored()) {
                visitor.block(layout.guestOffset(block), layout.guestLength(block), 0, bat.place(block), layout.blockSize());
            }
        }
    }

    @Override
    public void begin(boolean changesTables) throws IOException {
        if (file.log() != null) {
            replay(file.log());
        } else if (!untouched) {
            headers.open();
        }
    }

    /** Does what the log of an earlier writer says. A cut leaves the log as it is, to be replayed again. */
    private void replay(ReplayedLog pending) throws IOException {
        headers.open();
        if (host.size() < pending.size()) {
            host.write(pending.size() - 1, ByteBuffer.allocate(1));
        }
        pending.forEachPiece(host::write);
        host.sync();
        headers.clearLog();
        file.replayed();
        bat.pages().clear();
    }

    @Override
    public void unmap(ExtentSet blocks) throws IOException {
        Changes changes = new Changes();
        for (Extent range : blocks) {
            int last = layout.blockOf(range.end() - 1);
            for (int block = layout.blockOf(range.offset()); block <= last; block++) {
                changes.set(layout.payloadIndex(block), BatEntry.FREED);
            }
        }
        changes.write();
    }

    @Override
    public void end() throws IOException {
        headers.settle();
    }

    /**
     * @return empty where blocks keep their places, or the file ends inside of one, or is long enough only after the replay;
     *     also where the replay writes outside of all tables: what is a hole before may hold a block's data then
     */
    @Override
    public Optional<BlockArea> area(int index) {
        boolean replaysData = file.log() != null
                && !file.log().staysIn(survey.fixed().union(ExtentSet.ofRange(0, VhdxHeader.MIB)));
        return obstacle != null || survey.end() > host.size() || replaysData ? Optional.empty()
                : Optional.of(new BlockArea(VhdxHeader.MIB, layout.blockSize(), VhdxHeader.MIB, survey.fixed(), 0));
    }

    /**
     * A trimmed block's entry may keep its place, which is no claim as long as nothing else has it. But no two entries may have one
     * place ([MS-VHDX] 2.5.1), and Hyper-V may give the block its place back when it is written to.
     */
    @Override
    public void clearArea() throws IOException {
        Changes changes = new Changes();
        for (long index = 0; index < bat.capacity(); index++) {
            long entry = bat.entry(index);
            BatEntry.State state = BatEntry.state(entry);
            if (state != null && !state.isStored() && BatEntry.place(entry) != 0) {
                changes.set(index, state == BatEntry.State.NOT_PRESENT ? 0 : BatEntry.FREED);
            }
        }
        changes.write();
    }

    @Override
    public void remap(List<BlockMove> moves) throws IOException {
        Changes changes = new Changes();
        for (BlockMove move : moves) {
            long index = layout.payloadIndex(layout.blockOf(move.guestOffset()));
            changes.set(index, BatEntry.movedTo(bat.entry(index), move.to()));
        }
        changes.write();
    }

    /** The log is empty by now, and must be so in both headers: its entries speak of a longer file. */
    @Override
    public void shorten(int index, long end) throws IOException {
        long size = (end + VhdxHeader.MIB - 1) / VhdxHeader.MIB * VhdxHeader.MIB;
        if (size < host.size()) {
            headers.open();
            headers.settle();
            host.truncate(size);
            host.sync();
        }
    }

    /** New entries of the table, gathered by sector until a log entry is full. */
    private final class Changes {
        private final SortedMap<Long, ByteBuffer> sectors = new TreeMap<>();
        private final int capacity = log.capacity();

        void set(long index, long entry) throws IOException {
            long at = bat.entryOffset(index);
            long sector = at - at % LogRegion.SECTOR;
            ByteBuffer content = sectors.get(sector);
            if (content == null) {
                if (sectors.size() == capacity) {
                    write();
                }
                content = ByteBuffer.allocate(LogRegion.SECTOR).order(ByteOrder.LITTLE_ENDIAN);
                host.read(sector, content);
                sectors.put(sector, content.clear());
            }
            content.putLong((int) (at - sector), entry);
        }

        void write() throws IOException {
            if (!sectors.isEmpty()) {
                log.write(sectors);
                sectors.clear();
                bat.pages().clear();
            }
        }
    }
}
