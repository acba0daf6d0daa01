package io.lacuna.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.diskimage.DiskImages;
import io.lacuna.diskimage.OpenedImage;
import io.lacuna.fixtures.Corpus;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The container images of the collection by name: each is read as QEMU reads it, in the format that is given here, or refused for
 * the reason that is given here.
 */
class ContainerCorpusTest {

    private static final String TABLE = """
            LTRData-DiscUtils/btrfs.vhdx.gz|vhdx
            LTRData-DiscUtils/lvm2.vhdx.gz|vhdx
            LTRData-DiscUtils/swap.vhdx.gz|vhdx
            LTRData-DiscUtils/xfs.vhdx.gz|vhdx
            LTRData-DiscUtils/xfs5.vhdx.gz|vhdx
            SecurityRonin-vhd-forensic/fixed.vhd|vhd
            SecurityRonin-vhd-forensic/minimal.vhd|vhd
            SecurityRonin-vhd-forensic/original-size-mismatch.vhd|vhd
            SecurityRonin-vmdk-forensic/compressed_stream_opt.vmdk|vmdk
            SecurityRonin-vmdk-forensic/dfvfs_ext2.vmdk|vmdk
            SecurityRonin-vmdk-forensic/flat-f001.vmdk|refused: that names it, flat.vmdk
            SecurityRonin-vmdk-forensic/flat.vmdk|vmdk
            SecurityRonin-vmdk-forensic/minimal.vmdk|vmdk
            SecurityRonin-vmdk-forensic/mono_flat-flat.vmdk|refused: that names it, mono_flat.vmdk
            SecurityRonin-vmdk-forensic/mono_flat.vmdk|vmdk
            SecurityRonin-vmdk-forensic/ms3-win.vmdk|refused: disk-s001.vmdk
            SecurityRonin-vmdk-forensic/plaso_image.vmdk|vmdk
            SecurityRonin-vmdk-forensic/stream_opt.vmdk|vmdk
            SecurityRonin-vmdk-forensic/tw_sparse-s001.vmdk|refused: that names it, tw_sparse.vmdk
            SecurityRonin-vmdk-forensic/tw_sparse.vmdk|vmdk
            SecurityRonin-vmdk-forensic/tw_sparse_data.vmdk|refused: tw_sparse_data-s001.vmdk
            dfvfs/ext2.qcow2|qcow2
            dfvfs/ext2.vhd|vhd
            dfvfs/ext2.vmdk|vmdk
            dfvfs/fat-differential.vhd|refused: fat-parent.vhd
            dfvfs/image-differential.vhd|refused: checksum
            dfvfs/image.vhd|refused: checksum
            freebsd-mkimg/img-1x1-512-gpt.vhdx.gz|vhdx
            go-vmdk-parser/vmdk-invalid.img|refused: VMDK descriptor
            go-vmdk-parser/vmdk-monolith.img|vmdk
            go-vmdk-parser/vmdk-streamoptimized.img|vmdk
            kubevirt-cdi/cirros-snapshot1.qcow2|refused: cirros.raw
            kubevirt-cdi/cirros-snapshot2.qcow2|refused: cirros.raw
            kubevirt-cdi/fs-overhead.qcow2|qcow2
            kubevirt-cdi/invalid-qcow-large-memory.img|refused: grain size
            qemu-iotests/afl5.img.bz2|refused: 1024 bytes before the end
            qemu-iotests/d2v-zerofilled.vhd.bz2|vhd
            qemu-iotests/empty.bochs.bz2|refused: Bochs
            qemu-iotests/fake.parallels.bz2|refused: Parallels
            qemu-iotests/hyperv2012r2-dynamic.vhd.bz2|vhd
            qemu-iotests/iotest-dirtylog-10G-4M.vhdx.bz2|vhdx
            qemu-iotests/iotest-dynamic-1G.vhdx.bz2|vhdx
            qemu-iotests/iotest-version3-2013.vmdk.bz2|vmdk
            qemu-iotests/iotest-version3.vmdk.bz2|vmdk
            qemu-iotests/parallels-v1.bz2|refused: Parallels
            qemu-iotests/parallels-v2.bz2|refused: Parallels
            qemu-iotests/simple-pattern.cloop.bz2|refused: cloop
            vmdk-rs/monolithicFlat.vmdk|refused: monolithicFlat-flat.vmdk
            vmdk-rs/monolithicSparse.vmdk|vmdk
            vmdk-rs/streamOptimized.vmdk|vmdk
            vmdk-rs/streamOptimizedWithMarkers.vmdk|vmdk
            vmdk-rs/vmfs_thick-000001.vmdk|refused: vmfs_thick-000001-delta.vmdk
            vmdk-rs/vmfs_thick-flat.vmdk|refused: that names it, vmfs_thick.vmdk
            vmdk-rs/vmfs_thick.vmdk|vmdk
            """;

