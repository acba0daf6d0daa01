package io.lacuna.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.FileIdentity;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RunMarkerTest {

    @TempDir
    Path directory;

    private Path file;

    @BeforeEach
    void nameIt() {
        file = directory.resolve("vm.qcow2.lacuna-run");
    }

    private RunMarker marker(long device, long inode) {
        return RunMarker.of(directory.resolve("vm.qcow2"), new FileIdentity(device, inode, 0, 0, 0, false));
    }

    @Test
    void standsFromRaiseToRemove() throws IOException {
        RunMarker marker = marker(1, 7);
        assertFalse(marker.stands());
        marker.raise();
        assertTrue(marker.stands());
        marker.raise();
        marker.remove();
        assertFalse(marker.stands() || Files.exists(file));
    }

    @Test
    void isKnownAgainWhenTheHostNumbersItsDevicesAnew() throws IOException {
        marker(1, 7).raise();
        assertTrue(marker(2, 7).stands());
    }

    @Test
    void markerOfAnImageThatWasReplacedProvesNothingAndGoes() throws IOException {
        marker(1, 7).raise();
        assertFalse(marker(1, 8).stands());
        marker(1, 8).raise();
        assertTrue(marker(1, 8).stands());
        marker(1, 9).remove();
        assertFalse(Files.exists(file));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "lacuna.r", "lacuna.run/1\n", "lacuna.run/1\n1"})
    void halfWrittenMarkerProvesNothingAndGoes(String text) throws IOException {
        Files.writeString(file, text);
        assertFalse(marker(1, 12).stands());
        marker(1, 12).raise();
        assertTrue(marker(1, 12).stands());
    }

    @Test
    void whatIsNoMarkerIsNeverDeleted() throws IOException {
        byte[] mine = {'m', 'i', 'n', 'e', (byte) 0xFF};
        Files.write(file, mine);
        RunMarker marker = marker(1, 7);
        assertFalse(marker.stands());
        assertThrows(UnsafeException.class, marker::raise);
        marker.remove();
        assertEquals(5, Files.size(file));

        Path target = directory.resolve("target");
        Files.writeString(target, "lacuna.run/1\n7\n");
        Files.delete(file);
        Files.createSymbolicLink(file, target);
        assertFalse(marker.stands());
        assertThrows(UnsafeException.class, marker::raise);
        marker.remove();
        assertTrue(Files.isSymbolicLink(file));
    }

    /** Clusters that a cut run leaked: counted, and nothing refers to them. A run that changes no table cannot take them back. */
    @Test
    void runThatOnlyPunchesLeavesTheMarkerForTheOneThatRepairs() throws IOException {
        Tools.require("qemu-img", "qemu-io");
        Path volume = GuestVolume.ext(directory, "volume", 16 << 20, "-t ext4").file();
        Path image = directory.resolve("vm.qcow2");
        Tools.shell("qemu-img convert -O qcow2 \"$1\" \"$2\"", volume, image);
        // The entry of the last cluster in the only L2 table is forgotten, the cluster's count is not.
        Tools.shell("qemu-io -c 'write -P 7 16711680 65536' \"$1\" > /dev/null\n"
                + "l2=$(od -An -tx1 -j $((0x30000)) -N 8 \"$1\" | tr -d ' \\n'); at=$(( 0x$l2 & 0xfffffffffe00 ))\n"
                + "head -c 8 /dev/zero | dd of=\"$1\" bs=1 seek=$((at + 255 * 8)) conv=notrunc status=none", image);
        assertEquals(3, Tools.run("qemu-img", "check", image.toString()).status(), "the leak is there");
        Files.writeString(file, "lacuna.run/1\n" + Files.getAttribute(image, "unix:ino") + "\n");

        ImageReport punched = ReclaimRun.run(image, ReclaimOptions.builder().mode(ReclaimMode.PUNCH).build());
        assertEquals(null, punched.reason());
        assertTrue(Files.exists(file), "the leak is still there, so its sign is");
        assertTrue(punched.remarks().stream().anyMatch(remark -> remark.contains("deallocate")), punched.remarks().toString());

        ImageReport repaired = ReclaimRun.run(image, ReclaimOptions.builder().build());
        assertEquals(null, repaired.reason());
        assertFalse(Files.exists(file));
        Tools.ok("qemu-img", "check", image.toString());
    }
}
