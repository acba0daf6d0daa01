package io.lacuna.fs.ext;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.FreeSpace;
import io.lacuna.fixtures.FileSource;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.ServiceLoader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The cost follows the metadata: descriptors and written bitmaps, each once. */
class CostTest {

    @TempDir
    Path directory;

    /** One block for each written bitmap, 64 bytes for each group, and a little for superblock, journal and its inode. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            64G  | -t ext4
            64G  | -t ext4 -G 512
            32G  | -t ext4 -O meta_bg,^resize_inode
            16G  | -t ext4 -O bigalloc -C 65536
            200G | -t ext4 -O ^flex_bg
            """)
    void bytesRead(String size, String options) throws IOException {
        Tools.require("mke2fs", "dumpe2fs");
        Path image = directory.resolve("large.img");
        Tools.shell("mke2fs -q -F -E lazy_itable_init=1,lazy_journal_init=1,nodiscard $3 \"$1\" $2", image, size, options);
        String dump = Tools.ok("dumpe2fs", image.toString());
        long groups = dump.lines().filter(line -> line.startsWith("Group ")).count();
        long written = dump.lines().filter(line -> line.startsWith("Group ") && !line.contains("BLOCK_UNINIT")).count();
        assertTrue(options.contains("^flex_bg") || written <= groups / 2, written + " of " + groups);
        try (FileSource source = new FileSource(image)) {
            FreeSpace space = new ExtProbe().open(source).freeSpace();
            assertEquals(DumpE2fs.parse(dump), space.free());
            // Descriptors of 64 bytes and in whole blocks; superblock, journal and its inode beside them.
            long bound = written * 4096 + (groups * 64 + 4095) / 4096 * 4096 + 4 * 4096;
            assertTrue(source.bytesRead() <= bound, source.bytesRead() + " bytes read, bound " + bound);
            long runs = options.contains("-G 512") ? 10 : written + groups / 64 + 10;
            assertTrue(source.reads() <= runs, source.reads() + " reads, bound " + runs);
        }
    }

    @Test
    void bitmapsSideBySideAreReadTogetherAndAnnouncedBefore() throws IOException {
        Path image = ExtImage.makeFile(directory, "60M", "-t", "ext2", "-O", "flex_bg", "-b", "1024", "-g", "512", "-G", "32");
        record Access(boolean prefetch, long offset, long length) {
        }
        List<Access> accesses = new ArrayList<>();
        try (FileSource file = new FileSource(image)) {
            BlockSource source = new BlockSource() {
                @Override
                public long size() {
                    return file.size();
                }

                @Override
                public void read(long offset, ByteBuffer target) throws IOException {
                    accesses.add(new Access(false, offset, target.remaining()));
                    file.read(offset, target);
                }

                @Override
                public void prefetch(long offset, long length) {
                    accesses.add(new Access(true, offset, length));
                }
            };
            new ExtProbe().open(source).freeSpace();
        }
        long bitmapReads = accesses.stream().filter(access -> !access.prefetch() && access.length() == 32 * 1024).count();
        assertTrue(bitmapReads >= 3, "120 groups, 32 bitmaps a read: " + accesses);
        for (int i = 1; i < accesses.size(); i++) {
            Access read = accesses.get(i);
            if (!read.prefetch()) {
                assertTrue(accesses.indexOf(new Access(true, read.offset(), read.length())) < i, read + " was not announced");
                assertTrue(accesses.contains(new Access(true, read.offset(), read.length())), read + " was not announced");
            }
        }
        Files.delete(image);
    }

    @Test
    void theProbeIsAService() {
        assertTrue(ServiceLoader.load(io.lacuna.blockio.FileSystemProbe.class).stream()
                .anyMatch(provider -> provider.type() == ExtProbe.class));
    }
}
