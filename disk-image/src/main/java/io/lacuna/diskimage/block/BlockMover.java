package io.lacuna.diskimage.block;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * Moves blocks from the tail of files into their gaps and shortens the files, batch by batch: claim, copy, remap, release,
 * shorten, each durable before the next. A cut between any two leaves every block mapped to a place that holds all of it.
 *
 * <p>A batch is as large as the storage allows that has to be found for it beyond what the files had at the start: no more than
 * one block and {@link #SPARE} bytes. Gaps that were filled once still have their storage, so that this rarely matters.
 */
final class BlockMover {

    /** Bytes beside one block that a run may take in addition, for a time. With the journal and tables: below 1 MiB. */
    private static final long SPARE = 512 << 10;
    /** Bytes written between two syncs: so much is done again after a cut at most. */
    private static final long LARGEST_BATCH = 256 << 20;
    private static final int BUFFER_SIZE = 1 << 20;
    private static final long FETCHED_AHEAD = 8 << 20;
    private static final byte[] ZEROS = new byte[BUFFER_SIZE];

    private final BlockPlan plan;
    private final BlockTable table;
    private final WorkDone work;
    private final ByteBuffer buffer = ByteBuffer.allocateDirect(BUFFER_SIZE);
    private long movesDone;

    BlockMover(BlockPlan plan, WorkDone work) {
        this.plan = plan;
        this.table = plan.table();
        this.work = work;
    }

    void run() throws IOException {
        long before = hostBytes();
        table.clearArea();
        for (FilePlan file : plan.files()) {
            if (file.isPacked()) {
                pack(file, before);
            }
        }
    }

    /** @return -1 if the host cannot tell */
    private long hostBytes() throws IOException {
        long sum = 0;
        for (FilePlan file : plan.files()) {
            long bytes = file.file().hostBytes();
            if (bytes < 0) {
                return -1;
            }
            sum += bytes;
        }
        return sum;
    }

    private void pack(FilePlan file, long hostBytesBefore) throws IOException {
        Packing packing = file.packing();
        List<BlockMove> moves = packing.moves();
        shorten(file, packing.endAfter(0));
        int done = 0;
        while (done < moves.size()) { // Ends: a batch has at least one move.
            long allowance = packing.area().slotSize() + SPARE;
            if (hostBytesBefore >= 0) {
                allowance += hostBytesBefore - hostBytes();
            }
            List<BlockMove> batch = new ArrayList<>();
            List<MovedBlock> contents = new ArrayList<>();
            long written = 0;
            for (int i = done; i < moves.size() && written < LARGEST_BATCH; i++) {
                MovedBlock content = content(file, moves.get(i));
                allowance -= content.written().minus(file.side().stored()).totalBytes();
                if (allowance < 0 && !batch.isEmpty()) {
                    break;
                }
                batch.add(moves.get(i));
                contents.add(content);
                written += content.written().totalBytes();
            }
            done += batch.size();
            move(file, batch, contents, done);
        }
    }

    private MovedBlock content(FilePlan file, BlockMove move) {
        return MovedBlock.of(move, file.packing().area().slotSize(), plan.blockSize(), file.side(), plan.freePieces());
    }

    private void move(FilePlan file, List<BlockMove> batch, List<MovedBlock> contents, int done) throws IOException {
        table.claim(batch);
        long slot = file.packing().area().slotSize();
        int ahead = (int) Math.max(1, FETCHED_AHEAD / slot);
        for (int i = 0; i < batch.size(); i++) {
            // From the tail down is not an order that the host would expect.
            file.file().prefetch(batch.get(Math.min(i + ahead, batch.size() - 1)).from(), slot);
            copy(file, batch.get(i), contents.get(i));
        }
        file.file().sync();
        table.remap(batch);
        table.release(batch);
        shorten(file, file.packing().endAfter(done));
        movesDone += batch.size();
        plan.journal().note(movesDone);
    }

    private void shorten(FilePlan file, long end) throws IOException {
        if (end < file.file().size() - file.packing().area().tail()) {
            table.shorten(file.packing().file(), end);
        }
    }

    private void copy(FilePlan plan, BlockMove move, MovedBlock content) throws IOException {
        HostFile file = plan.file();
        for (Extent range : content.empty()) {
            if (plan.side().map().allocated().intersects(range.offset(), range.length())) {
                file.punch(range.offset(), range.length());
            }
        }
        long distance = move.from() - move.to();
        for (Extent range : content.written()) {
            for (long start = range.offset(); start < range.end(); start += BUFFER_SIZE) {
                Extent piece = new Extent(start, Math.min(BUFFER_SIZE, range.end() - start));
                buffer.clear().limit((int) piece.length());
                file.read(start + distance, buffer);
                blank(ExtentSet.of(piece).minus(content.live()), start);
                file.write(start, buffer.flip());
            }
        }
        work.done(plan.packing().area().slotSize());
    }

    /** Free bytes that share a host block with live ones go as zeros. */
    private void blank(ExtentSet dead, long start) {
        for (Extent range : dead) {
            buffer.put((int) (range.offset() - start), ZEROS, 0, (int) range.length());
        }
    }
}
