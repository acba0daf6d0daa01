package io.lacuna.fs.ext;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.fixtures.FileSource;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Where the journal lies, against debugfs. */
class JournalTest {

    @TempDir
    Path directory;

    @ParameterizedTest
    @ValueSource(strings = {
        "-t ext3 -b 1024 -J size=1", "-t ext3 -b 1024 -J size=70", "-t ext3 -b 4096 -J size=20", "-t ext4 -b 1024 -J size=70",
        // Small groups without flex_bg: an extent a group, more than fit in the inode.
        "-t ext4 -b 1024 -g 1024 -O ^flex_bg -J size=30", "-t ext4 -b 1024 -g 256 -O ^flex_bg,^64bit -J size=60"})
    void blocksAreThoseOfDebugfs(String options) throws IOException {
        Tools.require("mke2fs", "debugfs");
        Path image = directory.resolve("journal.img");
        Tools.shell("mke2fs -q -F $2 \"$1\" 300M", image, options);
        long[] blocks = Arrays.stream(Tools.ok("debugfs", "-R", "blocks <8>", image.toString()).split("\\s+"))
                .filter(word -> word.matches("\\d+")).mapToLong(Long::parseLong).toArray();
        try (FileSource source = new FileSource(image)) {
            Superblock superblock = Superblock.read(source);
            Journal journal = Journal.read(source, superblock);
            Ranges ranges = new Ranges("journal");
            journal.blocks().addTo(ranges);
            ExtentSet.Builder expected = ExtentSet.builder();
            for (long block : blocks) {
                expected.add(block * superblock.blockSize(), superblock.blockSize());
            }
            assertEquals(expected.build(), ranges.build());

            // The map from block to block, where "bmap" is asked for one at a time.
            long length = journal.blocks().length();
            assertTrue(length >= journal.superblock().maxLength());
            for (long logical : new long[] {0, 1, 11, 12, 13, 267, 268, 269, 1000, length / 2, length - 1}) {
                if (logical < length) {
                    String bmap = Tools.ok("debugfs", "-R", "bmap <8> " + logical, image.toString());
                    assertEquals(Long.parseLong(bmap.lines().reduce((a, b) -> b).orElseThrow().trim()),
                            journal.blocks().blockOf(logical), "journal block " + logical);
                }
            }
        }
    }

    @Test
    void superblockSaysWhatDumpE2fsSays() throws IOException {
        Tools.require("mke2fs", "dumpe2fs");
        Path image = directory.resolve("journal.img");
        Tools.ok("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-O", "fast_commit", image.toString(), "300M");
        String dump = Tools.ok("dumpe2fs", "-h", image.toString());
        try (FileSource source = new FileSource(image)) {
            JournalSuperblock journal = Journal.read(source, Superblock.read(source)).superblock();
            assertTrue(dump.matches("(?s).*Total journal blocks:\\s+" + journal.maxLength() + "\n.*"), dump);
            assertTrue(dump.matches("(?s).*Journal sequence:\\s+0x0*" + Long.toHexString(journal.sequence()) + "\n.*"), dump);
            assertEquals(0, journal.start());
            assertTrue(journal.isEmpty());
            assertEquals(4096, journal.blockSize());
        }
    }
}
