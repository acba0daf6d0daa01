package io.lacuna.diskimage.qcow2;

import static io.lacuna.diskimage.qcow2.Images.kib;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Gives ranges back in images of every kind that qemu-img makes, and lets qemu-img judge. */
class Qcow2DeallocationTest {

    private static final int SIZE = 6 << 20;
    /** Aligned and not, small and large, at both ends; in KiB. */
    private static final ExtentSet FREE = kib(0, 100, 300, 301, 512, 1024, 1500, 1540, 1541, 1545, 2047, 4100, 5000, 6144);

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    @BeforeEach
    void tools() {
        Tools.require("qemu-img", "qemu-io", "filefrag", "fallocate");
    }

    static Stream<String> kinds() {
        return Stream.of("compat=0.10", "compat=1.1", "cluster_size=512", "cluster_size=1k", "cluster_size=4k",
                "cluster_size=32k", "cluster_size=2M", "refcount_bits=1", "refcount_bits=2", "refcount_bits=4",
                "refcount_bits=8", "refcount_bits=32", "refcount_bits=64", "cluster_size=512,refcount_bits=64",
                "cluster_size=512,compat=0.10", "extended_l2=on", "extended_l2=on,cluster_size=16k",
                "extended_l2=on,cluster_size=2M", "preallocation=metadata", "preallocation=falloc", "preallocation=full",
                "lazy_refcounts=on");
    }

    /** One of each sort. */
    static Stream<String> mainKinds() {
        return Stream.of("compat=0.10", "cluster_size=64k", "cluster_size=512,refcount_bits=64", "cluster_size=2M",
                "extended_l2=on,cluster_size=16k,refcount_bits=4");
    }

    private Path image(String options) throws IOException {
        Path raw = Images.pattern(directory.resolve("model.raw"), SIZE, 1);
        Path image = directory.resolve("image.qcow2");
        Tools.ok("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", options, raw.toString(), image.toString());
        return image;
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void givesBackWhatIsFree(String options) throws IOException {
        Path image = image(options);
        Deallocation plan = Images.run(image, Images.request(FREE));
        assertTrue(plan.plannedBytes() >= FREE.totalBytes() * 85 / 100, () -> plan.plannedBytes() + " of " + FREE.totalBytes());
        assertTrue(plan.changesTables() || options.contains("2M"));
        Images.assertChecks(image);
    }

    @ParameterizedTest
    @MethodSource("mainKinds")
    void punchesWithoutTouchingATable(String options) throws IOException {
        Path image = image(options);
        Deallocation plan = Images.run(image, Images.punch(FREE));
        assertFalse(plan.changesTables());
        assertTrue(plan.plannedBytes() >= FREE.totalBytes() * 85 / 100);
        Images.assertChecks(image);
    }

    @ParameterizedTest
    @MethodSource("mainKinds")
    void givesAllBack(String options) throws IOException {
        Path image = image(options);
        Deallocation plan = Images.run(image, Images.request(ExtentSet.ofRange(0, SIZE)));
        assertTrue(plan.reclaimable().totalBytes() > SIZE * 85 / 100); // small clusters share host blocks with tables
        Images.assertChecks(image);
        assertTrue(Files.size(image) < SIZE / 2 || options.matches(".*(2M|512|1k).*"), () -> "shorter: " + image.toFile().length());
    }

    @Test
    void freedClustersAreReusedByQemu() throws IOException {
        Path image = image("cluster_size=64k");
        long size = Files.size(image);
        Images.run(image, Images.request(kib(1024, 3072)));
        Images.pattern(directory.resolve("new"), 2 << 20, 2);
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -s " + directory.resolve("new") + " 1M 2M", image.toString());
        assertEquals(size, Files.size(image), "the file did not grow");
        Images.assertChecks(image);
    }

    @ParameterizedTest
    @MethodSource("mainKinds")
    void backingFilesNeverShineThroughFreedClusters(String options) throws IOException {
        if (options.contains("2M")) {
            return; // clusters of 2 MiB leave none unallocated
        }
        Images.pattern(directory.resolve("base.raw"), SIZE - 700 * 1024, 7);
        Path image = directory.resolve("image.qcow2");
        Tools.ok("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, "-b", directory.resolve("base.raw").toString(),
                "-F", "raw", image.toString(), String.valueOf(SIZE));
        Images.pattern(directory.resolve("new"), SIZE, 8);
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -s " + directory.resolve("new") + " 0 4M", "-c",
                "write -s " + directory.resolve("new") + " 5M 1M", image.toString());
        Deallocation plan = Images.run(image, Images.request(FREE));
        assertTrue(plan.plannedBytes() > 3 << 20, () -> plan.toString());
        assertEquals(kib(4096, 4100, 5000, 5120), Images.retained(plan, RetainedBytes.UNALLOCATED));
        Images.assertChecks(image);
    }

