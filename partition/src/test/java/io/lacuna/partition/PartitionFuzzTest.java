package io.lacuna.partition;

import com.code_intelligence.jazzer.junit.FuzzTest;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.fixtures.ByteArraySource;
import io.lacuna.fixtures.FuzzedImages;
import io.lacuna.fixtures.KeptInputs;
import java.io.IOException;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** Partition tables and signatures of volumes. */
class PartitionFuzzTest {

    private static final int SIZE = 128 << 10;
    private static final FuzzedImages IMAGES = new FuzzedImages();

    @BeforeAll
    static void make(@TempDir Path scratch) throws IOException {
        for (int sectorSize : new int[] {512, 4096}) {
            int first = sectorSize == 512 ? 64 : 16;
            TestDisk gpt = new TestDisk(SIZE, sectorSize).gpt(8, 128).gptEntry(1, TestDisk.LINUX, first, first + 3)
                    .gptEntry(3, TestDisk.BASIC_DATA, first + 4, first + 7);
            IMAGES.add(gpt.bytes.array(), image -> seal(image, sectorSize), 0, 512, sectorSize, 92, 2 * sectorSize, 1024,
                    SIZE - sectorSize, 92, SIZE - 3 * sectorSize, 2 * sectorSize);
        }
        TestDisk mbr = TestDisk.ofSize(SIZE).mbr(0, 0x83, 8, 56).mbr(1, 0x05, 64, 190).mbrEntry(64, 0, 0, 0x83, 8, 40)
                .mbrEntry(64, 1, 0, 0x05, 100, 90).mbrEntry(164, 0, 0, 0x07, 8, 40);
        IMAGES.add(mbr.bytes.array(), 440, 72, 64 * 512 + 440, 72, 164 * 512 + 440, 72, 0, SIZE);
        IMAGES.add(new byte[SIZE + (70 << 10)]);
        IMAGES.addCorpus(scratch, image -> seal(image, 512), "Quyzi-gpt/gpt-disk.img", "node-gpt/bootcamp.bin",
                "node-gpt/raspberry.bin",
                "node-gpt/gpt-primary-exfat.bin", "lde-testdata/test.fat", "lde-testdata/test.vfat");
    }

    private static void seal(byte[] image, int sectorSize) {
        TestDisk disk = new TestDisk(image.length, sectorSize);
        disk.bytes.put(0, image);
        try {
            disk.seal();
        } finally {
            disk.bytes.get(0, image);
        }
    }

    @TestFactory
    Stream<DynamicTest> keptInputs() throws IOException {
        return KeptInputs.of(PartitionFuzzTest.class, "tablesAndSignatures", this::tablesAndSignatures);
    }

    @Tag("fuzz")
    @FuzzTest
    void tablesAndSignatures(byte[] input) {
        IMAGES.check(input, (image, number, options) -> {
            ByteArraySource disk = new ByteArraySource(image);
            VolumeSignatures.scan(disk);
            PartitionTable table = PartitionTable.read(disk);
            ExtentSet taken = ExtentSet.EMPTY;
            for (Partition partition : table.partitions()) {
                if (partition.refusal().isEmpty()) {
                    VolumeSignatures.scan(disk.window(partition.offset(), partition.length()));
                    require(!taken.intersects(partition.offset(), partition.length()), "overlap: " + partition);
                    require(table.scheme().equals("none") || partition.offset() >= 512, "over the table: " + partition);
                    taken = taken.union(ExtentSet.ofRange(partition.offset(), partition.length()));
                }
            }
            ExtentSet gaps = table.gaps();
            require(taken.union(gaps).minus(ExtentSet.ofRange(0, image.length)).isEmpty(), "behind the end: " + gaps);
            require(taken.intersect(gaps).isEmpty(), "a gap in a partition: " + gaps);
        });
    }

    private static void require(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }
}
