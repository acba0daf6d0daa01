package io.lacuna.fs.ext;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.UnsupportedException;
import io.lacuna.fixtures.ByteArraySource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;

/** The list of what a journal names against a map, and the view after a replay against an array. */
class JournalEntriesProperties {

    @Property(tries = 300)
    void theLastEntryOfABlockIsFound(@ForAll @Size(max = 600) List<@IntRange(max = 50) Integer> blocks) throws IOException {
        JournalEntries entries = new JournalEntries();
        Map<Long, Integer> model = new TreeMap<>();
        for (int i = 0; i < blocks.size(); i++) {
            long block = blocks.get(i) * ((1L << 42) / 51);
            entries.add(block, i, -i);
            model.put(block, i);
        }
        entries.sort();
        int last = 0;
        for (int i = 0; i < entries.count(); i++) {
            last += entries.isLast(i) ? 1 : 0;
        }
        assertEquals(model.size(), last);
        model.forEach((block, value) -> {
            int at = entries.findLast(block);
            assertEquals(value, entries.value(at));
            assertEquals(-value, entries.transaction(at));
            assertTrue(entries.findLast(block + 1) < 0);
            assertEquals(block, entries.block(entries.firstFrom(block)));
        });
    }

    @Example
    void tooManyAreRefused() throws IOException {
        JournalEntries entries = new JournalEntries();
        for (int i = 0; i < JournalEntries.LIMIT; i++) {
            entries.add(i, i, 1);
        }
        assertThrows(UnsupportedException.class, () -> entries.add(1, 1, 1));
    }

    @Property(tries = 20)
    void anyPieceReadsAsTheWhole(@ForAll long seed) throws IOException {
        Path folder = Files.createTempDirectory("replayed");
        try {
            ExtImage image = new ExtImage(small(folder));
            JournalMaker maker = new JournalMaker(image, 3, true, 0, 1, 1);
            Random random = new Random(seed);
            for (int t = 0; t < 4; t++) {
                for (int i = 0; i < 6; i++) {
                    maker.log(4000 + random.nextInt(40), maker.block(random.nextInt(256), random.nextInt(3) == 0));
                }
                maker.revoke(4000 + random.nextInt(40)).commit();
            }
            ByteArraySource source = new ByteArraySource(image.bytes);
            Superblock superblock = Superblock.read(source);
            ReplayedVolume after = (ReplayedVolume) Replay.of(source, superblock, Journal.read(source, superblock)).volume();
            byte[] expected = maker.expected();
            for (int i = 0; i < 300; i++) {
                int from = 3990 * 1024 + random.nextInt(60 * 1024);
                ByteBuffer piece = ByteBuffer.allocate(1 + random.nextInt(5000));
                piece.position(random.nextInt(piece.capacity()));
                int start = piece.position();
                after.read(from, piece);
                assertEquals(piece.capacity(), piece.position());
                assertEquals(piece.capacity(), piece.limit());
                byte[] found = new byte[piece.capacity() - start];
                piece.get(start, found);
                byte[] wanted = new byte[found.length];
                System.arraycopy(expected, from, wanted, 0, wanted.length);
                assertArrayEquals(wanted, found);
            }
        } finally {
            try (var files = Files.list(folder)) {
                for (Path file : files.toList()) {
                    Files.delete(file);
                }
            }
            Files.delete(folder);
        }
    }

    private static byte[] made;

    private static synchronized byte[] small(Path folder) throws IOException {
        if (made == null) {
            made = ExtImage.make(folder, "5M", "-t", "ext4", "-b", "1024", "-J", "size=1").bytes;
        }
        return made.clone();
    }
}
