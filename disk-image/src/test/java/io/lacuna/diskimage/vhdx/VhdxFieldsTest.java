package io.lacuna.diskimage.vhdx;

import static io.lacuna.diskimage.vhdx.VhdxMaker.BAT;
import static io.lacuna.diskimage.vhdx.VhdxMaker.METADATA;
import static io.lacuna.diskimage.vhdx.VhdxMaker.MIB;
import static io.lacuna.diskimage.vhdx.VhdxMaker.buffer;
import static io.lacuna.diskimage.vhdx.VhdxMaker.region;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.fixtures.MemoryTempDir;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Headers, region tables, metadata and parent locator: each check refuses what it is for. */
class VhdxFieldsTest {

    private static final long FIRST = 64 << 10;
    private static final long SECOND = 128 << 10;
    private static final String BAT_ID = "2dc27766-f623-4200-9d64-115e9bfd4a08";
    private static final String METADATA_ID = "8b7ca206-4790-4b9a-b8fe-575f050f886e";
    private static final String UNKNOWN = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    private Path image;
    private VhdxMaker maker;

    @BeforeEach
    void make() throws IOException {
        image = directory.resolve("image.vhdx");
        maker = VhdxMaker.dynamic(image, 4L * MIB, MIB);
        maker.store(0, VhdxMaker.FULL, 0x55);
    }

    @AfterEach
    void close() throws IOException {
        maker.close();
    }

    private void assertOpens() throws IOException {
        try (DiskImage disk = Reading.open(image)) {
            assertEquals(0x55, Reading.byteAt(disk, 0));
        }
    }

    private <T extends DiskFormatException> void assertRefused(Class<T> type, String what) {
        T refusal = assertThrows(type, () -> Reading.open(image).close());
        assertTrue(refusal.getMessage().contains(what), refusal.getMessage());
        assertTrue(refusal.getMessage().startsWith(image.toString()), refusal.getMessage());
    }

    private void corrupt(String what) {
        assertRefused(CorruptException.class, what);
    }

    private void unsupported(String what) {
        assertRefused(UnsupportedException.class, what);
    }

    private interface Edit {
        void apply(ByteBuffer structure);
    }

    private void edit(long at, int length, boolean seal, Edit edit) throws IOException {
        ByteBuffer b = ByteBuffer.wrap(maker.get(at, length)).order(ByteOrder.LITTLE_ENDIAN);
        edit.apply(b);
        if (seal) {
            VhdxMaker.seal(b);
        }
        maker.put(at, b.array());
    }

    private void header(Edit edit) throws IOException {
        edit(SECOND, 4096, true, edit); // the current one
    }

    @Test
    void oneDamagedHeaderIsNoHarmTwoAre() throws IOException {
        edit(SECOND, 4096, false, b -> b.put(3000, (byte) 1));
        assertOpens();
        try (DiskImage disk = Reading.open(image)) {
            assertTrue(disk.remarks().toString().contains("headers is damaged"), disk.remarks().toString());
        }
        edit(FIRST, 4096, false, b -> b.put(0, (byte) 'x'));
        corrupt("VHDX headers");
    }

    @Test
    void theHeaderWithTheHigherNumberCounts() throws IOException {
        maker.header(SECOND, -2); // unsigned, the highest but one
        edit(FIRST, 4096, true, b -> b.putShort(66, (short) 9));
        assertOpens();
        maker.header(FIRST, -1);
        edit(FIRST, 4096, true, b -> b.putShort(66, (short) 9));
        unsupported("version");
    }

    @Test
    void twoEqualHeadersAreOneTwoThatDifferAreNone() throws IOException {
        maker.header(FIRST, 5);
        maker.header(SECOND, 5);
        assertOpens();
        header(b -> b.put(40, (byte) 1));
        corrupt("sequence number");
    }

    @Test
    void refusesAnotherVersion() throws IOException {
        header(b -> b.putShort(66, (short) 2));
        unsupported("version");
    }

    @Test
    void refusesALogThatIsNoWholeMib() throws IOException {
        header(b -> b.putInt(68, 4096));
        corrupt("log length");
    }

    @Test
    void refusesLogEntriesWithoutALog() throws IOException {
        header(b -> b.putInt(68, 0).put(48, (byte) 1));
        corrupt("log length");
    }

