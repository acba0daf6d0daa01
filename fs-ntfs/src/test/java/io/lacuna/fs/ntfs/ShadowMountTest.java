package io.lacuna.fs.ntfs;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.fixtures.Corpus;
import io.lacuna.fixtures.FileSource;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** libvshadow's vshadowmount reads the same in every shadow copy, whatever becomes of the space that we call free. */
class ShadowMountTest {

    private static final int CLUSTER = 4096;
    private static final byte[] GARBAGE = "what was free and is now something else, ".repeat(400)
            .getBytes(StandardCharsets.US_ASCII);

    /** Shows the shadow copies of $1, which starts at byte $2, in the folder $vss; $out has what they are to be written to. */
    private static final String MOUNT = """
            vss=$(mktemp -d)
            files=$(mktemp -d)
            out=$3
            vshadowmount -o "$2" "$1" "$vss" > "$out/log" || { cat "$out/log"; exit 1; }
            # Whoever looked last may take a moment to let go.
            trap 'for i in 1 2 3 4 5 6 7 8 9; do fusermount3 -u "$vss" 2> "$out/log" && break; sleep 0.2; done
                rmdir "$vss" "$files"' EXIT
            """;

    @TempDir
    Path directory;

    @BeforeEach
    void needsTheOtherReader() {
        Tools.require("vshadowmount", "fusermount3", "ntfs-3g", "ntfscat");
        Tools.requireFuse();
    }

    /** Every cluster that a shadow copy's own bitmap calls in use is what it was on that day. */
    @Test
    void everyBlockOfEveryShadowCopyStays() throws IOException {
        ShadowVolume volume = ShadowVolume.sound();
        ExtentSet free = volume.freeSpace().free();
        Path image = Files.write(directory.resolve("image"), volume.bytes);
        requirePast(volume, image);
        overwrite(image, 0, free);
        requirePast(volume, image);
    }

    private void requirePast(ShadowVolume volume, Path image) throws IOException {
        Tools.shell(MOUNT + "cp \"$vss\"/vss* \"$out\"", image, 0, directory);
        for (int copy = 0; copy < 2; copy++) {
            byte[] found = Files.readAllBytes(directory.resolve("vss" + (copy + 1)));
            byte[] then = volume.past.get(copy);
            ExtentSet freeThen = ShadowVolume.free(then);
            int compared = 0;
            for (int at = CLUSTER; at < then.length; at += CLUSTER) {
                boolean room = new String(then, at, 5, StandardCharsets.ISO_8859_1).equals("STORE");
                // From byte 4096 to 8191 lies the header that shows the way to the catalog.
                if (!room && at != CLUSTER && !freeThen.contains(at, CLUSTER)) {
                    assertArrayEquals(Arrays.copyOfRange(then, at, at + CLUSTER), Arrays.copyOfRange(found, at, at + CLUSTER),
                            "shadow copy " + (copy + 1) + " at " + at);
                    compared++;
                }
            }
            assertTrue(compared > 1000, compared + " clusters");
        }
    }

    /** The same, seen through the files. */
    @Test
    void everyFileOfEveryShadowCopyStays() throws IOException {
        ShadowVolume volume = ShadowVolume.sound();
        ExtentSet free = volume.freeSpace().free();
        Path image = Files.write(directory.resolve("image"), volume.bytes);
        String before = files(image);
        assertTrue(before.contains("./1/file 5\n") && !before.contains("./2/file 5\n") && before.contains("./2/a new file\n"),
                before);
        overwrite(image, 0, free);
        assertEquals(before, files(image));
    }

    private String files(Path image) {
        return Tools.shell(MOUNT + """
                for n in 1 2; do
                    ntfs-3g -o ro "$vss/vss$n" "$files"
                    (cd "$files"; find . -name 'System*' -prune -o -type f -exec sha256sum {} + | sort -k 2 | sed "s,\\./,./$n/,")
                    umount "$files"
                done
                """, image, 0, directory);
    }

