package io.lacuna.diskimage.vhdx;

import static io.lacuna.diskimage.vhdx.Reading.byteAt;
import static io.lacuna.diskimage.vhdx.Reading.open;
import static io.lacuna.diskimage.vhdx.VhdxMaker.BAT;
import static io.lacuna.diskimage.vhdx.VhdxMaker.FULL;
import static io.lacuna.diskimage.vhdx.VhdxMaker.LOG;
import static io.lacuna.diskimage.vhdx.VhdxMaker.MIB;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.diskimage.vhdx.VhdxMaker.Change;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The log: which entries count, what they do, in memory and for real, and which logs are refused. */
class VhdxLogTest {

    private static final UUID GUID = new UUID(0x1234, 0x5678);
    private static final UUID OTHER = new UUID(0x4321, 0x8765);
    /** What block 0 reads while no entry counts. */
    private static final int OLD = 1;

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    private Path image;
    private VhdxMaker maker;
    private final long[] places = new long[5];

    /** Five blocks of which only the first is mapped: block n of the file holds bytes n + 1. */
    @BeforeEach
    void make() throws IOException {
        image = directory.resolve("image.vhdx");
        maker = VhdxMaker.dynamic(image, 8L * MIB, MIB);
        for (int i = 0; i < places.length; i++) {
            places[i] = maker.store(i, FULL, i + 1);
        }
        for (int i = 1; i < places.length; i++) {
            maker.entry(i, 0);
        }
    }

    /** @return the table's first sector with block 0 in this place of the file */
    private Change block0At(int place) throws IOException {
        byte[] sector = maker.get(BAT, 4096);
        ByteBuffer.wrap(sector).order(java.nio.ByteOrder.LITTLE_ENDIAN).putLong(0, places[place] | FULL);
        return Change.data(BAT, sector);
    }

    private byte[] entry(int number, long tail, int place) throws IOException {
        return maker.logEntry(GUID, number, tail, block0At(place));
    }

    /** @return what block 0 reads with the log as it is */
    private int block0() throws IOException {
        maker.log(GUID);
        maker.close();
        try (DiskImage disk = open(image)) {
            return byteAt(disk, 0);
        }
    }

    private String refusal() throws IOException {
        maker.log(GUID);
        maker.close();
        return assertThrows(CorruptException.class, () -> open(image)).getMessage();
    }

    @Test
    void anEmptyLogIsNotReplayed() throws IOException {
        maker.putLog(0, maker.logEntry(new UUID(0, 0), 1, 0, block0At(1)));
        maker.close();
        try (DiskImage disk = open(image)) {
            assertEquals(OLD, byteAt(disk, 0));
        }
    }

    @Test
    void replaysASingleEntry() throws IOException {
        maker.putLog(0, entry(1, 0, 1));
        assertEquals(2, block0());
    }

    @Test
    void aLaterEntryWins() throws IOException {
        long second = maker.putLog(0, entry(1, 0, 1));
        maker.putLog(second, entry(2, 0, 2));
        assertEquals(3, block0());
    }

    @Test
    void entriesBeforeTheTailAreNotReplayed() throws IOException {
        // The first entry's sector was applied, and its place may be a block's by now: it must not come back.
        long second = maker.putLog(0, maker.logEntry(GUID, 1, 0, Change.data(places[1], new byte[4096])));
        maker.putLog(second, entry(2, second, 1));
        assertEquals(2, block0());
    }

    @Test
    void aSequenceGoesAroundTheRingsEnd() throws IOException {
        long first = MIB - 8192;
        long second = maker.putLog(first, entry(7, first, 1));
        assertEquals(0, second);
        maker.putLog(maker.putLog(0, entry(8, first, 2)), entry(9, first, 3));
        assertEquals(4, block0());
    }

    @Test
    void anEntryGoesAroundTheRingsEnd() throws IOException {
        maker.putLog(MIB - 4096, entry(7, MIB - 4096, 4));
        assertEquals(5, block0());
    }

    @ParameterizedTest
    @ValueSource(ints = {4, 40, 64, 100, 4096 + 9, 8191})
    void aTornEntryDoesNotCount(int tear) throws IOException {
        long second = maker.putLog(0, entry(1, 0, 1));
        byte[] torn = entry(2, 0, 2);
        torn[tear] ^= 1;
        maker.putLog(second, torn);
        assertEquals(2, block0());
    }

    @Test
    void anEntryOfWhichASectorIsMissingDoesNotCount() throws IOException {
        long second = maker.putLog(0, entry(1, 0, 1));
        maker.putLog(second, Arrays.copyOf(entry(2, 0, 2), 4096));
        assertEquals(2, block0());
    }

