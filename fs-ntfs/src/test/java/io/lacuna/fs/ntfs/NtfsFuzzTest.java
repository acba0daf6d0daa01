package io.lacuna.fs.ntfs;

import static org.junit.jupiter.api.Assertions.assertThrows;

import com.code_intelligence.jazzer.junit.FuzzTest;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FreeSpace;
import io.lacuna.blockio.VolumeOptions;
import io.lacuna.fixtures.ByteArraySource;
import io.lacuna.fixtures.FuzzedImages;
import io.lacuna.fixtures.KeptInputs;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** NTFS: the volume, its bitmap, its files, its shadow copies. */
class NtfsFuzzTest {

    private static final int RECORDS = 72;
    /** FILE, INDX, RSTR. */
    private static final List<Integer> MAGICS = List.of(0x454C4946, 0x58444E49, 0x52545352);
    private static final FuzzedImages IMAGES = new FuzzedImages();

    @BeforeAll
    static void make(@TempDir Path scratch) throws IOException {
        NtfsEditor small = NtfsVolumes.small();
        add(small, NtfsVolumes.small().bytes);
        add(small, ShadowCopiesTest.block(ShadowCopiesTest.header(3 << 20), 3 << 20, 0).bytes, 0x1E00, 512, 3 << 20, 16384);
        ShadowVolume shadows = ShadowVolume.sound();
        List<Integer> regions = new ArrayList<>(List.of(0x1E00, 512, shadows.catalog, 16384));
        for (int[] store : shadows.records) {
            for (int block : store) {
                regions.addAll(List.of(block, 16384));
            }
        }
        add(new NtfsEditor(shadows.bytes), shadows.bytes, regions.stream().mapToInt(Integer::intValue).toArray());
        IMAGES.addCorpus(scratch, image -> { }, "ColinFinck-ntfs/testfs1");
    }

    /** Takes the fix-ups out, so that changes need not care for them; sealing puts new ones in. */
    private static void add(NtfsEditor layout, byte[] sound, int... more) {
        List<int[]> fixed = new ArrayList<>();
        for (int i = 0; i < RECORDS; i++) {
            fixed.add(new int[] {layout.recordOffset(i), layout.recordSize()});
        }
        for (int i = 0; i < 4; i++) {
            fixed.add(new int[] {layout.mirrorOffset(i), layout.recordSize()});
        }
        fixed.add(new int[] {layout.firstRun(5, 0xA0), 4096});
        int log = layout.firstRun(2, NtfsEditor.DATA);
        fixed.add(new int[] {log, 4096});
        fixed.add(new int[] {log + 4096, 4096});
        byte[] bytes = sound.clone();
        fixed.removeIf(at -> !unfix(slice(bytes, at)));
        List<int[]> regions = new ArrayList<>();
        regions.add(new int[] {0, 512});
        for (int i = 0; i < more.length; i += 2) {
            regions.add(new int[] {more[i], more[i + 1]});
        }
        regions.addAll(fixed);
        regions.add(new int[] {layout.firstRun(6, NtfsEditor.DATA), layout.clusterCount() / 8});
        IMAGES.add(bytes, image -> {
            for (int i = 0; i < 4; i++) {
                System.arraycopy(image, layout.recordOffset(i), image, layout.mirrorOffset(i), layout.recordSize());
            }
            for (int[] at : fixed) {
                NtfsEditor.seal(slice(image, at));
            }
        }, regions.stream().flatMapToInt(Arrays::stream).toArray());
    }

    private static ByteBuffer slice(byte[] bytes, int[] at) {
        return ByteBuffer.wrap(bytes, at[0], at[1]).slice().order(ByteOrder.LITTLE_ENDIAN);
    }

    private static boolean unfix(ByteBuffer record) {
        int array = record.getShort(4);
        if (!MAGICS.contains(record.getInt(0)) || array <= 0 || array + 2 + record.limit() / 256 > 510) {
            return false;
        }
        for (int i = 1; i <= record.limit() / 512; i++) {
            record.putShort(i * 512 - 2, record.getShort(array + 2 * i));
        }
        return true;
    }

    @Test
    void theSecondReadingKnowsEveryClusterInUse() throws IOException {
        NtfsEditor small = NtfsVolumes.small();
        ExtentSet free = small.freeSpace().free();
        SecondReading.requireFree(small.bytes, free);
        int size = small.clusterSize();
        for (long cluster = 0; cluster < small.clusterCount(); cluster++) {
            ExtentSet one = ExtentSet.ofRange(cluster * size, size);
            if (free.intersect(one).isEmpty()) {
                assertThrows(AssertionError.class, () -> SecondReading.requireFree(small.bytes, one), "in use: " + one);
            }
        }
    }

    @TestFactory
    Stream<DynamicTest> keptInputs() throws IOException {
        return KeptInputs.of(NtfsFuzzTest.class, "volumes", this::volumes);
    }

    @Tag("fuzz")
    @FuzzTest
    void volumes(byte[] input) {
        IMAGES.check(input, (image, number, options) -> {
            NtfsProbe probe = new NtfsProbe();
            ByteArraySource volume = new ByteArraySource(image);
            probe.recognise(volume);
            FreeSpace space = probe.open(volume, new VolumeOptions((options & 2) != 0, (options & 1) == 0)).freeSpace();
            SecondReading.requireFree(image, space.free());
        });
    }
}