    @Test
    void refusesALogInTheHeadersOrUnalignedOrBehindTheEnd() throws IOException {
        for (long offset : new long[] {0, MIB / 2, 1L << 40, Long.MAX_VALUE - MIB + 1}) {
            header(b -> b.putLong(72, offset));
            corrupt("log offset");
        }
    }

    @Test
    void anImageWithoutALogIsOnlyPunched() throws IOException {
        header(b -> b.putInt(68, 0).putLong(72, 0));
        try (DiskImage disk = Reading.open(image)) {
            var plan = disk.plan(Runs.request(io.lacuna.blockio.ReclaimMode.COMPACT,
                    io.lacuna.blockio.ExtentSet.ofRange(0, MIB)));
            assertEquals(MIB, plan.reclaimable().totalBytes());
            assertTrue(!plan.changesTables() && plan.remarks().toString().contains("no log"), plan.remarks().toString());
        }
    }

    @Test
    void oneDamagedRegionTableIsNoHarmTwoAre() throws IOException {
        edit(192 << 10, 65536, false, b -> b.put(50000, (byte) 1));
        assertOpens();
        edit(256 << 10, 65536, false, b -> b.put(50000, (byte) 1));
        corrupt("region tables");
    }

    @Test
    void refusesTwoRegionTablesThatDiffer() throws IOException {
        edit(256 << 10, 65536, true, b -> b.put(50000, (byte) 1));
        corrupt("two equal copies");
    }

    private byte[] bat() {
        return region(BAT_ID, BAT, maker.batLength(), 1);
    }

    private byte[] metadata() {
        return region(METADATA_ID, METADATA, MIB, 1);
    }

    @Test
    void regionsMayComeInAnyOrderAndUnknownOnesMayBeThere() throws IOException {
        maker.regions(List.of(region(UNKNOWN, 1L << 40, MIB, 0), metadata(), bat()));
        assertOpens();
    }

    @Test
    void refusesAnUnknownRequiredRegion() throws IOException {
        maker.regions(List.of(metadata(), bat(), region(UNKNOWN, 8L * MIB, MIB, 1)));
        unsupported(UNKNOWN);
    }

    @Test
    void anUnknownRegionIsNeverABlocksPlace() throws IOException {
        maker.regions(List.of(metadata(), bat(), region(UNKNOWN, 4L * MIB, MIB, 0)));
        try (DiskImage disk = Reading.open(image)) {
            assertThrows(CorruptException.class, () -> Reading.byteAt(disk, 0));
        }
    }

    @Test
    void refusesMissingRegions() throws IOException {
        maker.regions(List.of(metadata()));
        corrupt("no BAT");
        maker.regions(List.of(bat()));
        corrupt("no metadata");
    }

    @Test
    void refusesARegionNamedTwice() throws IOException {
        maker.regions(List.of(metadata(), bat(), metadata()));
        corrupt("again");
    }

    @Test
    void refusesTooManyRegions() throws IOException {
        edit(192 << 10, 65536, true, b -> b.putInt(8, 2048));
        edit(256 << 10, 65536, true, b -> b.putInt(8, 2048));
        corrupt("number of entries");
    }

    @Test
    void refusesRegionsInPlacesThatCannotBe() throws IOException {
        for (long offset : new long[] {0, MIB / 2, BAT + 4096, 1L << 40, Long.MAX_VALUE & -MIB}) {
            maker.regions(List.of(metadata(), region(BAT_ID, offset, MIB, 1)));
            corrupt("entry 1");
        }
        maker.regions(List.of(metadata(), region(BAT_ID, MIB, MIB, 1)));
        corrupt("beside headers and log");
        maker.regions(List.of(metadata(), region(BAT_ID, METADATA, MIB, 1)));
        corrupt("overlapping");
        maker.regions(List.of(metadata(), region(BAT_ID, BAT, 4096, 1)));
        corrupt("length of entry 1");
        maker.regions(List.of(metadata(), region(BAT_ID, BAT, 0, 1)));
        corrupt("length of entry 1");
    }

    @Test
    void refusesATableThatIsTooShortForTheDisk() throws IOException {
        item(1, buffer(8).putLong(1L << 40).array()); // 1 TiB in blocks of 1 MiB: 8 MiB of table
        corrupt("BAT region: length");
    }