    @Test
    void anEntryOfAnOlderLogDoesNotCount() throws IOException {
        long second = maker.putLog(0, entry(1, 0, 1));
        maker.putLog(second, maker.logEntry(OTHER, 2, 0, block0At(2)));
        assertEquals(2, block0());
    }

    @Test
    void theNewestOfTwoSequencesWins() throws IOException {
        maker.putLog(0, entry(5, 0, 1));
        maker.putLog(40960, entry(9, 40960, 3));
        maker.putLog(81920, entry(7, 81920, 2));
        assertEquals(4, block0());
    }

    @Test
    void aSequenceWithoutItsTailDoesNotCount() throws IOException {
        long second = maker.putLog(0, entry(5, 0, 1));
        maker.putLog(second + 4096, entry(6, 0, 2)); // a gap, so the tail is not in the sequence
        assertEquals(2, block0());
    }

    @Test
    void aGapInTheNumbersEndsASequence() throws IOException {
        long second = maker.putLog(0, entry(5, 0, 1));
        maker.putLog(second, entry(7, 0, 2));
        assertEquals(2, block0());
    }

    @Test
    void zerosAreLaidOverAndCutUp() throws IOException {
        // Zeros over the whole table, then the one sector again: all in one entry, in this order.
        maker.entry(600, places[3] | FULL);
        Change sector = block0At(1);
        maker.putLog(0, maker.logEntry(GUID, 1, 0, Change.zeros(BAT, 65536), sector));
        assertEquals(2, block0());
    }

    @Test
    void zerosAfterASectorHideIt() throws IOException {
        maker.putLog(0, maker.logEntry(GUID, 1, 0, block0At(1), Change.zeros(BAT, 4096)));
        assertEquals(0, block0());
    }

    @Test
    void aGuidWithoutAWholeEntryIsCorruption() throws IOException {
        assertTrue(refusal().contains("whole sequence of entries"));
    }

    @Test
    void refusesAFileThatWasCutOff() throws IOException {
        long size = maker.end();
        maker.putLog(0, VhdxMaker.logEntry(GUID, 1, 0, size + MIB, size, block0At(1)));
        assertTrue(refusal().contains("FlushedFileOffset"));
    }

    @Test
    void onlyTheNewestEntrySaysHowLongTheFileMustBe() throws IOException {
        // A writer that cuts the file off says the new size in an entry first.
        long size = maker.end();
        long second = maker.putLog(0, VhdxMaker.logEntry(GUID, 1, 0, size + MIB, size, block0At(1)));
        maker.putLog(second, VhdxMaker.logEntry(GUID, 2, 0, size, size, block0At(2)));
        assertEquals(3, block0());
    }

    @Test
    void theFileBecomesAsLongAsTheNewestEntrySays() throws IOException {
        long size = maker.end();
        byte[] sector = maker.get(BAT, 4096);
        ByteBuffer.wrap(sector).order(java.nio.ByteOrder.LITTLE_ENDIAN).putLong(8, size | FULL);
        maker.putLog(0, VhdxMaker.logEntry(GUID, 1, 0, size, size + MIB, Change.data(BAT, sector)));
        maker.log(GUID);
        maker.close();
        try (DiskImage disk = open(image)) {
            assertEquals(0, byteAt(disk, MIB), "a block in what will be added");
        }
        assertEquals(size, Files.size(image));
        try (DiskImage disk = Runs.writable(image)) {
            var plan = disk.plan(Runs.request(ReclaimMode.COMPACT, ExtentSet.ofRange(0, MIB)));
            disk.apply(plan, Progress.NONE);
        }
        assertEquals(size + MIB, Files.size(image));
        assertEquals(List.of(), VhdxCheck.of(image).wrong());
    }

    /** Fields that are wrong in an entry that is whole. */
    enum Wrong {
        ZERO_SEQUENCE, TAIL_OUTSIDE, TAIL_UNALIGNED, FLUSHED_UNALIGNED, LAST_UNALIGNED, LAST_HUGE, DESCRIPTOR_SEQUENCE,
        DESCRIPTOR_SIGNATURE, PLACE_UNALIGNED, PLACE_IN_HEADERS, PLACE_IN_LOG, PLACE_HUGE, DATA_SIGNATURE, DATA_SEQUENCE_HIGH,
        DATA_SEQUENCE_LOW, ZEROS_UNALIGNED, ZEROS_OVER_LOG, NO_DATA
    }

