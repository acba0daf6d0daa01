package io.lacuna.diskimage.vdi;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.diskimage.DiskImages;
import io.lacuna.diskimage.Holdings;
import io.lacuna.diskimage.ImageBase;
import io.lacuna.diskimage.OpenedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Parents are known by their UUID only: found, or refused with the reason. Opened with real locks and confined links. */
class VdiParentTest {

    @TempDir
    Path directory;

    private final VdiBuilder base = VdiBuilder.of(4096, 4 * 4096, 0, 1, 2, 3);
    private final VdiBuilder child = VdiBuilder.of(4096, 4 * 4096, VdiBuilder.FREE, 0, VdiBuilder.ZERO, VdiBuilder.FREE);
    private Path image;

    @BeforeEach
    void makeChild() throws IOException {
        child.childOf(base);
        image = child.write(directory.resolve("child.vdi"));
    }

    private static OpenedImage open(Path image, Path... allowed) throws IOException {
        return DiskImages.open(image, new DiskImages.Options(DiskImages.Access.PLAN, null, List.of(allowed)));
    }

    private void assertReadsThrough(Path child, Path... allowed) throws IOException {
        try (OpenedImage opened = open(child, allowed)) {
            byte[] content = VdiImages.guest(opened.image());
            assertArrayEquals(this.child.content(base.content(null)), content);
            Holdings.checkOwn(opened.image(), content, base.content(null));
            assertTrue(opened.image().ownRanges().totalBytes() < content.length, "the child does not hold all");
            assertEquals("vdi", opened.image().layers().get(1).format());
        }
    }

    private String refusal(Path child) {
        DiskFormatException refusal = assertThrows(UnsafeException.class, () -> open(child).close());
        assertTrue(Path.of(refusal.path()).startsWith(directory));
        return refusal.reason();
    }

    @Test
    void isToldWithoutBeingOpened() throws IOException {
        Path elsewhere = Files.createDirectory(directory.resolve("elsewhere"));
        Path parent = base.write(elsewhere.resolve("base.vdi"));
        assertThrows(DiskFormatException.class, () -> ImageBase.of(image, List.of()));
        assertEquals(parent.toRealPath(), ImageBase.of(image, List.of(elsewhere)).orElseThrow().path());
        assertTrue(ImageBase.of(parent, List.of()).isEmpty());
    }

    @Test
    void isFoundBesideTheImageWhateverItsName() throws IOException {
        base.write(directory.resolve("{some name}.VDI"));
        Files.write(directory.resolve("broken.vdi"), new byte[10]);
        Files.createDirectory(directory.resolve("directory.vdi"));
        assertReadsThrough(image);
    }

    @Test
    void missingIsRefused() throws IOException {
        VdiBuilder other = VdiBuilder.of(4096, 4 * 4096, 0, 1, 2, 3);
        other.id = new UUID(5, 6);
        other.write(directory.resolve("base.vdi"));
        String reason = refusal(image);
        assertTrue(reason.contains("11112222-3333-4444-8555-666677778888") && reason.contains("missing"), reason);
    }

    @Test
    void changedSinceIsRefused() throws IOException {
        base.modification = new UUID(5, 6);
        base.write(directory.resolve("base.vdi"));
        assertTrue(refusal(image).contains("was written to after the child was made"));
    }

    @Test
    void copyInAnotherStateIsPassedOver() throws IOException {
        base.write(directory.resolve("good.vdi"));
        base.modification = new UUID(5, 6);
        base.seed = 99;
        base.write(directory.resolve("changed.vdi"));
        base.seed = 1;
        assertReadsThrough(image);
    }

    @Test
    void ambiguousIsRefused() throws IOException {
        base.write(directory.resolve("one.vdi"));
        base.write(directory.resolve("two.vdi"));
        assertTrue(refusal(image).contains("more than one"));
    }

    @Test
    void stateThatWasNotRecordedIsRemarked() throws IOException {
        base.write(directory.resolve("base.vdi"));
        child.parentModification = new UUID(0, 0);
        child.write(image);
        try (OpenedImage opened = open(image)) {
            assertTrue(opened.image().remarks().get(0).contains("does not record in which state its parent was"));
        }
    }

    @Test
    void inTheMachinesFolderNeedsTheCallersWord() throws IOException {
        Path snapshots = Files.createDirectory(directory.resolve("Snapshots"));
        Path snapshot = child.write(snapshots.resolve("{1}.vdi"));
        base.write(directory.resolve("disk.vdi"));
        assertTrue(refusal(snapshot).contains("--allow-backing " + directory.toRealPath()));
        assertReadsThrough(snapshot, directory);
    }

    @Test
    void isFoundInAnAllowedDirectory(@TempDir Path elsewhere) throws IOException {
        base.write(elsewhere.resolve("disk.vdi"));
        assertTrue(refusal(image).contains("missing"));
        assertReadsThrough(image, elsewhere);
    }

    @Test
    void circleIsRefused() throws IOException {
        base.type = 4;
        base.parent = child.id;
        base.parentModification = child.modification;
        base.write(directory.resolve("base.vdi"));
        assertTrue(refusal(image).contains("circle"));
    }
}
