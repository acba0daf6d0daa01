package io.lacuna.partition;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.fixtures.FileSource;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What the real tools write is named as blkid names it; what has a reader of its own is not. */
class ToolsSignaturesTest {

    @TempDir
    private Path directory;
    private Path image;

    @BeforeEach
    void blank() throws IOException {
        image = directory.resolve("volume");
        resize(300L << 20);
    }

    private void resize(long size) throws IOException {
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.setLength(0);
            file.setLength(size);
        }
    }

    private void write(long at, String characters) throws IOException {
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.seek(at);
            file.write(characters.getBytes(StandardCharsets.ISO_8859_1));
        }
    }

    private List<VolumeSignature> scan() throws IOException {
        try (FileSource source = new FileSource(image)) {
            return VolumeSignatures.scan(source);
        }
    }

    private List<String> names() throws IOException {
        return scan().stream().map(VolumeSignature::name).toList();
    }

    private void assertNamedAsBlkidDoes() throws IOException {
        String type = Tools.ok("blkid", "-p", "-s", "TYPE", "-o", "value", image.toString()).strip();
        assertEquals(List.of(type), names());
    }

    private void make(String command) {
        String[] words = (command + " " + image).split(" ");
        Tools.require(words[0], "blkid");
        Tools.ok(words);
    }

    @ParameterizedTest
    @ValueSource(strings = {"mkfs.xfs -q", "mkfs.btrfs -q", "mkfs.vfat -F 32", "mkfs.vfat -F 16", "mkfs.vfat -F 32 -S 4096",
        "mkfs.vfat -F 16 -a -n LABEL", "mkswap -q", "mkfs.minix -3", "mkfs.cramfs /etc/apt", "mkfs.bfs"})
    void fileSystems(String command) throws IOException {
        if (command.contains("minix") || command.contains("bfs")) {
            resize(8 << 20);
        }
        make(command);
        assertNamedAsBlkidDoes();
    }

    @Test
    void smallFat12() throws IOException {
        resize(1440 << 10);
        make("mkfs.vfat -F 12");
        assertNamedAsBlkidDoes();
    }

    @ParameterizedTest
    @ValueSource(strings = {"mkntfs -F -Q -q", "mkfs.ext4 -q -F", "mkfs.ext4 -q -F -b 1024", "mkfs.ext3 -q -F",
        "mkfs.ext2 -q -F -N 11080",
        "mkfs.ext4 -q -F -b 4096 -O bigalloc,^has_journal"})
    void volumesWithAReaderAreNotNamed(String command) throws IOException {
        make(command);
        assertEquals(List.of(), names());
    }

    @ParameterizedTest
    @ValueSource(strings = {"luks1", "luks2"})
    void luks(String type) throws IOException {
        Tools.require("cryptsetup");
        Tools.okWithInput("secret", "cryptsetup", "luksFormat", "--batch-mode", "--type", type, "--pbkdf", "pbkdf2",
                "--pbkdf-force-iterations", "1000", image.toString(), "-");
        assertNamedAsBlkidDoes();
    }

    @Test
    void luks2WithoutItsFirstHeader() throws IOException {
        Tools.require("cryptsetup");
        Tools.okWithInput("secret", "cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", "--pbkdf", "pbkdf2",
                "--pbkdf-force-iterations", "1000", image.toString(), "-");
        write(0, "\0".repeat(4096));
        assertEquals(List.of("crypto_LUKS"), names());
    }

    @Test
    void verityAndIntegrity() throws IOException {
        Tools.require("veritysetup");
        Path data = directory.resolve("data");
        Tools.shell("truncate -s 1M \"$1\"; veritysetup format \"$1\" \"$2\"", data, image);
        assertNamedAsBlkidDoes();
    }

    // Swap.

    @ParameterizedTest
    @ValueSource(ints = {4096, 8192, 16384, 32768, 65536})
    void swapOfEveryPageSize(int page) throws IOException {
        Tools.require("mkswap", "blkid");
        Tools.ok("mkswap", "-q", "-p", String.valueOf(page), image.toString());
        VolumeSignature swap = scan().get(0);
        assertEquals(new VolumeSignature("swap", "a Linux swap area", VolumeSignature.Kind.SWAP, page - 10, page, 300L << 20),
                swap);
        assertNamedAsBlkidDoes();
    }

    @Test
    void swapSmallerThanItsVolumeSpeaksForItsOwnPagesOnly() throws IOException {
        Tools.require("mkswap");
        Tools.ok("mkswap", "-q", image.toString(), "10240");
        assertEquals(10L << 20, scan().get(0).areaLength());
    }

    @Test
    void swapLargerThanItsVolumeIsNoSwapToGiveAway() throws IOException {
        Tools.require("mkswap");
        Tools.ok("mkswap", "-q", image.toString());
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.setLength(299L << 20);
        }
        assertEquals(VolumeSignature.Kind.OTHER, scan().get(0).kind());
    }

    @Test
    void swapWithADamagedHeaderIsNoSwapToGiveAway() throws IOException {
        Tools.require("mkswap");
        Tools.ok("mkswap", "-q", image.toString());
        write(1024, "\2");
        assertEquals(VolumeSignature.Kind.OTHER, scan().get(0).kind());
    }

    @Test
    void swapWithSignaturesOfTwoPageSizesIsNoSwapToGiveAway() throws IOException {
        Tools.require("mkswap");
        Tools.ok("mkswap", "-q", "-p", "65536", image.toString());
        write(4086, "SWAPSPACE2");
        assertEquals(List.of(VolumeSignature.Kind.OTHER), scan().stream().map(VolumeSignature::kind).toList());
    }

    @ParameterizedTest
    @CsvSource({"S1SUSPEND, 4096", "S2SUSPEND, 4096", "ULSUSPEND, 4096", "LINHIB0001, 4096", "S1SUSPEND, 65536",
        "ULSUSPEND, 16384", "S4SUSPEND, 8192"})
    void hibernatedLinuxIsSavedMemory(String signature, int page) throws IOException {
        Tools.require("mkswap");
        Tools.ok("mkswap", "-q", "-p", String.valueOf(page), image.toString());
        write(page - 10, (signature + "\0").substring(0, 10));
        List<VolumeSignature> found = scan();
        assertEquals(1, found.size());
        assertEquals(VolumeSignature.Kind.SAVED_MEMORY, found.get(0).kind());
        assertEquals("swsuspend", found.get(0).name());
    }

    // RAID, LVM: metadata at the start, and hidden at the end behind a good file system.

    @ParameterizedTest
    @ValueSource(strings = {"0.90", "1.0", "1.1", "1.2"})
    void mdMembersOfEveryVersion(String version) throws IOException {
        Tools.require("mdadm");
        Tools.requireLoopDevices();
        resize((50L << 20) + 512 * 7);
        boolean kernelHasMd = Files.exists(Path.of("/proc/mdstat"));
        if (!kernelHasMd) {
            System.out.println("SKIPPED: the kernel has no MD");
        }
        Assumptions.assumeTrue(kernelHasMd, "the kernel has no MD");
        String device = Tools.ok("losetup", "--find", "--show", image.toString()).strip();
        String md = "/dev/md/lacuna-" + version.replace('.', '-') + "-" + ProcessHandle.current().pid();
        try {
            Tools.ok("mdadm", "--create", md, "--run", "--metadata=" + version, "--level=1", "--raid-devices=2", "--force",
                    device, "missing");
        } finally {
            Tools.run("mdadm", "--stop", md);
            Tools.ok("losetup", "--detach", device);
        }
        assertEquals(List.of("linux_raid_member"), names());
    }

    @ParameterizedTest
    @ValueSource(strings = {"0.90", "1.0", "1.2"})
    void mdSuperblockBehindAGoodFileSystemIsSeen(String version) throws IOException {
        Tools.require("mkfs.ext4");
        long size = (50L << 20) + 5120;
        resize(size);
        Tools.ok("mkfs.ext4", "-q", "-F", image.toString(), "45M");
        assertEquals(List.of(), names());
        boolean old = version.equals("0.90");
        long at = old ? size / 65536 * 65536 - 65536 : version.equals("1.2") ? 4096 : size / 4096 * 4096 - 8192;
        write(at, "\u00fc\u004e\u002b\u00a9" + (old ? "\0\0\0\0\u005a" : "\1\0\0\0"));
        assertEquals(List.of("linux_raid_member"), names());
    }

    @Test
    void lvmPhysicalVolume() throws IOException {
        Tools.require("pvcreate");
        Tools.requireLoopDevices();
        resize(50L << 20);
        String device = Tools.ok("losetup", "--find", "--show", image.toString()).strip();
        Tools.Result made;
        try {
            made = Tools.run("pvcreate", "--yes", "--devices", device, device);
        } finally {
            Tools.ok("losetup", "--detach", device);
        }
        assertEquals(0, made.status(), made.output());
        assertNamedAsBlkidDoes();
    }

    // Trap: a second, stale signature.

    @Test
    void signatureBesideAGoodFileSystemIsSeen() throws IOException {
        Tools.require("mkfs.ext4");
        Tools.ok("mkfs.ext4", "-q", "-F", image.toString());
        write(512, "LABELONE");
        write(512 + 24, "LVM2 001");
        write((64 << 10) + 64, "_BHRfS_M");
        assertEquals(List.of("LVM2_member", "btrfs"), names());
    }

    @Test
    void swapMadeOverAnXfsShowsBoth() throws IOException {
        Tools.require("mkfs.xfs", "mkswap");
        Tools.ok("mkfs.xfs", "-q", image.toString());
        write(4086, "SWAPSPACE2");
        List<String> names = names();
        assertTrue(names.containsAll(List.of("swap", "xfs")), names.toString());
    }
}