    @ParameterizedTest
    @EnumSource(Wrong.class)
    void refusesAWholeEntryThatContradictsItself(Wrong wrong) throws IOException {
        ByteBuffer b = ByteBuffer.wrap(entry(1, 0, 1)).order(java.nio.ByteOrder.LITTLE_ENDIAN);
        switch (wrong) {
            case ZERO_SEQUENCE -> b.putLong(16, 0).putLong(64 + 24, 0).putInt(8188, 0);
            case TAIL_OUTSIDE -> b.putInt(12, MIB);
            case TAIL_UNALIGNED -> b.putInt(12, 512);
            case FLUSHED_UNALIGNED -> b.putLong(48, 4096);
            case LAST_UNALIGNED -> b.putLong(56, maker.end() - 1);
            case LAST_HUGE -> b.putLong(56, 1L << 60);
            case DESCRIPTOR_SEQUENCE -> b.putLong(64 + 24, 2);
            case DESCRIPTOR_SIGNATURE -> b.put(64, (byte) 'x');
            case PLACE_UNALIGNED -> b.putLong(64 + 16, BAT + 512);
            case PLACE_IN_HEADERS -> b.putLong(64 + 16, 64 << 10);
            case PLACE_IN_LOG -> b.putLong(64 + 16, LOG + 40960);
            case PLACE_HUGE -> b.putLong(64 + 16, 1L << 60);
            case DATA_SIGNATURE -> b.put(4096, (byte) 'x');
            case DATA_SEQUENCE_HIGH -> b.putInt(4100, 1);
            case DATA_SEQUENCE_LOW -> b.putInt(8188, 2);
            case ZEROS_UNALIGNED -> zeros(b, 512, BAT);
            case ZEROS_OVER_LOG -> zeros(b, 2 << 20, 512 << 10);
            case NO_DATA -> {
                b.putInt(24, 2);
                b.put(96, b, 64, 32);
            }
        }
        VhdxMaker.seal(b);
        maker.putLog(0, b.array());
        assertTrue(refusal().contains("VHDX log"), wrong.toString());
    }

    private static void zeros(ByteBuffer entry, long length, long place) {
        entry.put(64, "zero".getBytes(StandardCharsets.US_ASCII)).putInt(68, 0).putLong(72, length).putLong(80, place);
    }

    @Test
    void refusesMoreZerosThanAnyTableHas() throws IOException {
        maker.putLog(0, maker.logEntry(GUID, 1, 0, Change.zeros(1L << 40, 2L << 30)));
        maker.log(GUID);
        maker.close();
        assertThrows(UnsupportedException.class, () -> open(image));
    }

    @Test
    void aLogOfAnotherVersionOnlyMattersIfItIsNotEmpty() throws IOException {
        maker.putLog(0, entry(1, 0, 1));
        ByteBuffer header = ByteBuffer.wrap(maker.get(128 << 10, 4096)).order(java.nio.ByteOrder.LITTLE_ENDIAN);
        header.putShort(64, (short) 1);
        VhdxMaker.seal(header);
        maker.put(128 << 10, header.array());
        open(image).close();
        header.put(48, VhdxMaker.guid(GUID));
        VhdxMaker.seal(header);
        maker.put(128 << 10, header.array());
        maker.close();
        assertThrows(UnsupportedException.class, () -> open(image));
    }

    @Test
    void entriesThatOverlapCostNoMoreThanTheirLength() throws IOException {
        // A header in every sector, each of which claims half of the log: whole ones are worth no second look.
        byte[] entry = maker.logEntry(GUID, 1, 0);
        ByteBuffer.wrap(entry).order(java.nio.ByteOrder.LITTLE_ENDIAN).putInt(8, MIB / 2);
        for (int at = 0; at < MIB; at += 4096) {
            maker.put(LOG + at, entry);
        }
        assertTimeoutPreemptively(Duration.ofSeconds(10), () -> assertTrue(refusal().contains("overlap")));
    }

    @Test
    void aLongRingOfSmallEntriesIsReadOnce() throws IOException {
        // 128 entries of two sectors all around, the oldest somewhere in the middle.
        long oldest = 300L * 1024 / 8192 * 8192;
        for (int i = 0; i < 128; i++) {
            long at = (oldest + i * 8192L) % MIB;
            maker.putLog(at, maker.logEntry(GUID, 1000 + i, i < 100 ? at : (oldest + 100 * 8192L) % MIB, block0At(i % 5)));
        }
        assertEquals(127 % 5 + 1, block0());
    }

    @Test
    void replaysLikeQemuDoes() throws IOException {
        Tools.require("qemu-img");
        long second = maker.putLog(MIB - 12288, entry(1, MIB - 12288, 1));
        maker.putLog(second, maker.logEntry(GUID, 2, MIB - 12288, Change.zeros(BAT + 4096, 8192), block0At(4)));
        maker.log(GUID);
        maker.close();
        Path theirs = directory.resolve("theirs.vhdx");
        Files.copy(image, theirs);
        Tools.ok("qemu-img", "check", "-q", "-r", "all", "-f", "vhdx", theirs.toString());
        Reading.assertReadsLike(Reading.byQemu(theirs, directory), image);
        try (DiskImage disk = open(image)) {
            assertEquals(5, byteAt(disk, 0));
        }
    }

