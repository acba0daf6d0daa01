package io.lacuna.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.fixtures.Corpus;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A disk that Windows made shadow copies on: after a run libvshadow reads every file of them as it did before. */
class ShadowCopiesRunTest {

    private static final long START = 67584L * 512;
    private static final int FILL = 8 << 20;

    @TempDir
    Path directory;

    @Test
    void everyFileOfEveryShadowCopyStays() throws IOException {
        Tools.require("vshadowmount", "fusermount3", "ntfs-3g");
        Tools.requireFuse();
        Path image = Corpus.unpack("dfir_ntfs/vss_2_stor.tar.gz", directory);
        fill(image, 512L << 20, 4L << 30);
        String before = files(image);
        assertTrue(before.contains("./test.txt"), before);

        ImageReport done = ReclaimRun.run(image, ReclaimRun.options(ReclaimOptions.Purpose.RECLAIM).build());

        assertNull(done.reason());
        assertEquals(ImageReport.Verdict.RECLAIMED, done.verdict());
        VolumeReport ntfs = done.volumes().get(1);
        assertEquals(2 * FILL, ntfs.reclaimableBytes());
        assertEquals(1_131_086L * 4096, ntfs.freeBytes());
        assertEquals(List.of(new VolumeReport.NotReclaimable(712_704, "still needed by a shadow copy")),
                ntfs.notReclaimable().subList(0, 1));
        assertEquals(ntfs.freeBytes(), ntfs.reclaimableBytes()
                + ntfs.notReclaimable().stream().mapToLong(VolumeReport.NotReclaimable::bytes).sum());
        assertTrue(ntfs.evidence().toString().contains("read the bitmaps of 1 shadow copy"), ntfs.evidence().toString());
        assertEquals(before, files(image));
    }

    /** The other disk of the same machine: its shadow copy's store is on the first one, and nobody can tell what it needs. */
    @Test
    void aVolumeWhoseShadowCopiesAreStoredElsewhereIsLeftAlone() throws IOException {
        Path image = Corpus.unpack("dfir_ntfs/vss_1_vol.tar.gz", directory);
        fill(image, 512L << 20, 4L << 30);
        // What the host has yet to place may take blocks of its own when it does.
        Tools.ok("sync", image.toString());
        String before = Tools.ok("stat", "-c", "%y %z %s %b", image.toString());
        ImageReport report = ReclaimRun.run(image, ReclaimRun.options(ReclaimOptions.Purpose.RECLAIM).build());
        assertEquals(ImageReport.Verdict.REFUSED, report.verdict());
        VolumeReport ntfs = report.volumes().get(1);
        assertTrue(ntfs.skipped() && ntfs.reason().contains("stored on another volume")
                && ntfs.reason().contains("vssadmin delete shadows /all"), ntfs.reason());
        assertEquals(before, Tools.ok("stat", "-c", "%y %z %s %b", image.toString()));
    }

    /** Content for what is free: the image came without any there. */
    private static void fill(Path image, long... places) throws IOException {
        byte[] content = new byte[FILL];
        Arrays.fill(content, (byte) 'F');
        try (FileChannel channel = FileChannel.open(image, StandardOpenOption.WRITE)) {
            for (long place : places) {
                channel.write(ByteBuffer.wrap(content), START + place);
            }
        }
    }

    private static String files(Path image) {
        return Tools.shell("""
                vss=$(mktemp -d)
                files=$(mktemp -d)
                vshadowmount -o "$2" "$1" "$vss" > /dev/null
                # Whoever looked last may take a moment to let go.
                trap 'for i in 1 2 3 4 5 6 7 8 9; do fusermount3 -u "$vss" 2> /dev/null && break; sleep 0.2; done
                    rmdir "$vss" "$files"' EXIT
                for copy in "$vss"/vss*; do
                    ntfs-3g -o ro "$copy" "$files"
                    (cd "$files"; find . -type f -exec sha256sum {} + | sort -k 2)
                    umount "$files"
                done
                """, image, START);
    }
}
