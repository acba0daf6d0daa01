package io.lacuna.partition;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.fixtures.ByteArraySource;
import io.lacuna.fixtures.Corpus;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Signatures that are believed only with a second field: what is written makes one, and each single change unmakes it. */
class SignatureChecksTest {

    private static final int SIZE = 1 << 20;

    @TempDir
    private Path directory;

    private static List<String> names(TestDisk volume) throws IOException {
        return VolumeSignatures.scan(volume.source()).stream().map(VolumeSignature::name).toList();
    }

    private static TestDisk blank(ByteOrder order) {
        TestDisk volume = TestDisk.ofSize(SIZE);
        volume.bytes.order(order);
        return volume;
    }

    private static TestDisk big() {
        return blank(ByteOrder.BIG_ENDIAN);
    }

    private static TestDisk little() {
        return blank(ByteOrder.LITTLE_ENDIAN);
    }

    private static Arguments checks(String name, TestDisk volume, List<Consumer<TestDisk>> changes) {
        return Arguments.of(name, volume, changes);
    }

    static Stream<Arguments> checked() {
        int superblock = 1024;
        int last = SIZE - 512;
        return Stream.of(
                checks("hfs", big().text(superblock, "BD").u16(superblock + 18, 100).u32(superblock + 20, 4096), List.of(
                        v -> v.u32(superblock + 20, 0), v -> v.u32(superblock + 20, 4097), v -> v.u16(superblock + 18, 0))),
                checks("hfsplus", big().text(superblock, "H+").u16(superblock + 2, 4).u32(superblock + 40, 4096), List.of(
                        v -> v.u16(superblock + 2, 3), v -> v.u32(superblock + 40, 256), v -> v.u32(superblock + 40, 5000))),
                checks("ufs", little().u32((8 << 10) + 48, 4096).u32((8 << 10) + 1372, 0x00011954), List.of(
                        v -> v.u32((8 << 10) + 48, 100), v -> v.u32((8 << 10) + 48, 5000))),
                checks("ufs", big().u32((256 << 10) + 48, 8192).u32((256 << 10) + 1372, 0x19540119), List.of(
                        v -> v.u32((256 << 10) + 1372, 0x19540118))),
                checks("nilfs2", nilfs(superblock), nilfsChanges(superblock)),
                checks("nilfs2", nilfs(SIZE - 4096), nilfsChanges(SIZE - 4096)),
                checks("minix", minix(0x2468).u32(superblock + 20, 5000), List.of(
                        v -> v.u16(superblock, 0), v -> v.u16(superblock, 0xFFFF), v -> v.u32(superblock + 20, 9000),
                        v -> v.u16(superblock + 8, 9000), v -> v.u16(superblock + 16, 0x2469),
                        v -> v.u16(superblock + 56, 0xEF53))),
                checks("minix", little().u16(superblock + 24, 0x4D5A).u16(superblock + 6, 1).u16(superblock + 8, 1)
                        .u16(superblock + 28, 4096), List.of(v -> v.u16(superblock + 6, 0), v -> v.u16(superblock + 8, 0),
                                v -> v.u16(superblock + 28, 5000), v -> v.u16(superblock + 28, 512))),
                checks("gfs2", big().u32(64 << 10, 0x01161970).u32((64 << 10) + 24, 1802), List.of(
                        v -> v.u32((64 << 10) + 24, 1900), v -> v.u32((64 << 10) + 24, 1310))),
                checks("gfs", big().u32(64 << 10, 0x01161970).u32((64 << 10) + 24, 1309), List.of()),
                checks("befs", little().u32(512 + 32, 0x42465331).u32(512 + 68, 0xDD121031L), List.of(
                        v -> v.u32(512 + 68, 0))),
                checks("cs_fvault2", little().u16(8, 1).u16(10, 0x10).text(88, "CS").u32(90, 1), List.of(
                        v -> v.u16(8, 2), v -> v.u16(10, 0x11), v -> v.u32(90, 2))),
                checks("bsd_disklabel", little().u32(512, 0x82564557L).u32(644, 0x82564557L), List.of(v -> v.u32(644, 0))),
                checks("xfs_external_log", big().u32(1024, 0xFEEDBABEL).u32(1032, 2).u32(1036, 512).u32(1024 + 300, 1), List.of(
                        v -> v.u32(1032, 0), v -> v.u32(1032, 4), v -> v.u32(1036, 0), v -> v.u32(1324, 0),
                        v -> v.u32(1324, 4))),
                checks("udf", little().text(32769, "BEA01").text(32769 + 2048, "NSR02"), List.of(
                        v -> v.text(32769, "BEA02"), v -> v.text(32769 + 2048, "NSR04"))),
                checks("udf", little().text(32769, "BEA01").text(32769 + 4096, "NSR03"), List.of(
                        v -> v.text(32769, "\0"))),
                checks("linux_raid_member", little().u32(4096, 0xA92B4EFCL).u32(4100, 1), List.of(v -> v.u32(4100, 0))),
                checks("linux_raid_member", little().u32(SIZE - 8192, 0xA92B4EFCL).u32(SIZE - 8188, 1), List.of(
                        v -> v.u32(SIZE - 8188, 2))),
                checks("linux_raid_member", big().u32(SIZE - 65536, 0xA92B4EFCL), List.of(v -> v.u32(SIZE - 65532, 1))),
                checks("via_raid_member", little().u8(last, 0x55).u8(last + 1, 0xAA).u8(last + 2, 1).u8(last + 50, 0x00), List.of(
                        v -> v.u8(last + 2, 3), v -> v.u8(last + 50, 1), v -> v.u8(last + 9, 1))),
                checks("silicon_medley_raid_member", little().u32(last + 0x60, 0x2F000000).u16(last + 0x13E, -0x2F00), List.of(
                        v -> v.u8(last + 0x116, 8), v -> v.u16(last + 0x13E, -0x2F01))),
                checks("jmicron_raid_member", little().text(last, "JM").u16(last + 4, -0x4D4A), List.of(
                        v -> v.u16(last + 4, -0x4D4C), v -> v.u16(last + 0x30, 6).u16(last + 4, -0x4D4A - 6))),
                checks("adaptec_raid_member", big().u32(last, 0x37FC4D1E).text(last + 256, "DPTM"), List.of(
                        v -> v.u32(last + 256, 0))));
    }