    @ParameterizedTest
    @EnumSource(ReclaimMode.class)
    void isReplayedForRealBeforeAnythingIsGivenBack(ReclaimMode mode) throws IOException {
        Change[] changes = {Change.zeros(BAT + 8192, 4096), block0At(1)};
        maker.putLog(0, maker.logEntry(GUID, 3, 0, changes));
        maker.entry(1024, places[4] | FULL | 8).log(GUID); // junk behind the disk's end, which the log zeroes
        maker.close();
        VhdxCheck before = VhdxCheck.of(image);
        assertTrue(before.hasLog());
        byte[] content;
        ExtentSet free = ExtentSet.ofRange(0, 65536);
        try (DiskImage disk = Runs.writable(image)) {
            content = Runs.guest(disk);
            assertEquals(2, content[0]);
            disk.apply(disk.plan(Runs.request(mode, free)), Progress.NONE);
            Runs.assertLive(content, Runs.guest(disk), free, free);
            assertFalse(disk.remarks().toString().contains("log"), "the log is done with");
        }
        VhdxCheck after = VhdxCheck.of(image);
        assertEquals(List.of(), after.wrong());
        assertFalse(after.hasLog());
        assertTrue(after.headersAgree());
        assertFalse(Arrays.equals(before.header(), 16, 32, after.header(), 16, 32), "FileWriteGuid changes");
        assertArrayEquals(Arrays.copyOfRange(before.header(), 32, 48), Arrays.copyOfRange(after.header(), 32, 48),
                "DataWriteGuid stays");
        assertEquals(0, ByteBuffer.wrap(after.bat()).getLong(8192));
        try (DiskImage disk = open(image)) {
            Runs.assertLive(content, Runs.guest(disk), free, free);
        }
    }

    /** No writer of tables does so, but the specification does not forbid it: data of a block that is a hole until the replay. */
    @Test
    void dataThatTheLogHoldsDoNotStayBehindWhenTheirBlockMoves() throws IOException {
        Tools.require("fallocate");
        for (int i = 1; i < places.length; i++) {
            maker.entry(i, places[i] | FULL);
        }
        byte[] sector = new byte[4096];
        Arrays.fill(sector, (byte) 77);
        maker.putLog(0, maker.logEntry(GUID, 1, 0, Change.data(places[4] + 8192, sector)));
        maker.log(GUID);
        maker.close();
        Tools.shell("fallocate -p -o $2 -l 1M \"$1\"", image, places[4]);
        ExtentSet free = ExtentSet.ofRange(0, MIB);
        try (DiskImage disk = Runs.writable(image)) {
            assertEquals(77, byteAt(disk, 4 * MIB + 8192));
            disk.apply(disk.plan(Runs.request(ReclaimMode.COMPACT, free)), Progress.NONE);
            assertEquals(77, byteAt(disk, 4 * MIB + 8192));
            disk.apply(disk.plan(Runs.request(ReclaimMode.COMPACT, free)), Progress.NONE); // the log is empty now: the block moves
            assertEquals(77, byteAt(disk, 4 * MIB + 8192));
        }
        assertEquals(places[4], Files.size(image));
        assertEquals(List.of(), VhdxCheck.of(image).wrong());
    }

    @Test
    void aRunWithNothingToDoLeavesTheLogAlone() throws IOException {
        maker.putLog(0, entry(1, 0, 1));
        maker.log(GUID);
        maker.close();
        byte[] before = Files.readAllBytes(image);
        try (DiskImage disk = Runs.writable(image)) {
            disk.apply(disk.plan(Runs.request(ReclaimMode.DEALLOCATE, ExtentSet.EMPTY)), Progress.NONE);
        }
        assertEquals(-1, Arrays.mismatch(before, Files.readAllBytes(image)));
    }

    @Test
    void everyBitOfALogMattersOrDoesNot() throws IOException {
        maker.putLog(0, maker.logEntry(GUID, 3, 0, Change.zeros(BAT + 8192, 4096), block0At(1)));
        maker.log(GUID);
        maker.close();
        byte[] whole = Files.readAllBytes(image);
        for (int at = 0; at < 8192; at += at < 256 ? 1 : 97) {
            byte[] damaged = whole.clone();
            damaged[LOG + at] ^= (byte) 0x21;
            Path path = directory.resolve("damaged.vhdx");
            Files.write(path, damaged);
            assertThrows(DiskFormatException.class, () -> open(path).close(), "byte " + at + " of the only entry");
        }
    }
}