    /** A forwarder and an overlay as Windows might write them, read by the other reader. */
    @Test
    void movedAndPartlyWrittenBlocksStay() throws IOException {
        ShadowVolume volume = ShadowVolume.sound();
        ExtentSet unneeded = volume.freeSpace().free();
        long target = unneeded.end(unneeded.count() - 1) - ShadowVolume.BLOCK;
        long moved = unneeded.start(0);
        long overlaid = moved + ShadowVolume.BLOCK;
        Arrays.fill(volume.bytes, (int) target, (int) target + ShadowVolume.BLOCK, (byte) 'M');
        volume.descriptor(1, moved, target, 0, 1, 0);
        volume.descriptor(1, overlaid, 0x40000, volume.records[1][1], 2, 0xFFFF);
        // The bitmap says that the block was in use: else the other reader makes up zeros.
        volume.markUnused(1, (int) overlaid, false);
        Path image = Files.write(directory.resolve("image"), volume.bytes);
        String script = MOUNT + "for at in $4 $5; do dd if=\"$vss/vss2\" bs=16384 count=1 skip=$at iflag=skip_bytes status=none | "
                + "sha256sum; done";
        String before = Tools.shell(script, image, 0, directory, moved, overlaid);
        byte[] block = new byte[ShadowVolume.BLOCK];
        Arrays.fill(block, (byte) 'M');
        Path plain = Files.write(directory.resolve("plain"), block);
        assertEquals(Tools.shell("sha256sum < \"$1\"", plain), before.lines().findFirst().orElseThrow() + "\n");
        overwrite(image, 0, volume.freeSpace().free());
        assertEquals(before, Tools.shell(script, image, 0, directory, moved, overlaid));
    }

    /** Windows' own, with the stores of another volume's shadow copies beside. */
    @Test
    void everyBlockOfAShadowCopyOfWindowsStays() throws IOException {
        long start = 67584L * 512;
        Path image = Corpus.unpack("dfir_ntfs/vss_2_stor.tar.gz", directory);
        Tools.shell(MOUNT + "ntfscat -f -q -i 6 \"$vss/vss1\" > \"$out/bitmap\"", image, start, directory);
        byte[] bitmap = Files.readAllBytes(directory.resolve("bitmap"));
        long clusters = (5_333_057_536L - 512) / CLUSTER;
        ExtentSet used = ExtentSet.ofRange(0, clusters * CLUSTER).minus(NtfsVolumes.freeIn(bitmap, CLUSTER, clusters));
        StringBuilder ranges = new StringBuilder();
        used.forEach(extent -> ranges.append(extent.offset()).append(' ').append(extent.length()).append('\n'));
        Files.writeString(directory.resolve("ranges"), ranges);
        String script = MOUNT + """
                while read -r at length; do
                    dd if="$vss/vss1" bs=1M skip=$at count=$length iflag=skip_bytes,count_bytes status=none
                done < "$out/ranges" | md5sum
                ntfs-3g -o ro "$vss/vss1" "$files"
                (cd "$files"; find . -type f -exec md5sum {} + | sort -k 2)
                umount "$files"
                """;
        String before = Tools.shell(script, image, start, directory);
        assertTrue(before.contains("./test.txt"), before);
        try (FileSource disk = new FileSource(image)) {
            ExtentSet free = NtfsVolumes.freeSpace(disk.window(start, disk.size() - start)).free();
            assertEquals(4_632_215_552L, free.totalBytes());
            overwrite(image, start, some(free));
        }
        assertEquals(before, Tools.shell(script, image, start, directory));
    }

    /** Both ends of every extent, and a little between: all of it would fill gigabytes. */
    private static ExtentSet some(ExtentSet free) {
        ExtentSet.Builder some = ExtentSet.builder();
        Random random = new Random(1);
        for (Extent extent : free) {
            long blocks = extent.length() / ShadowVolume.BLOCK;
            some.add(extent.offset(), ShadowVolume.BLOCK).add(extent.end() - ShadowVolume.BLOCK, ShadowVolume.BLOCK);
            for (int i = 0; i < 500; i++) {
                some.add(extent.offset() + random.nextLong(blocks) * ShadowVolume.BLOCK, ShadowVolume.BLOCK);
            }
        }
        return some.build();
    }

    private static void overwrite(Path image, long start, ExtentSet extents) throws IOException {
        try (FileChannel channel = FileChannel.open(image, StandardOpenOption.WRITE)) {
            for (Extent extent : extents) {
                for (long at = 0; at < extent.length(); at += GARBAGE.length) {
                    int length = (int) Math.min(GARBAGE.length, extent.length() - at);
                    channel.write(ByteBuffer.wrap(GARBAGE, 0, length), start + extent.offset() + at);
                }
            }
        }
    }
}