    /** @param index of the maker's items: file parameters, size, id, logical and physical sector size, unknown */
    private void item(int index, byte[] content) throws IOException {
        int at = ByteBuffer.wrap(maker.get(METADATA + 32 + 32L * index, 32)).order(ByteOrder.LITTLE_ENDIAN).getInt(16);
        maker.put(METADATA + at, content);
    }

    private List<byte[]> items() throws IOException {
        List<byte[]> items = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            items.add(maker.get(METADATA + 32 + 32L * i, 32));
        }
        return items;
    }

    private static byte[] entry(String id, int offset, int length, int flags) {
        return buffer(32).put(VhdxMaker.guid(id)).putInt(offset).putInt(length).putInt(flags).array();
    }

    @Test
    void refusesMissingItems() throws IOException {
        for (int i = 0; i < 5; i++) {
            List<byte[]> items = items();
            items.remove(i);
            List<byte[]> whole = items();
            maker.metadataTable(items);
            corrupt("an item for the");
            maker.metadataTable(whole);
        }
        assertOpens();
    }

    @Test
    void refusesAnotherSignatureAndTooManyItems() throws IOException {
        edit(METADATA, 32, false, b -> b.putShort(10, (short) 2048));
        corrupt("number of entries");
        edit(METADATA, 32, false, b -> b.put(0, (byte) 'M'));
        corrupt("signature");
    }

    @Test
    void refusesUnknownRequiredItemsAndKeepsOthers() throws IOException {
        List<byte[]> items = items();
        items.add(entry(UNKNOWN, 0, 0, 2));
        maker.metadataTable(items);
        assertOpens();
        for (int flags : new int[] {4, 5, 6}) {
            items.set(items.size() - 1, entry(UNKNOWN, 0, 0, flags));
            maker.metadataTable(items);
            unsupported(UNKNOWN);
        }
    }

    @Test
    void aUsersItemIsNotTheSystems() throws IOException {
        List<byte[]> items = items();
        items.add(entry("2fa54224-cd1b-4876-b211-5dbed83bf4b8", 0, 0, 1));
        maker.metadataTable(items);
        assertOpens();
        items.set(items.size() - 1, entry("2fa54224-cd1b-4876-b211-5dbed83bf4b8", 0, 0, 2));
        maker.metadataTable(items);
        corrupt("again");
    }

    @Test
    void refusesItemsInPlacesThatCannotBe() throws IOException {
        int[][] places = {{0, 16}, {65535, 16}, {MIB - 8, 16}, {-16, 8}, {100_000, MIB + 1}, {100_000, 0}, {65536, 4}};
        for (int[] place : places) {
            List<byte[]> items = items();
            items.add(entry(UNKNOWN, place[0], place[1], 0));
            maker.metadataTable(items);
            corrupt("VHDX metadata table");
        }
    }

    @Test
    void refusesItemsOfAnotherLength() throws IOException {
        for (int i = 0; i < 5; i++) {
            List<byte[]> items = items();
            List<byte[]> whole = items();
            int index = i;
            items.set(i, ByteBuffer.wrap(items.get(i)).order(ByteOrder.LITTLE_ENDIAN)
                    .putInt(20, whole.get(index)[20] - 1).array());
            maker.metadataTable(items);
            corrupt("length of the");
            maker.metadataTable(whole);
        }
    }

    @Test
    void refusesBlockSizesThatCannotBe() throws IOException {
        for (int size : new int[] {0, 512 << 10, 3 * MIB, 512 * MIB, -MIB}) {
            item(0, buffer(8).putInt(size).array());
            corrupt("block size");
        }
    }

    @Test
    void refusesUnknownFlags() throws IOException {
        item(0, buffer(8).putInt(MIB).putInt(4).array());
        unsupported("flags");
    }

    @Test
    void refusesSectorSizesThatCannotBe() throws IOException {
        for (int index : new int[] {3, 4}) {
            byte[] right = buffer(4).putInt(512).array();
            for (int size : new int[] {0, 520, 1024, 8192}) {
                item(index, buffer(4).putInt(size).array());
                corrupt("sector size");
            }
            item(index, right);
        }
    }

    @Test
    void refusesDiskSizesThatCannotBe() throws IOException {
        for (long size : new long[] {0, 1, MIB + 100, (64L << 40) + 512, Long.MAX_VALUE - 511, -512}) {
            item(1, buffer(8).putLong(size).array());
            assertThrows(CorruptException.class, () -> Reading.open(image).close());
        }
    }

    private static Map<String, String> locator() {
        Map<String, String> values = new LinkedHashMap<>();
        values.put("parent_linkage", "{11112222-3333-4444-5555-666677778888}");
        values.put("relative_path", "base.vhdx");
        return values;
    }

    /** Makes a child with this locator. */
    private void child(Map<String, String> values) throws IOException {
        maker.close();
        VhdxMaker.dynamic(directory.resolve("base.vhdx"), 4L * MIB, MIB).close();
        maker = new VhdxMaker(image, 4L * MIB, MIB, 512, false, values);
        maker.store(0, VhdxMaker.FULL, 0x55);
    }

    private void locator(Edit edit) throws IOException {
        int at = ByteBuffer.wrap(maker.get(METADATA + 32 + 32 * 6, 32)).order(ByteOrder.LITTLE_ENDIAN).getInt(16);
        edit(METADATA + at, 64, false, edit);
    }

    @Test
    void readsALocatorAndRefusesAnotherType() throws IOException {
        child(locator());
        assertOpens();
        locator(b -> b.put(0, (byte) 1));
        unsupported("type");
    }

    @Test
    void refusesALocatorWithoutIdentityOrPlace() throws IOException {
        Map<String, String> values = locator();
        values.remove("parent_linkage");
        child(values);
        corrupt("parent_linkage");
        values = locator();
        values.put("parent_linkage", "none");
        child(values);
        corrupt("a GUID");
        values = locator();
        values.remove("relative_path");
        child(values);
        unsupported("where its parent is");
    }

    @Test
    void refusesStringsThatCannotBe() throws IOException {
        Edit[] edits = {
            b -> b.putInt(20, 0), b -> b.putInt(24, 0), b -> b.putInt(20, 100_000), b -> b.putInt(24, -2),
            b -> b.putShort(28, (short) 0), b -> b.putShort(30, (short) 3), b -> b.putShort(30, (short) 0xFFFE),
            b -> b.putShort(18, (short) 0xFFFF),
            b -> b.putInt(32, b.getInt(20)).putShort(40, b.getShort(28)) // the same key twice
        };
        for (Edit edit : edits) {
            child(locator());
            locator(edit);
            assertThrows(CorruptException.class, () -> Reading.open(image).close());
        }
        Map<String, String> values = locator();
        values.put("relative_path", "base\0.vhdx");
        child(values);
        corrupt("no character 0");
    }

    @Test
    void refusesADifferencingDiskWithoutALocator() throws IOException {
        item(0, buffer(8).putInt(MIB).putInt(2).array());
        corrupt("parent locator");
    }

    @Test
    void theHighestSequenceNumberLeavesNoNext() throws IOException {
        maker.header(FIRST, -2);
        maker.header(SECOND, -1);
        try (DiskImage disk = Runs.writable(image)) {
            var plan = disk.plan(Runs.request(io.lacuna.blockio.ReclaimMode.DEALLOCATE,
                    io.lacuna.blockio.ExtentSet.ofRange(0, MIB)));
            assertThrows(UnsupportedException.class, () -> disk.apply(plan, io.lacuna.blockio.Progress.NONE));
        }
        assertOpens();
    }

    @Test
    void guidsReadAsTheyAreWritten() {
        Guid guid = Guid.of(BAT_ID);
        assertEquals(BAT_ID, guid.toString());
        ByteBuffer b = buffer(16);
        guid.put(b, 0);
        assertEquals(ByteBuffer.wrap(VhdxMaker.guid(BAT_ID)), b);
        assertEquals(guid, Guid.parse("{" + BAT_ID.toUpperCase(java.util.Locale.ROOT) + "}").orElseThrow());
        for (String text : new String[] {"", "{}", BAT_ID + "0", "1-1-1-1-1", "{" + BAT_ID}) {
            assertTrue(Guid.parse(text).isEmpty(), text);
        }
    }
}
