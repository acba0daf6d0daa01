package io.lacuna.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.VolumeOptions;
import io.lacuna.diskimage.write.OutputFormat;
import io.lacuna.fixtures.GuestDisk;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Copies of disks that real tools made, judged by real tools. */
class CopyTest {

    private static final long MIB = 1 << 20;

    @TempDir
    static Path shared;

    private static GuestDisk disk;
    private static Path qcow2;
    private static ExtentSet free;

    @TempDir
    Path directory;

    @BeforeAll
    static void makeDisks() throws IOException {
        Tools.require("qemu-img", "qemu-io", "sfdisk");
        disk = GuestDisk.assemble(shared.resolve("gpt.raw"), "gpt", 512, GuestVolume.ext(shared, "ext4", 24 * MIB, "-t ext4"),
                GuestVolume.ntfs(shared, "ntfs", 24 * MIB, "-c 4096"));
        qcow2 = shared.resolve("gpt.qcow2");
        Tools.shell("qemu-img convert -q -f raw -O qcow2 \"$1\" \"$2\"; sync", disk.file(), qcow2);
        free = disk.free();
    }

    private static CopyOptions options(OutputFormat to, boolean compress, boolean keepChain, boolean force) {
        return new CopyOptions(to, null, List.of(), Set.of(), compress, keepChain, force, VolumeOptions.NONE);
    }

    private static CopyReport copy(Path source, Path out, CopyOptions options) {
        return Copier.run(source, out, options, Progress.NONE);
    }

    private static CopyReport copied(Path source, Path out, CopyOptions options) {
        CopyReport report = copy(source, out, options);
        assertNull(report.source().reason());
        assertEquals(ImageReport.Verdict.COPIED, report.source().verdict());
        return report;
    }

    private void refused(String reason, CopyReport report) {
        assertNull(report.copy());
        assertTrue(report.source().reason().contains(reason), report.source().reason());
        assertEquals(3, report.exitStatus());
    }

    private static String driver(OutputFormat format) {
        return switch (format) {
            case VHD -> "vpc";
            case VMDK_STREAM -> "vmdk";
            default -> format.word();
        };
    }

    private Path toRaw(Path image, String driver) {
        Path raw = directory.resolve(image.getFileName() + ".as.raw");
        Tools.shell("qemu-img convert -f $3 -O raw \"$1\" \"$2\"", image, raw, driver);
        return raw;
    }

    private static String state(Path file) {
        return Tools.shell("sha256sum < \"$1\"; stat -c '%X %Y %Z %s %b' \"$1\"", file);
    }

    private static long blocks(Path file) {
        return Long.parseLong(Tools.shell("sync \"$1\"; stat -c %b \"$1\"", file).strip());
    }

    @ParameterizedTest
    @CsvSource({"RAW,false", "QCOW2,false", "QCOW2,true", "VHD,false", "VHDX,false", "VMDK,false", "VMDK_STREAM,true", "VDI,false"})
    void everyFormatHoldsTheLiveBytesAndNoOthers(OutputFormat format, boolean compress) throws IOException {
        String driver = driver(format);
        for (Path source : List.of(disk.file(), qcow2)) {
            String before = state(source);
            Path out = directory.resolve(source.getFileName() + "." + format.word());
            CopyReport report = copied(source, out, options(format, compress, false, false));
            assertEquals(before, state(source), "the source, with its times");
            assertEquals(free.totalBytes(), report.source().freeBytes());
            if (!driver.equals("raw") && !driver.equals("vpc")) {
                Tools.ok("qemu-img", "check", "-f", driver, out.toString());
            }
            Path raw = toRaw(out, driver);
            assertEquals(List.of(), disk.differences(raw, free, free));
            proveSize(out, raw, driver, format, compress);
            if (format == OutputFormat.VMDK) {
                List<GuestVolume> volumes = disk.volumesOf(raw, directory);
                for (int i = 0; i < volumes.size(); i++) {
                    assertEquals(disk.volumes().get(i).manifest(), volumes.get(i).manifest());
                    volumes.get(i).check();
                }
            }
            if (format != OutputFormat.VMDK_STREAM) {
                long place = free.atLeast(256 << 10).start(0) / 65536 * 65536 + 65536;
                Tools.ok("qemu-io", "-f", driver, "-c", "write -P 0x5a " + place + " 64k", "-c", "write -P 0xa5 1024 4096",
                        out.toString());
                Tools.ok("qemu-io", "-f", driver, "-c", "read -P 0x5a " + place + " 64k", "-c", "read -P 0xa5 1024 4096",
                        out.toString());
                if (!driver.equals("raw") && !driver.equals("vpc")) {
                    Tools.ok("qemu-img", "check", "-f", driver, out.toString());
                }
            }
        }
    }