    /** Formats of containers, in the names of files outside of the index's part of containers. */
    private static final Pattern CONTAINER = Pattern.compile(".*(vhd|vmdk|qcow|vdi|parallels|bochs|cloop|afl5).*",
            Pattern.CASE_INSENSITIVE);
    private static final int CHUNK = 1 << 20;
    private static final Pattern DATA = Pattern.compile(
            "\"start\": (\\d+), \"length\": (\\d+),[^}]*\"data\": true");

    @TempDir
    Path directory;

    private static TreeMap<String, String> table() {
        return Stream.of(TABLE.split("\n")).map(line -> line.split("\\|"))
                .collect(Collectors.toMap(cells -> cells[0], cells -> cells[1], (a, b) -> a, TreeMap::new));
    }

    static Set<String> names() {
        return table().keySet();
    }

    /** The index's first part lists the containers; the damaged ones of its last part are known by their names. */
    @Test
    void theTableIsComplete() throws IOException {
        Set<String> listed = new TreeSet<>();
        char part = 0;
        for (String line : Files.readAllLines(Corpus.root().resolve("INDEX.md"))) {
            if (line.startsWith("## ")) {
                part = line.charAt(3);
            } else if (line.startsWith("| ") && line.contains("/")) {
                String name = line.split("\\|")[1].strip();
                if (part == 'A' || name.indexOf('/') > 0 && CONTAINER.matcher(name.substring(name.indexOf('/'))).matches()) {
                    listed.add(name);
                }
            }
        }
        assertEquals(listed, names());
    }

    @ParameterizedTest
    @MethodSource("names")
    void isReadRightOrRefused(String name) throws IOException {
        Tools.require("qemu-img");
        boolean packed = name.matches(".*\\.(gz|bz2)");
        Path image = packed ? Corpus.unpack(name, directory) : Corpus.root().resolve(name);
        String expected = table().get(name);
        DiskImages.Options options = new DiskImages.Options(DiskImages.Access.INSPECT, null, java.util.List.of());
        if (expected.startsWith("refused: ")) {
            IOException refused = assertThrows(IOException.class, () -> DiskImages.open(image, options).close());
            assertTrue(refused.toString().contains(expected.substring(9)), refused::toString);
            assertTrue(refused instanceof DiskFormatException || refused instanceof java.nio.file.NoSuchFileException,
                    refused::toString);
            return;
        }
        try (OpenedImage opened = DiskImages.open(image, options)) {
            assertEquals(expected, opened.image().format());
            compare(opened.image(), image, expected);
        }
    }

    /** All that either of the two takes for data, so that disks of many empty gigabytes do not last. */
    private void compare(DiskImage disk, Path image, String format) throws IOException {
        String driver = format.equals("vhd") ? "vpc" : format;
        Path source = image;
        if (image.toString().contains("dirtylog")) {
            // QEMU reads it when it has replayed the log.
            source = Files.copy(image, directory.resolve("replayed.vhdx"));
            Tools.ok("qemu-img", "check", "-q", "-r", "all", "-f", driver, source.toString());
        }
        Path raw = directory.resolve("expected.raw");
        Tools.ok("qemu-img", "convert", "-f", driver, "-O", "raw", source.toString(), raw.toString());
        assertEquals(Files.size(raw), disk.virtualSize());
        ExtentSet.Builder data = ExtentSet.builder();
        Matcher map = DATA.matcher(Tools.ok("qemu-img", "map", "-f", "raw", "--output=json", raw.toString()));
        while (map.find()) {
            data.add(Long.parseLong(map.group(1)), Long.parseLong(map.group(2)));
        }
        ByteBuffer ours = ByteBuffer.allocate(CHUNK);
        ByteBuffer theirs = ByteBuffer.allocate(CHUNK);
        try (FileChannel expected = FileChannel.open(raw)) {
            for (Extent range : data.build().union(disk.mayHoldData()).intersect(new Extent(0, disk.virtualSize()))) {
                for (long at = range.offset(); at < range.end(); at += CHUNK) {
                    int length = (int) Math.min(CHUNK, range.end() - at);
                    disk.guest().read(at, ours.clear().limit(length));
                    expected.read(theirs.clear().limit(length), at);
                    assertEquals(-1, ours.flip().mismatch(theirs.flip()), "difference behind " + at);
                }
            }
        }
    }
}
