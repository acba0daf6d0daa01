package io.lacuna.diskimage.vhd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.diskimage.DiskImages;
import io.lacuna.diskimage.ImageBase;
import io.lacuna.diskimage.OpenedImage;
import io.lacuna.fixtures.MemoryTempDir;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.BitSet;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Which parent a differencing disk accepts. */
class VhdParentTest {

    private static final long EPOCH = 946_684_800L;

    @TempDir(factory = MemoryTempDir.class)
    Path directory;
    private byte[] base;
    private VhdMaker child;
    private Path parent;

    @BeforeEach
    void make() throws IOException {
        base = VhdMaker.pattern(2 * 16384, 1);
        parent = VhdMaker.dynamic(base, 0, 1).write(directory.resolve("base.vhd"));
        child = VhdMaker.differencing("base.vhd", base, new BitSet(), 1);
    }

    private DiskImage open(byte[] bytes) throws IOException {
        return Runs.open(Files.write(directory.resolve("child.vhd"), bytes), true);
    }

    private String refusal() {
        return assertThrows(DiskFormatException.class, () -> open(child.bytes())).reason();
    }

    @Test
    void theParentIsToldWithoutBeingOpened() throws IOException {
        Path image = Files.write(directory.resolve("child.vhd"), child.bytes());
        assertTrue(parent.toRealPath().equals(ImageBase.of(image, List.of()).orElseThrow().path()));
        assertTrue(ImageBase.of(parent, List.of()).isEmpty());
    }

    @Test
    void refusesAMissingParent() throws IOException {
        Files.delete(parent);
        assertTrue(refusal().contains("missing"), this::refusal);
    }

    @Test
    void refusesAnotherDisk() throws IOException {
        VhdMaker other = VhdMaker.dynamic(base, 0, 1);
        other.id = new byte[] {7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7};
        other.write(parent);
        assertTrue(refusal().contains("put the right parent there"), this::refusal);
    }

    @ParameterizedTest
    @ValueSource(longs = {-100_000, -3, 3, 100_000})
    void refusesAChangedParent(long seconds) throws IOException {
        child.parentStamp = 800_000_000;
        Files.setLastModifiedTime(parent, FileTime.fromMillis((EPOCH + 800_000_000 + seconds) * 1000));
        assertTrue(refusal().contains("touch -d @" + (EPOCH + 800_000_000)), this::refusal);
    }

    @ParameterizedTest
    @ValueSource(longs = {-2, 0, 2})
    void acceptsAnUnchangedParent(long seconds) throws IOException {
        child.parentStamp = 800_000_000;
        Files.setLastModifiedTime(parent, FileTime.fromMillis((EPOCH + 800_000_000 + seconds) * 1000 + 500));
        try (DiskImage disk = open(child.bytes())) {
            assertArrayEquals(base, Runs.byLacuna(disk));
        }
    }

    /** What a run does to the parent leaves the child's note of it right, through the native file, too. */
    @Test
    void aRunOnTheParentLeavesItsTime() throws IOException {
        child.parentStamp = 800_000_000;
        Files.setLastModifiedTime(parent, FileTime.fromMillis((EPOCH + 800_000_000) * 1000 + 7));
        byte[] bytes = child.bytes();
        Path image = Files.write(directory.resolve("child.vhd"), bytes);
        var options = new DiskImages.Options(DiskImages.Access.WRITE, "vhd", List.of());
        try (OpenedImage opened = DiskImages.open(parent, options)) {
            DiskImage disk = opened.image();
            var plan = disk.plan(Runs.request(Runs.kib(16, 32), io.lacuna.blockio.ReclaimMode.DEALLOCATE));
            disk.apply(plan, io.lacuna.blockio.Progress.NONE);
            assertTrue(!plan.isEmpty());
        }
        assertDoesNotThrow(() -> DiskImages.open(image, options).close());
    }

    @Test
    void aMissingParentIsTold() throws IOException {
        Files.delete(parent);
        Path image = Files.write(directory.resolve("child.vhd"), child.bytes());
        var options = new DiskImages.Options(DiskImages.Access.INSPECT, null, List.of());
        assertThrows(DiskFormatException.class, () -> DiskImages.open(image, options));
    }

    /** Platform, name as it stands there, and the name in the header, one of which is right. */
    @ParameterizedTest
    @CsvSource({"W2ru,.\\base.vhd,x", "W2ku,C:\\Disks\\base.vhd,x", "W2ru,gone.vhd,C:\\old\\base.vhd", "Wi2r,?,base.vhd",
        "MacX,file://./base.vhd,x", "MacX,file://localhost/var/disks/base.vhd,x", "W2ru,..\\sub\\base.vhd,x"})
    void findsTheParentByEachOfItsNames(String platform, String name, String inHeader) throws IOException {
        byte[] bytes = child.bytes();
        ByteBuffer header = ByteBuffer.wrap(java.util.Arrays.copyOfRange(bytes, 512, 1536));
        byte[] encoded = name.getBytes(platform.equals("MacX") ? StandardCharsets.UTF_8 : StandardCharsets.UTF_16LE);
        header.put(64, new byte[512]).put(64, inHeader.getBytes(StandardCharsets.UTF_16BE))
                .put(576, platform.getBytes(StandardCharsets.ISO_8859_1)).putInt(584, encoded.length);
        System.arraycopy(VhdMaker.seal(header, 36).array(), 0, bytes, 512, 1024);
        System.arraycopy(encoded, 0, bytes, child.firstBlock() - 512, encoded.length);
        try (DiskImage disk = open(bytes)) {
            assertArrayEquals(base, Runs.byLacuna(disk));
        }
    }

    @Test
    void looksInTheFoldersThatTheCallerAllows() throws IOException {
        Path elsewhere = Files.createDirectory(directory.resolve("elsewhere"));
        Path folder = Files.createDirectory(directory.resolve("here"));
        Files.move(parent, elsewhere.resolve("base.vhd"));
        Path image = Files.write(folder.resolve("child.vhd"), child.bytes());
        assertThrows(DiskFormatException.class, () -> DiskImages.open(image,
                new DiskImages.Options(DiskImages.Access.PLAN, null, List.of())));
        try (OpenedImage opened = DiskImages.open(image,
                new DiskImages.Options(DiskImages.Access.PLAN, null, List.of(elsewhere)))) {
            assertArrayEquals(base, Runs.byLacuna(opened.image()));
        }
    }

    @Test
    void refusesAParentOutsideOfTheImagesDirectory() throws IOException {
        Path folder = Files.createDirectory(directory.resolve("here"));
        child.parentName = "..\\base.vhd";
        Path image = Files.write(folder.resolve("child.vhd"), child.bytes());
        DiskFormatException refused = assertThrows(DiskFormatException.class, () -> DiskImages.open(image,
                new DiskImages.Options(DiskImages.Access.PLAN, null, List.of())));
        assertTrue(refused.reason().contains("--allow-backing"), refused.reason());
    }

    @Test
    void refusesAParentThatIsItsOwnChild() {
        child.parentName = "child.vhd";
        child.parentId = child.id;
        Path image = assertDoesNotThrow(() -> Files.write(directory.resolve("child.vhd"), child.bytes()));
        var options = new DiskImages.Options(DiskImages.Access.INSPECT, null, List.of());
        assertThrows(UnsafeException.class, () -> DiskImages.open(image, options));
    }
}