    private void proveSize(Path out, Path raw, String driver, OutputFormat format, boolean compress) throws IOException {
        Path peer = directory.resolve("peer");
        String how = format == OutputFormat.VMDK_STREAM ? "-o subformat=streamOptimized" : compress ? "-c" : "";
        Tools.shell("qemu-img convert " + how + " -f raw -O " + driver + " \"$1\" \"$2\"", raw, peer);
        long ours = blocks(out);
        long theirs = blocks(peer);
        assertTrue(ours <= theirs * 1.01, ours + " sectors of the host, and qemu-img needs " + theirs);
        long length = Files.size(out);
        assertTrue(length <= Files.size(peer) * 1.01, length + " bytes long, and qemu-img's is " + Files.size(peer));
        Files.delete(peer);
    }

    @ParameterizedTest
    @CsvSource({"VMDK,vmdkmount,vmdk1", "VMDK_STREAM,vmdkmount,vmdk1", "VHD,vhdimount,vhdi1", "VHDX,vhdimount,vhdi1"})
    void otherReadersFindTheSameBytes(OutputFormat format, String mount, String name) throws IOException {
        Tools.require(mount);
        Tools.requireFuse();
        Path out = directory.resolve("copy." + (format == OutputFormat.VMDK_STREAM ? "vmdk" : format.word()));
        copied(disk.file(), out, CopyOptions.to(format));
        Path raw = directory.resolve("second.raw");
        Tools.shell("mkdir \"$1.mnt\"; $3 \"$1\" \"$1.mnt\" > /dev/null; trap 'umount \"$1.mnt\"' EXIT\n"
                + "cp --sparse=always \"$1.mnt/$4\" \"$2\"", out, raw, mount, name);
        assertEquals(List.of(), disk.differences(raw, free, free));
    }

    @Test
    void chainIsFlattenedOrKept() throws IOException {
        for (String create : List.of("", "-o extended_l2=on,cluster_size=128k", "-o cluster_size=4k")) {
            Path base = directory.resolve("base.raw");
            Path top = directory.resolve("top.qcow2");
            Tools.shell("head -c 9000000 /dev/urandom > \"$1\"; truncate -s 10M \"$1\"\n"
                    + "qemu-img create -q -f qcow2 -b base.raw -F raw " + create + " \"$2\" 12M\n"
                    + "qemu-io -f qcow2 -c 'write -P 1 70000 3000' -c 'write -z 1M 512k' -c 'write -P 0 3M 100k' "
                    + "-c 'write -P 2 9M 2M' -c 'write -z 4100k 8k' \"$2\" > /dev/null; sync", base, top);
            Path flat = directory.resolve("flat.qcow2");
            copied(top, flat, options(OutputFormat.QCOW2, false, false, true));
            Tools.ok("qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", top.toString(), flat.toString());
            assertTrue(!Tools.ok("qemu-img", "info", flat.toString()).contains("backing"));

            Path kept = directory.resolve("kept.qcow2");
            CopyReport report = copied(top, kept, options(OutputFormat.QCOW2, true, true, true));
            assertEquals(base.toString(), report.copy().parent());
            Tools.ok("qemu-img", "check", "-f", "qcow2", kept.toString());
            Tools.ok("qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", top.toString(), kept.toString());
            String info = Tools.ok("qemu-img", "info", kept.toString());
            assertTrue(info.contains("backing file: base.raw") && info.contains("backing file format: raw"), info);
            assertTrue(blocks(kept) < blocks(flat) / 2, "only its own data");
        }
    }

