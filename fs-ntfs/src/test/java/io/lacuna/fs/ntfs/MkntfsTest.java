package io.lacuna.fs.ntfs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.FileSystem;
import io.lacuna.blockio.FileSystemProbe;
import io.lacuna.blockio.FreeSpace;
import io.lacuna.fixtures.FileSource;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.ServiceLoader;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Volumes that mkntfs made and NTFS-3G wrote to: the free extents are those of ntfscat's $Bitmap. */
class MkntfsTest {

    @TempDir
    Path directory;

    /** The smallest and the largest sector with every cluster size that mkntfs can make of them, the others with some. */
    static Stream<Arguments> geometries() {
        return Stream.of(512, 1024, 2048, 4096).flatMap(sector -> Stream.iterate(512, cluster -> cluster * 2).limit(13)
                .filter(cluster -> cluster >= sector)
                .filter(cluster -> sector == 512 || sector == 4096 || cluster <= 4096 || cluster == 2 << 20)
                .map(cluster -> Arguments.of(sector, cluster)));
    }

    @ParameterizedTest
    @MethodSource("geometries")
    void freeExtentsAreThoseOfTheBitmap(int sectorSize, int clusterSize) throws IOException {
        // A journal of whole clusters, as mkntfs wants it, needs a large volume if the clusters are large.
        long size = clusterSize <= 4096 ? 16 << 20 : clusterSize <= 65536 ? 300L << 20 : 5L << 30;
        // An odd number of sectors at the end, so that the last cluster is not a whole one.
        Path image = NtfsVolumes.make(directory, size + 3L * sectorSize, "-s " + sectorSize + " -c " + clusterSize + " -L Gap");
        NtfsVolumes.write(image, """
                for i in $(seq 60); do head -c $((i * 997)) /dev/urandom > f$i; done
                rm f*[1379]
                """);

        try (FileSource source = new FileSource(image)) {
            FileSystem ntfs = new NtfsProbe().open(source);
            FreeSpace space = ntfs.freeSpace();

            assertEquals("ntfs", ntfs.type());
            assertEquals("Gap", ntfs.label());
            assertEquals(clusterSize, ntfs.clusterSize());
            long clusters = ntfs.length() / clusterSize;
            assertEquals((size / sectorSize + 2) / (clusterSize / sectorSize), clusters);
            assertEquals(NtfsVolumes.freeByNtfscat(image, clusterSize, clusters), space.free());
            assertTrue(space.free().count() > 2, space.free().toString());
            assertEquals(1, space.remarks().size(), space.remarks().toString());
            assertTrue(space.remarks().get(0).contains("NTFS-3G"), space.remarks().toString());
            assertFalse(space.evidence().isEmpty());
        } finally {
            Files.delete(image);
        }
    }

    @Test
    void isFoundAsAService() throws IOException {
        List<FileSystemProbe> probes = ServiceLoader.load(FileSystemProbe.class).stream()
                .map(ServiceLoader.Provider::get).toList();
        assertTrue(probes.stream().anyMatch(NtfsProbe.class::isInstance), probes.toString());
    }

    @Test
    void readsNoMoreThanTheMetadata() throws IOException {
        Path image = NtfsVolumes.make(directory, 200L << 30, "-c 4096");
        try (FileSource source = new FileSource(image)) {
            FreeSpace space = NtfsVolumes.freeSpace(source);
            long bitmap = (200L << 30) / 4096 / 8;
            long journal = 64 << 20;    // an erased one is read to its end
            assertTrue(space.free().totalBytes() > 199L << 30);
            assertTrue(source.bytesRead() < bitmap + journal + (1 << 20), source.bytesRead() + " bytes");
            assertTrue(source.reads() < 120, source.reads() + " reads");
        }
    }
}
