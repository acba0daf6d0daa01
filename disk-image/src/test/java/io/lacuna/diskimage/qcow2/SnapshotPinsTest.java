package io.lacuna.diskimage.qcow2;

import static io.lacuna.diskimage.qcow2.Images.kib;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Deallocation;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What stays because of snapshots is told by the names of those that need it. */
class SnapshotPinsTest {

    @TempDir
    Path directory;

    private Path image;

    @BeforeEach
    void makeImage() throws IOException {
        Tools.require("qemu-img", "qemu-io");
        image = directory.resolve("image.qcow2");
        Images.pattern(directory.resolve("model.raw"), 2 << 20, 3);
        Tools.shell("cd \"$1\"; qemu-img convert -f raw -O qcow2 model.raw image.qcow2", directory);
    }

    private void write(int fromKib, int lengthKib) {
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -P 7 " + fromKib + "k " + lengthKib + "k", image.toString());
    }

    private void snapshot(String name) {
        Tools.ok("qemu-img", "snapshot", "-c", name, image.toString());
    }

    @Test
    void eachSnapshotIsNamedForWhatItPins() throws IOException {
        snapshot("a");
        write(0, 256);
        snapshot("b");
        write(512, 256);
        byte[] a = Images.content(image, "-l", "a");
        byte[] b = Images.content(image, "-l", "b");
        // 0-256: since a, also in b. 256-512 and 768-2048: in both. 512-768: the current state's alone.
        Deallocation plan = Images.run(image, Images.request(kib(0, 2048)));
        assertEquals(kib(0, 256), Images.retained(plan, "shared with snapshot 'b'"));
        assertEquals(kib(256, 512, 768, 2048), Images.retained(plan, "shared with the snapshots 'a', 'b'"));
        assertEquals(kib(512, 768), plan.reclaimable());
        assertArrayEquals(a, Images.content(image, "-l", "a"));
        assertArrayEquals(b, Images.content(image, "-l", "b"));
        Tools.ok("qemu-img", "snapshot", "-d", "a", image.toString());
        Images.assertChecks(image);
        Tools.ok("qemu-img", "snapshot", "-d", "b", image.toString());
        Images.assertChecks(image);
    }

    @Test
    void aTableThatAllSnapshotsShareNamesThemAllInBounds() throws IOException {
        List.of("a", "b", "c", "d", "e").forEach(this::snapshot);
        Deallocation plan = Images.run(image, Images.request(kib(256, 512)));
        assertTrue(plan.isEmpty());
        assertEquals(kib(256, 512), Images.retained(plan, "shared with the snapshots 'a', 'b', 'c' and 2 more"));
    }

    @Test
    void aCompressedClusterIsPinnedToo() throws IOException {
        Tools.shell("cd \"$1\"; seq 1 400000 > text; truncate -s 2M text\n"
                + "qemu-img convert -c -f raw -O qcow2 text image.qcow2; qemu-img snapshot -c a image.qcow2\n"
                + "qemu-io -f qcow2 -c 'write -P 7 1M 64k' image.qcow2", directory);
        byte[] a = Images.content(image, "-l", "a");
        Deallocation plan = Images.run(image, Images.request(kib(0, 512)));
        assertEquals(kib(0, 512), Images.retained(plan, "compressed, and shared with snapshot 'a'"), plan.retained()::toString);
        assertArrayEquals(a, Images.content(image, "-l", "a"));
        Images.assertChecks(image);
    }

    @Test
    void moreSetsThanAreKeptAreStillSnapshots() throws IOException {
        int count = 400;
        List<Snapshot> snapshots = IntStream.range(0, count).mapToObj(i -> new Snapshot("s" + i, 65536, 1)).toList();
        SnapshotPins pins = new SnapshotPins(snapshots, count + 1);
        // Cluster n is pinned by the snapshots from n on: ten million numbers in all sets.
        for (int i = 0; i < count; i++) {
            for (int cluster = 0; cluster <= i; cluster++) {
                pins.add(cluster, i);
            }
        }
        assertNull(pins.reason(count));
        assertEquals("shared with snapshot 's399'", pins.reason(count - 1));
        assertEquals("shared with one of the snapshots 's0', 's1', 's2' and 397 more", pins.reason(0));
        assertSame(pins.reason(0), pins.reason(1));
        assertNotEquals(pins.reason(0), pins.reason(count - 1));
        assertTrue(pins.isReason(pins.reason(0)));
    }
}