    @Test
    void aChildOfAnotherFormatKeepsItsParent() throws IOException {
        Path base = directory.resolve("base.vmdk");
        Path top = directory.resolve("top.vmdk");
        Tools.shell("head -c 9000000 /dev/urandom > \"$1.raw\"; truncate -s 12M \"$1.raw\"; qemu-img convert -f raw -O vmdk "
                + "\"$1.raw\" \"$1\"\nqemu-img create -q -f vmdk -b base.vmdk -F vmdk -o zeroed_grain=on \"$2\"; qemu-io -f vmdk "
                + "-c 'write -P 1 70000 3000' -c 'write -z 1M 512k' -c 'write -P 2 9M 2M' \"$2\" > /dev/null; sync", base, top);
        Path kept = directory.resolve("kept.qcow2");
        CopyReport report = copied(top, kept, options(OutputFormat.QCOW2, false, true, false));
        assertEquals(base.toString(), report.copy().parent());
        Tools.ok("qemu-img", "check", "-f", "qcow2", kept.toString());
        Tools.ok("qemu-img", "compare", "-f", "vmdk", "-F", "qcow2", top.toString(), kept.toString());
        assertTrue(blocks(kept) * 512 < 4 * MIB, "only its own data");
    }

    @Test
    void freedPartsOfAChildDoNotShowTheParent() throws IOException {
        Path top = shared.resolve("child.qcow2");
        long place = free.atLeast(256 << 10).start(0) / 65536 * 65536 + 65536;
        Tools.shell("qemu-img create -q -f qcow2 -b gpt.raw -F raw \"$1\"; "
                + "qemu-io -f qcow2 -c \"write -P 7 $2 64k\" \"$1\" > /dev/null; sync", top, place);
        Path kept = directory.resolve("kept.qcow2");
        copied(top, kept, options(OutputFormat.QCOW2, false, true, false));
        assertEquals(List.of(), disk.differences(toRaw(kept, "qcow2"), free, ExtentSet.ofRange(place, 65536)));
    }

    /** What is free in a parent can be in use in its children. */
    @Test
    void theCopyOfAParentSaysThatItIsNoParent() throws IOException {
        Path base = directory.resolve("base.qcow2");
        Path child = directory.resolve("child.qcow2");
        Tools.shell("cp \"$1\" \"$2\"; qemu-img create -q -f qcow2 -b \"$2\" -F qcow2 \"$3\"", qcow2, base, child);
        CopyReport report = copy(base, directory.resolve("copy.raw"), options(OutputFormat.RAW, false, false, false));
        assertTrue(report.source().remarks().toString().contains("Never put the copy in its place beneath them"),
                () -> report.source().remarks().toString());
        assertEquals(List.of(child.toRealPath()), report.source().children().stream().map(ChildImage::path).toList());
        CopyReport ofChild = copy(child, directory.resolve("copy-of-child.raw"), options(OutputFormat.RAW, false, false, false));
        assertEquals(List.of(), ofChild.source().children());
        assertFalse(ofChild.source().remarks().toString().contains("beneath them"), () -> ofChild.source().remarks().toString());
    }