    private static TestDisk nilfs(int at) {
        return little().u32(at, 2).u16(at + 6, 0x3434).u16(at + 8, 280).u32(at + 20, 2).u64(at + 32, SIZE);
    }

    private static List<Consumer<TestDisk>> nilfsChanges(int at) {
        return List.of(v -> v.u32(at, 3), v -> v.u16(at + 8, 31), v -> v.u16(at + 8, 1025), v -> v.u32(at + 20, 7),
                v -> v.u64(at + 32, 0), v -> v.u64(at + 32, -1));
    }

    private static TestDisk minix(int magic) {
        return little().u16(1024, 1000).u16(1024 + 4, 1).u16(1024 + 6, 1).u16(1024 + 8, 40).u16(1024 + 16, magic);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource
    void checked(String name, TestDisk volume, List<Consumer<TestDisk>> changes) throws IOException {
        assertEquals(List.of(name), names(volume));
        byte[] sound = volume.bytes.array().clone();
        for (int i = 0; i < changes.size(); i++) {
            changes.get(i).accept(volume);
            assertEquals(List.of(), names(volume), "change " + i);
            volume.bytes.put(0, sound);
        }
    }

    /** From the end in sectors of 512 bytes; the signature alone tells. */
    @ParameterizedTest
    @CsvSource({"isw_raid_member, 2, 'Intel Raid ISM Cfg Sig. '", "isw_raid_member, 16, 'Intel Raid ISM Cfg Sig. '",
        "lsi_mega_raid_member, 1, $XIDE$", "nvidia_raid_member, 2, NVIDIA", "geom, 1, GEOM::MIRROR", "geom, 8, GEOM::ELI",
        "ldm, 1, PRIVHEAD", "ldm, 192, PRIVHEAD", "promise_fasttrack_raid_member, 255, 'Promise Technology, Inc.'",
        "promise_fasttrack_raid_member, 991, 'Promise Technology, Inc.'"})
    void raidDataAtTheEnd(String name, int sectors, String signature) throws IOException {
        assertEquals(List.of(name), names(little().text(SIZE - sectors * 512L, signature)));
        TestDisk odd = TestDisk.ofSize(SIZE + 4096 + 100);
        assertEquals(List.of(name), names(odd.text(SIZE + 4096 - sectors * 512L, signature)));
    }

    @Test
    void ddfInBothByteOrders() throws IOException {
        assertEquals(List.of("ddf_raid_member"), names(big().u32(SIZE - 512, 0xDE11DE11L)));
        assertEquals(List.of("ddf_raid_member"), names(little().u32(SIZE - 257 * 512, 0xDE11DE11L)));
    }

    @Test
    void eachOfTheFourZfsLabelsTells() throws IOException {
        int size = (4 << 20) + 12345;
        int end = 4 << 20;
        for (int label : new int[] {0, 256 << 10, end - (512 << 10), end - (256 << 10)}) {
            int at = label + (16 << 10);
            TestDisk volume = TestDisk.ofSize(size);
            volume.bytes.order(ByteOrder.BIG_ENDIAN);
            volume.u8(at, 1).u8(at + 1, 1).u32(at + 8, 1).text(at + 24, "version");
            assertEquals(List.of("zfs_member"), names(volume));
            assertEquals(List.of(), names(volume.u32(at + 8, 2)));
        }
    }

    @Test
    void bitLockerOnAStickAndOnADisk() throws IOException {
        assertTrue(names(little().text(3, "-FVE-FS-")).contains("BitLocker"));
        String guid = "\u003b\u00d6\u0067\u0049\u0029\u002e\u00d8\u004a\u0083\u0099\u00f6\u00a3\u0039\u00e3\u00d0\u0001";
        assertEquals(List.of("BitLocker"), names(little().text(424, guid)));
        assertEquals(List.of("BitLocker", "vfat"), names(MbrTest.fat(TestDisk.ofSize(SIZE)).text(424, guid)));
    }

    @Test
    void refsAndStorageSpaces() throws IOException {
        assertEquals(List.of("ReFS"), names(little().text(0, "\0\0\0ReFS\0\0\0\0")));
        assertEquals(List.of("storage_spaces"), names(little().text(4096, "SPACEDB ")));
    }

    @Test
    void mbrAndNtfsBootSectorsAreNoFat() throws IOException {
        assertEquals(List.of(), names(TestDisk.ofSize(SIZE).mbr(0, 0x0C, 63, 1000)));
        assertEquals(List.of(), names(TestDisk.ofSize(SIZE).ntfs(0, 512)));
    }

    @ParameterizedTest
    @CsvSource({"11, 0, 2", "11, 513, 2", "11, 8192, 2", "13, 0, 1", "13, 3, 1", "14, 0, 2", "16, 0, 1", "16, 5, 1", "21, 0x13, 1",
        "19, 0, 2", "22, 0, 2"})
    void fatNeedsEveryField(int at, String value, int length) throws IOException {
        TestDisk volume = MbrTest.fat(TestDisk.ofSize(SIZE));
        assertEquals(List.of("vfat"), names(volume));
        int number = Integer.decode(value);
        assertEquals(List.of(), names(length == 1 ? volume.u8(at, number) : volume.u16(at, number)));
    }

    @Test
    void fatWithoutANameNeedsJumpAndMark() throws IOException {
        TestDisk volume = MbrTest.fat(TestDisk.ofSize(SIZE)).text(54, "\0\0\0");
        assertEquals(List.of("vfat"), names(volume));
        assertEquals(List.of(), names(volume.u8(510, 0)));
        assertEquals(List.of(), names(volume.u8(510, 0x55).u8(0, 0)));
    }

    /** No content may make a scan fail: real superblocks with each byte changed in turn. */
    @ParameterizedTest
    @CsvSource({"fat", "hfsplus", "minix-LE", "nilfs2", "udf-hdd-win7", "via-raid", "swap1", "bcache-B"})
    void changedBytesNeverFail(String image) throws IOException {
        Path file = Corpus.unpack("util-linux/images-fs/" + image + ".img.xz", directory);
        byte[] start = new byte[VolumeBytes.START];
        try (var input = Files.newInputStream(file)) {
            int length = input.readNBytes(start, 0, start.length);
            start = Arrays.copyOf(start, length);
        }
        for (int at = 0; at < Math.min(start.length, 2048); at += 3) {
            start[at] ^= (byte) 0xFF;
            VolumeSignatures.scan(new ByteArraySource(start));
            start[at] ^= (byte) 0xFF;
        }
        ByteBuffer.wrap(start).putLong(0, -1);
        VolumeSignatures.scan(new ByteArraySource(start));
    }

    /** DRBD takes the last whole block of 4 KiB, wherever the volume ends. */
    @Test
    void drbdOnAVolumeThatEndsBetweenTwoBlocks() throws IOException {
        TestDisk volume = TestDisk.ofSize(SIZE + 3 * 512).text(SIZE - 4096 + 60, "\u0083\u0074\u0002\u006d");
        assertEquals(List.of("drbd"), names(volume));
    }

    @Test
    void partitionTableOfAPartition() throws IOException {
        TestDisk table = TestDisk.ofSize(SIZE).mbr(1, 0x83, 64, 100);
        assertEquals(List.of(), names(table));
        assertEquals(List.of("dos"), namesOfPartition(table));
        assertEquals(List.of("dos", "gpt"), namesOfPartition(TestDisk.ofSize(SIZE).gpt()));
        assertEquals(List.of("gpt"), namesOfPartition(TestDisk.ofSize(SIZE).gpt().u16(510, 0)));
        assertEquals(List.of("gpt"), namesOfPartition(new TestDisk(SIZE, 4096).gpt().u16(510, 0)));
        // Code that happens to end in 55 AA, entries that lead nowhere, and the boot sector of a volume are no tables.
        assertEquals(List.of(), namesOfPartition(TestDisk.ofSize(SIZE).mbr(1, 0x83, 64, 100).u8(446, 0x17)));
        assertEquals(List.of(), namesOfPartition(TestDisk.ofSize(SIZE).mbr(1, 0x83, 64, SIZE / 512)));
        assertEquals(List.of(), namesOfPartition(TestDisk.ofSize(SIZE).mbr(1, 0x83, 0, 100)));
        assertEquals(List.of(), namesOfPartition(TestDisk.ofSize(SIZE).mbr(1, 0x83, 64, 100).ntfs(0, 512)));
        assertEquals(List.of(), namesOfPartition(TestDisk.ofSize(256)));
    }

    private static List<String> namesOfPartition(TestDisk partition) throws IOException {
        return VolumeSignatures.scanPartition(partition.source()).stream().map(VolumeSignature::name).toList();
    }
}