    @ParameterizedTest
    @MethodSource("mainKinds")
    void snapshotsKeepTheirContent(String options) throws IOException {
        Path image = image(options);
        Images.pattern(directory.resolve("new"), SIZE, 8);
        Tools.ok("qemu-img", "snapshot", "-c", "one", image.toString());
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -s " + directory.resolve("new") + " 1M 3M", image.toString());
        byte[] one = Images.content(image, "-l", "one");
        Deallocation plan = Images.run(image, Images.request(FREE));
        assertArrayEquals(one, Images.content(image, "-l", "one"));
        Images.assertChecks(image);
        assertTrue(plan.plannedBytes() > 1 << 20, plan::toString);
        assertFalse(Images.retained(plan, "shared with snapshot 'one'").isEmpty());
        Tools.ok("qemu-img", "snapshot", "-d", "one", image.toString());
        Images.assertChecks(image);
    }

    @ParameterizedTest
    @MethodSource("compressions")
    void compressedNeighboursSurvive(String options) throws IOException {
        Path raw = directory.resolve("text.raw");
        Tools.shell("seq 1 1000000 > \"$1\"; truncate -s 6M \"$1\"", raw);
        Path image = directory.resolve("image.qcow2");
        Tools.ok("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, raw.toString(), image.toString());
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -P 9 3M 200k", image.toString());
        Deallocation plan = Images.run(image, Images.request(FREE));
        assertTrue(plan.changesTables());
        Images.assertChecks(image);
        Images.run(image, Images.request(ExtentSet.ofRange(0, SIZE)));
        Images.assertChecks(image);
    }

    static Stream<String> compressions() {
        return Stream.of("compression_type=zlib", "compression_type=zstd", "cluster_size=4k", "cluster_size=512",
                "compression_type=zstd,cluster_size=2M", "extended_l2=on,compression_type=zstd", "compat=0.10");
    }

    @ParameterizedTest
    @MethodSource("dataFiles")
    void dataFilesAreDeallocatedToo(String options) throws IOException {
        Images.pattern(directory.resolve("model.raw"), SIZE, 1);
        Path image = directory.resolve("image.qcow2");
        Tools.shell("cd \"$1\"; qemu-img create -q -f qcow2 -o data_file=$1/data.bin,$2 image.qcow2 6M\n"
                + "qemu-io -f qcow2 -c 'write -s model.raw 0 5M' image.qcow2", directory, options);
        Deallocation plan = Images.run(image, Images.request(FREE));
        assertTrue(plan.plannedBytes() > 5 << 19, plan::toString);
        assertEquals(!options.contains("raw"), plan.changesTables());
        Images.assertChecks(image);
        if (options.contains("raw")) {
            assertArrayEquals(Files.readAllBytes(directory.resolve("data.bin")), Images.content(image));
        }
    }

    static Stream<String> dataFiles() {
        return Stream.of("cluster_size=64k", "data_file_raw=on", "cluster_size=4k", "extended_l2=on");
    }

    @Test
    void bitmapsStayAndAreExplained() throws IOException {
        Path image = image("cluster_size=64k");
        Tools.ok("qemu-img", "bitmap", "--add", image.toString(), "backup");
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 1M", image.toString());
        String before = Tools.ok("qemu-img", "info", "--output=json", image.toString()).replaceAll("\"actual-size\".*", "");
        Deallocation plan = Images.run(image, Images.request(FREE));
        assertTrue(plan.remarks().stream().anyMatch(remark -> remark.contains("'backup'")), () -> plan.remarks().toString());
        assertEquals(before, Tools.ok("qemu-img", "info", "--output=json", image.toString())
                .replaceAll("\"actual-size\".*", ""));
        Images.assertChecks(image);
    }

    @Test
    void granularityAndLeastExtentAreKept() throws IOException {
        Path image = image("cluster_size=4k");
        Deallocation plan = Images.run(image, new io.lacuna.blockio.DeallocationRequest(FREE,
                io.lacuna.blockio.ReclaimMode.DEALLOCATE, 256 << 10, 64 << 10, false));
        assertEquals(kib(300, 301, 1500, 1540, 1541, 1545), Images.retained(plan, RetainedBytes.SHORT));
        assertFalse(Images.retained(plan, RetainedBytes.COARSE).isEmpty());
        assertTrue(Images.retained(plan, RetainedBytes.SMALL).isEmpty());
        Images.assertChecks(image);
    }

    @Test
    void preallocatedZeroClustersLoseTheirStorage() throws IOException {
        Path image = image("cluster_size=64k");
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -z 1M 2M", image.toString()); // keeps the clusters
        Deallocation plan = Images.run(image, Images.request(kib(1024, 2048)));
        assertEquals(kib(1024, 2048), plan.reclaimable());
        Images.assertChecks(image);
    }
}
