package io.lacuna.fs.ntfs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.fixtures.ByteArraySource;
import io.lacuna.fixtures.Corpus;
import io.lacuna.fixtures.FileSource;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Records of shadow copies with a byte wrong anywhere: the right answer, less, or a refusal, and nothing else. */
class HostileShadowsTest {

    private static final Duration LIMIT = Duration.ofMinutes(2);

    @TempDir
    Path directory;

    /** A source with one byte changed. */
    private record Flipped(BlockSource sound, long at, int flip) implements BlockSource {

        @Override
        public long size() {
            return sound.size();
        }

        @Override
        public void read(long offset, ByteBuffer target) throws IOException {
            int start = target.position();
            int length = target.remaining();
            sound.read(offset, target);
            if (at >= offset && at < offset + length) {
                int place = start + (int) (at - offset);
                target.put(place, (byte) (target.get(place) ^ flip));
            }
        }
    }

    /** A source that ends early, for a file system that does not. */
    private record Unreadable(BlockSource sound, long from) implements BlockSource {

        @Override
        public long size() {
            return sound.size();
        }

        @Override
        public void read(long offset, ByteBuffer target) throws IOException {
            if (offset + target.remaining() > from && offset >= 1 << 20) {
                throw new EOFException("cut");
            }
            sound.read(offset, target);
        }
    }

    /** @return whether the volume was refused */
    private static boolean check(BlockSource volume, ExtentSet free, String what) {
        try {
            assertEquals(ExtentSet.EMPTY, NtfsVolumes.freeSpace(volume).free().minus(free), what);
            return false;
        } catch (DiskFormatException | EOFException expected) {
            return true;
        } catch (Exception e) {
            throw new AssertionError(what, e);
        }
    }

    private static void flip(BlockSource sound, long start, int length, int step, String what) throws IOException {
        ExtentSet free = NtfsVolumes.freeSpace(sound).free();
        assertTimeoutPreemptively(LIMIT, () -> {
            int refused = 0;
            for (long at = start; at < start + length; at += step) {
                for (int flip : new int[] {1 << at % 8, 0xFF}) {
                    refused += check(new Flipped(sound, at, flip), free, what + " byte " + (at - start) + " ^ " + flip) ? 1 : 0;
                }
            }
            assertTrue(refused > 0, "nothing was noticed in " + what);
        });
    }

    /** Record of the newer shadow copy (4: the catalog), how many bytes of it. A bitmap's bits have nothing to prove them. */
    @ParameterizedTest
    @CsvSource({"0,256", "1,1024", "2,128", "3,128", "4,768"})
    void aByteWrongIsARefusalOrFreesNoMore(int record, int length) throws IOException {
        ShadowVolume volume = ShadowVolume.sound();
        flip(new ByteArraySource(volume.bytes), record == 4 ? volume.catalog : volume.records[1][record], length, 1,
                "record " + record);
    }

    @Test
    void noiseInTheRecordsIsARefusalOrTakesNothing() throws IOException {
        ShadowVolume volume = ShadowVolume.sound();
        BlockSource source = new ByteArraySource(volume.bytes);
        ExtentSet freeNow = ShadowVolume.free(volume.bytes);
        Random random = new Random(20260102);
        assertTimeoutPreemptively(LIMIT, () -> {
            for (int round = 0; round < 1000; round++) {
                int record = random.nextInt(5);
                int at = (record == 4 ? volume.catalog : volume.records[1][record]) + 0x28 + random.nextInt(700);
                byte[] saved = Arrays.copyOfRange(volume.bytes, at, at + 8);
                volume.volume.putLong(at, random.nextBoolean() ? random.nextLong() : 1L << random.nextInt(64));
                check(source, freeNow, "round " + round);
                System.arraycopy(saved, 0, volume.bytes, at, saved.length);
            }
        });
    }

    @Test
    void anEndInsideOfTheRecordsIsAnError() throws IOException {
        ShadowVolume volume = ShadowVolume.sound();
        BlockSource source = new ByteArraySource(volume.bytes);
        for (int[] records : volume.records) {
            for (int record : records) {
                assertTrue(check(new Unreadable(source, record + 100), ExtentSet.EMPTY, "record at " + record));
            }
        }
    }

    /** Windows' own records. */
    @Test
    void aByteWrongInTheRecordsOfWindowsIsARefusalOrFreesNoMore() throws IOException {
        Path image = Corpus.unpack("dfir_ntfs/vss_2_stor.tar.gz", directory);
        try (FileSource disk = new FileSource(image)) {
            BlockSource volume = disk.window(67584L * 512, disk.size() - 67584L * 512);
            flip(volume, 0x1E00, 128, 1, "header");
            flip(volume, 0x730000, 640, 3, "catalog");
            for (long store : new long[] {0x9EF00000L, 0xB2F00000L, 0xC6F00000L}) {
                flip(volume, store, 192, 5, "store header");
                flip(volume, store + 0x4000, 512, 5, "block list");
            }
            for (long bitmap : new long[] {0x9EF14000L, 0xC6F10000L, 0xC6F1C000L}) {
                flip(volume, bitmap, 48, 1, "bitmap");
            }
        }
    }
}
