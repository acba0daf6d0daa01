package io.lacuna.diskimage.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.fixtures.Corpus;
import io.lacuna.fixtures.FileSource;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.NearbyLinks;
import io.lacuna.fixtures.PlainHostFile;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What the guest reads, against qemu-img. */
class Qcow2GuestTest {

    private static final Qcow2Format FORMAT = new Qcow2Format();

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    private DiskImage open(Path image) throws IOException {
        return FORMAT.open(new PlainHostFile(image, false), new NearbyLinks(image.getParent(), FORMAT, false));
    }

    /** Reads everything in pieces of odd sizes and compares with what qemu-img makes of it. */
    private void assertReadsLikeQemu(Path image) throws IOException {
        Path raw = directory.resolve("expected.raw");
        Tools.ok("qemu-img", "convert", "-f", "qcow2", "-O", "raw", image.toString(), raw.toString());
        Random random = new Random(1);
        try (DiskImage disk = open(image); FileSource expected = new FileSource(raw)) {
            assertEquals(expected.size(), disk.virtualSize());
            for (long position = 0; position < expected.size();) {
                int length = (int) Math.min(expected.size() - position,
                        1 + random.nextInt(random.nextBoolean() ? 1000 : 3_000_000));
                ByteBuffer found = ByteBuffer.allocate(length);
                ByteBuffer wanted = ByteBuffer.allocate(length);
                disk.guest().prefetch(position, length);
                disk.guest().read(position, found);
                expected.read(position, wanted);
                assertEquals(-1, found.flip().mismatch(wanted.flip()), "difference behind " + position);
                position += length;
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"compat=0.10", "compat=1.1", "cluster_size=512", "cluster_size=2M", "refcount_bits=1",
        "extended_l2=on", "extended_l2=on,cluster_size=16k", "preallocation=metadata", "preallocation=falloc",
        "data_file=data.bin", "data_file=raw.bin,data_file_raw=on"})
    void readsWhatQemuReads(String options) throws IOException {
        Tools.require("qemu-img", "qemu-io");
        String absolute = options.replaceAll("data_file=(\\w)", "data_file=" + directory + "/$1");
        Path image = directory.resolve("image.qcow2");
        Tools.ok("qemu-img", "create", "-q", "-f", "qcow2", "-o", absolute, image.toString(), "20000256");
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 70000", "-c", "write -P 2 1M 3M", "-c",
                "write -P 3 9000000 5", "-c", "write -z 2M 300k", "-c", "write -P 5 19999744 512", "-c",
                "write -P 6 12M 1k", "-c", "write -P 7 12320k 1k", image.toString());
        assertReadsLikeQemu(image);
    }

    @ParameterizedTest
    @ValueSource(strings = {"compression_type=zlib", "compression_type=zstd", "compression_type=zlib,cluster_size=512",
        "compression_type=zstd,cluster_size=2M", "compression_type=zlib,extended_l2=on", "compat=0.10"})
    void unpacksWhatQemuPacked(String options) throws IOException {
        Tools.require("qemu-img");
        Path raw = directory.resolve("text.raw");
        Tools.shell("seq 1 1000000 > \"$1\"; truncate -s %512 \"$1\"", raw);
        Path image = directory.resolve("image.qcow2");
        Tools.ok("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, raw.toString(), image.toString());
        assertReadsLikeQemu(image);
    }

    @ParameterizedTest
    @ValueSource(strings = {"cluster_size=64k", "extended_l2=on", "compat=0.10"})
    void readsThroughShorterBackingFiles(String options) throws IOException {
        Tools.require("qemu-img", "qemu-io");
        Tools.shell("cd \"$1\"; head -c 3000320 /dev/urandom > base.raw\n"
                + "qemu-img create -q -f qcow2 -b base.raw -F raw middle.qcow2 5M\n"
                + "qemu-io -f qcow2 -c 'write -P 1 100k 300k' -c 'write -P 1 4M 1k' middle.qcow2\n"
                + "qemu-img create -q -f qcow2 -o $2 -b middle.qcow2 -F qcow2 top.qcow2 9M\n"
                + "qemu-io -f qcow2 -c 'write -P 2 200k 5k' -c 'write -P 2 8M 1k' top.qcow2\n"
                + "[[ $2 = compat=0.10 ]] || qemu-io -f qcow2 -c 'write -z 512k 70k' top.qcow2", directory, options);
        assertReadsLikeQemu(directory.resolve("top.qcow2"));
    }

    @Test
    void readsTheActiveStateBesideSnapshots() throws IOException {
        Tools.require("qemu-img", "qemu-io");
        Tools.shell("cd \"$1\"; qemu-img create -q -f qcow2 a.qcow2 8M; qemu-io -f qcow2 -c 'write -P 1 0 4M' a.qcow2\n"
                + "qemu-img snapshot -c one a.qcow2; qemu-io -f qcow2 -c 'write -P 2 1M 1M' a.qcow2", directory);
        assertReadsLikeQemu(directory.resolve("a.qcow2"));
    }

    @Test
    void readsTheCollection() throws IOException {
        Tools.require("qemu-img");
        for (String name : new String[] {"dfvfs/ext2.qcow2", "kubevirt-cdi/fs-overhead.qcow2"}) {
            assertReadsLikeQemu(Corpus.unpack(name, directory));
        }
        Path hostile = Corpus.unpack("kubevirt-cdi/invalid-qcow-large-memory.img", directory);
        assertThrows(DiskFormatException.class, () -> open(hostile).close());
        Path orphan = Corpus.unpack("kubevirt-cdi/cirros-snapshot1.qcow2", directory);
        assertThrows(IOException.class, () -> open(orphan).close());
    }
}