    /** By a program that asks for no lock; the image's own file stays as it is. */
    @Test
    void aWriterToAParentIsNoticed() throws IOException {
        Path base = directory.resolve("base.raw");
        Path top = directory.resolve("top.qcow2");
        Tools.shell("cp --sparse=always \"$1\" \"$2\"; qemu-img create -q -f qcow2 -b base.raw -F raw \"$3\"; sync", disk.file(),
                base,
                top);
        Path out = directory.resolve("out.raw");
        refused("wrote to the image while it was being copied", Copier.run(top, out, CopyOptions.to(OutputFormat.RAW),
                (done, all) -> {
            try (RandomAccessFile writer = new RandomAccessFile(base.toFile(), "rw")) {
                writer.seek(4 * MIB);
                writer.write(1);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }));
        assertEquals(2, directory.toFile().list().length, "nothing is left of the copy");
    }

    @Test
    void chainIsKeptOnlyWhereThereIsOne() {
        refused("no parent", copy(qcow2, directory.resolve("a.qcow2"), options(OutputFormat.QCOW2, false, true, false)));
        assertEquals(0, directory.toFile().list().length);
    }

    @Test
    void anExistingFileIsReplacedOnlyByForce() throws IOException {
        Path out = Files.writeString(directory.resolve("out.raw"), "mine");
        refused("--force", copy(qcow2, out, CopyOptions.to(OutputFormat.RAW)));
        assertEquals("mine", Files.readString(out));
        copied(qcow2, out, options(OutputFormat.RAW, false, false, true));
        assertEquals(Files.size(disk.file()), Files.size(out));
        assertEquals(1, directory.toFile().list().length);
    }

    /** As a raw disk's guest can make it: the copy would hand another's disk over to it. */
    @Test
    void aSignatureThatAGuestCouldHaveWrittenBringsNoOtherDisk() throws IOException {
        Path guest = directory.resolve("guest.raw");
        Tools.shell("cd \"$1\"; head -c 1M /dev/urandom > neighbour.raw\n"
                + "qemu-img create -q -f qcow2 -b neighbour.raw -F raw evil; truncate -s 4M guest.raw\n"
                + "dd if=evil of=guest.raw conv=notrunc status=none; sync", directory);
        Path out = directory.resolve("out.raw");
        refused("--format", copy(guest, out, CopyOptions.to(OutputFormat.RAW)));
        assertTrue(Files.notExists(out));
        // Who calls it so, or says so, knows.
        copied(guest, out, new CopyOptions(OutputFormat.RAW, "qcow2", List.of(), Set.of(), false, false, false,
                VolumeOptions.NONE));
        copied(Files.move(guest, directory.resolve("guest.qcow2")), out, options(OutputFormat.RAW, false, false, true));
        assertEquals(-1, Files.mismatch(out, directory.resolve("neighbour.raw")));
    }

    /** QEMU fills in only what it is asked to write of a new block. */
    @Test
    void whatQemuAddsToAnEmptyCopyShowsNothingElse() throws IOException {
        Path blank = directory.resolve("blank.raw");
        Tools.shell("truncate -s 64M \"$1\"", blank);
        for (OutputFormat format : List.of(OutputFormat.VHD, OutputFormat.VHDX, OutputFormat.VMDK, OutputFormat.VDI,
                OutputFormat.QCOW2)) {
            Path out = directory.resolve("blank." + format.word());
            copied(blank, out, CopyOptions.to(format));
            String driver = format == OutputFormat.VHD ? "vpc" : format.word();
            Tools.shell("qemu-io -f $2 -c 'write -P 1 1M 512' -c 'read -P 0 0 1M' -c 'read -P 0 1049088 7M' \"$1\"", out, driver);
        }
    }

    /** Neither while it is written nor afterwards may more people read the copy than the source. */
    @Test
    void aCopyIsAsPrivateAsItsSource() throws IOException {
        Path source = directory.resolve("private.raw");
        Tools.shell("head -c 1M /dev/urandom > \"$1\"; chmod 600 \"$1\"; sync", source);
        Path out = directory.resolve("out.qcow2");
        Set<String> modes = new TreeSet<>();
        CopyReport report = Copier.run(source, out, CopyOptions.to(OutputFormat.QCOW2), (done, all) ->
                modes.add(Tools.shell("stat -c %a \"$1\"/.lacuna-copy-*", directory).strip()));
        assertEquals(ImageReport.Verdict.COPIED, report.source().verdict(), report.source().reason());
        modes.add(Tools.ok("stat", "-c", "%a", out.toString()).strip());
        assertEquals(Set.of("600"), modes);
        Tools.ok("chmod", "640", out.toString());
        copied(source, out, options(OutputFormat.QCOW2, false, false, true));
        assertEquals("640", Tools.ok("stat", "-c", "%a", out.toString()).strip());
    }

    @Test
    void aFileInUseIsNotReplaced() throws IOException {
        Path out = directory.resolve("out.raw");
        Tools.shell("truncate -s 1M \"$1\"", out);
        Process user = new ProcessBuilder("qemu-io", "-f", "raw", out.toString()).start();
        try {
            user.getOutputStream().write("write -P 1 0 4k\n".getBytes());
            user.getOutputStream().flush();
            user.getInputStream().read();
            Thread.sleep(500);
            CopyReport report = copy(qcow2, out, options(OutputFormat.RAW, false, false, true));
            assertEquals(3, report.exitStatus(), report.source().reason());
            assertEquals(MIB, Files.size(out));
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        } finally {
            user.destroy();
        }
    }

    @Test
    void theSourceAndItsParentsAreNeverReplaced() throws IOException {
        Path top = directory.resolve("top.qcow2");
        Path base = directory.resolve("base.raw");
        Path link = directory.resolve("other-name.raw");
        Tools.shell("truncate -s 4M \"$1\"; qemu-img create -q -f qcow2 -b base.raw -F raw \"$2\"; ln \"$1\" \"$3\"", base, top,
                link);
        for (Path out : List.of(top, base, link)) {
            refused("the copy would take the place of", copy(top, out, options(OutputFormat.QCOW2, false, false, true)));
        }
    }

    /** By each name that leads to them: their own, a hard link, a symbolic link, one through a linked directory. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"vmdk|subformat=monolithicFlat|vm-flat.vmdk",
        "vmdk|subformat=twoGbMaxExtentSparse|vm-s001.vmdk", "vmdk|subformat=twoGbMaxExtentFlat|vm-f001.vmdk",
        "qcow2|data_file=data.bin|data.bin", "vhdx||vm.vhdx", "vpc||vm.vpc", "vdi||vm.vdi"})
    void noFileOfTheSourceIsReplacedWhateverItIsCalled(String driver, String create, String part) throws IOException {
        Path image = directory.resolve("vm." + driver);
        Tools.shell("cd \"$1\"; head -c 3M /dev/urandom > raw; truncate -s 8M raw\n"
                + "qemu-img convert -q -f raw -O $2 ${4:+-o} ${4:-} raw \"$3\"; rm raw\n"
                + "for name in $(printf '%s\\n' \"$3\" \"$5\" | sort -u); do ln \"$name\" \"$name.hard\"; ln -s \"$name\" "
                + "\"$name.soft\"; done\nln -s . through", directory, driver, image.getFileName(), create == null ? "" : create,
                part);
        String before = Tools.shell("cd \"$1\"; sha256sum vm* data* 2> /dev/null || true; stat -c '%n %i %s' *", directory);
        for (Path file : List.of(image, directory.resolve(part))) {
            for (String name : List.of("", ".hard", ".soft")) {
                for (Path folder : List.of(directory, directory.resolve("through"))) {
                    for (boolean force : new boolean[] {false, true}) {
                        CopyOptions options = new CopyOptions(OutputFormat.RAW, driver.equals("vpc") ? "vhd" : driver, List.of(),
                                Set.of(), false, false, force, VolumeOptions.NONE);
                        refused("the copy would take the place of", copy(image, folder.resolve(file.getFileName() + name),
                                options));
                    }
                }
            }
        }
        assertEquals(before, Tools.shell("cd \"$1\"; sha256sum vm* data* 2> /dev/null || true; stat -c '%n %i %s' *", directory));
    }

    @Test
    void aFullHostLeavesNothing() throws IOException {
        Tools.requireLoopDevices();
        Path small = Files.createDirectory(directory.resolve("small"));
        Tools.shell("mount -t tmpfs -o size=2m none \"$1\"", small);
        try {
            for (OutputFormat format : OutputFormat.values()) {
                CopyReport report = copy(qcow2, small.resolve("out"), CopyOptions.to(format));
                assertEquals(1, report.exitStatus());
                assertTrue(report.source().reason().contains("no room for the copy"), report.source().reason());
                assertEquals(0, small.toFile().list().length);
            }
        } finally {
            Tools.shell("umount \"$1\"", small);
        }
    }

    @Test
    void withSavedMemoryEverythingIsCopied() throws IOException {
        Path source = directory.resolve("vm.raw");
        Tools.shell("cp --sparse=always \"$1\" \"$2\"; head -c 100000 /dev/urandom > \"$2.vmss\"; sync", disk.file(), source);
        Path out = directory.resolve("copy.raw");
        CopyReport report = copied(source, out, CopyOptions.to(OutputFormat.RAW));
        assertTrue(report.source().volumes().stream().allMatch(volume -> volume.reason().contains("VMware")));
        Tools.ok("cmp", source.toString(), out.toString());
    }

    @Test
    void aVolumeInDoubtIsCopiedWholeAndOddSizesAreRounded() throws IOException {
        Path source = directory.resolve("odd.raw");
        Tools.shell("head -c 3000001 /dev/urandom > \"$1\"; sync", source);
        Path out = directory.resolve("copy.vhdx");
        CopyReport report = copied(source, out, CopyOptions.to(OutputFormat.VHDX));
        assertTrue(report.source().volumes().stream().allMatch(VolumeReport::skipped));
        assertTrue(report.source().remarks().stream().anyMatch(remark -> remark.contains("whole sectors")));
        Path raw = toRaw(out, "vhdx");
        assertEquals(3000001 / 512 * 512 + 512, Files.size(raw));
        Tools.ok("cmp", "-n", "3000001", source.toString(), raw.toString());
        copied(source, directory.resolve("copy.raw"), CopyOptions.to(OutputFormat.RAW));
        Tools.ok("cmp", source.toString(), directory.resolve("copy.raw").toString());
    }

    /** QEMU makes no such disks, nor reads them: made from its own by the one field that says it. */
    @Test
    void largeSectorsStayLarge() throws IOException {
        Path image = directory.resolve("large-sectors.vhdx");
        Tools.shell("qemu-img convert -q -f raw -O vhdx \"$1\" \"$2\"", disk.file(), image);
        setSectorSize(image, 4096);
        Path out = directory.resolve("copy.vhdx");
        copied(image, out, options(OutputFormat.VHDX, false, false, false));
        assertEquals(4096, sectorSizeAt(Files.readAllBytes(out)).getInt());
        setSectorSize(out, 512);
        Tools.ok("qemu-img", "check", "-q", "-f", "vhdx", out.toString());
        CopyReport raw = copied(image, directory.resolve("copy.raw"), options(OutputFormat.RAW, false, false, false));
        assertTrue(raw.source().remarks().stream().anyMatch(remark -> remark.contains("logical sectors of 4096")),
                raw.source().remarks().toString());
    }

    private static void setSectorSize(Path image, int bytes) throws IOException {
        byte[] content = Files.readAllBytes(image);
        sectorSizeAt(content).putInt(bytes);
        Files.write(image, content);
    }

    /** @return where the item lies that the metadata table names by this GUID: 8141bf1d-a96f-4709-ba47-f233a8faab5f */
    private static ByteBuffer sectorSizeAt(byte[] vhdx) {
        byte[] id = HexFormat.of().parseHex("1dbf41816fa90947ba47f233a8faab5f");
        ByteBuffer bytes = ByteBuffer.wrap(vhdx).order(ByteOrder.LITTLE_ENDIAN);
        for (int at = 1 << 20; at < vhdx.length - 32; at += 32) {
            if (Arrays.equals(vhdx, at, at + id.length, id, 0, id.length)) {
                int table = at & -(1 << 16);
                return bytes.position(table + bytes.getInt(at + 16)).slice().order(ByteOrder.LITTLE_ENDIAN);
            }
        }
        throw new AssertionError("no such item");
    }
}
