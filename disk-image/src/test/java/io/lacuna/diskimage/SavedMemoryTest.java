package io.lacuna.diskimage;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsafeException.Scope;
import io.lacuna.diskimage.Descriptor.Purpose;
import io.lacuna.diskimage.DiskImages.Access;
import io.lacuna.diskimage.DiskImages.Options;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SavedMemoryTest {

    @TempDir
    Path folder;

    private Path disks;
    private Path image;
    private Path states;
    private Path snapshots;

    @BeforeEach
    void createFolders() throws IOException {
        disks = Files.createDirectories(folder.resolve("vm/Virtual Hard Disks"));
        image = Files.write(disks.resolve("it's <a> & disk.raw"), new byte[4096]);
        states = Files.createDirectories(folder.resolve("libvirt/save"));
        snapshots = Files.createDirectories(folder.resolve("libvirt/snapshot"));
    }

    private Optional<String> find() throws IOException {
        try (NativeFile file = NativeFile.open(image, Purpose.READ)) {
            return new SavedMemory(List.of(states, folder.resolve("absent")), List.of(snapshots)).find(file, remark -> {
                throw new AssertionError(remark);
            });
        }
    }

    private void create(Path file, long size) throws IOException {
        Files.createDirectories(file.getParent());
        try (RandomAccessFile created = new RandomAccessFile(file.toFile(), "rw")) {
            created.setLength(size);
        }
    }

    @Test
    void anImageAloneHasNone() throws IOException {
        Files.createFile(disks.resolve("notes.txt"));
        assertEquals(Optional.empty(), find());
    }

    @Test
    void aStateBesideTheImageIsASign() throws IOException {
        for (String name : List.of("other-1234.vmss", "vm-Snapshot1.vmem", "2024-01-01T00-00-00.sav", "GUID.vsv", "guid.VMRS")) {
            create(disks.resolve(name), 10);
            assertTrue(find().orElseThrow().contains(name), name);
            Files.delete(disks.resolve(name));
            assertEquals(Optional.empty(), find());
        }
    }

    /** Every sign by its own name: with it the disk is refused by name, for the whole machine, and without it it is not. */
    @ParameterizedTest
    @ValueSource(strings = {"vm.vmss", "vm.vmem", "vm.vmsn", "2024-01-01T00-00-00.sav", "GUID.vsv", "GUID.VMRS", "Snapshots/x.sav",
        "vm-100-state-suspend-2024-01-01.raw",
        "../Snapshots/x.vmsn", "../Virtual Machines/x.vmrs", "../Virtual Machines/GUID/GUID.vsv"})
    void eachSignRefusesTheDisk(String name) throws IOException {
        for (Access access : List.of(Access.PLAN, Access.WRITE)) {
            DiskImages.open(image, new Options(access, "raw", List.of())).close();
        }
        Path sign = disks.resolve(name).normalize();
        create(sign, 2 << 20);
        for (Access access : List.of(Access.PLAN, Access.WRITE)) {
            UnsafeException refused = assertThrows(UnsafeException.class,
                    () -> DiskImages.open(image, new Options(access, "raw", List.of())).close());
            assertEquals(Scope.MACHINE, refused.scope());
            assertTrue(refused.reason().contains(sign.getFileName().toString()), refused.reason());
        }
    }

    @Test
    void theStateFoldersOfVirtualBoxAndHyperVAreSearched() throws IOException {
        for (Path place : List.of(disks.resolve("Snapshots"), disks.resolveSibling("Snapshots"),
                disks.resolveSibling("Virtual Machines"), disks.resolveSibling("Virtual Machines").resolve("GUID"))) {
            Path state = place.resolve("x.vsv");
            create(state, 10);
            assertTrue(find().orElseThrow().contains(state.toString()), state.toString());
            Files.delete(state);
        }
        assertEquals(Optional.empty(), find());
    }

    /** VMware's snapshot of a machine that was off: some ten kilobytes, no .vmem. */
    @Test
    void aSmallVmsnAloneHoldsNoMemoryAndALargeOneDoes() throws IOException {
        create(disks.resolve("vm-Snapshot1.vmsn"), 30_000);
        assertEquals(Optional.empty(), find());
        create(disks.resolve("vm-Snapshot2.vmsn"), 64 << 20);
        assertTrue(find().orElseThrow().contains("vm-Snapshot2.vmsn"));
        Files.delete(disks.resolve("vm-Snapshot2.vmsn"));
        create(disks.resolve("vm-Snapshot1.vmem"), 64 << 20);
        assertTrue(find().orElseThrow().contains("vm-Snapshot1.vmem"));
    }

    @Test
    void anEmptyStateHoldsNothing() throws IOException {
        create(disks.resolve("x.sav"), 0);
        Files.createDirectory(disks.resolve("folder.vmss"));
        assertEquals(Optional.empty(), find());
    }

    private static String escaped(Path path) {
        return path.toString().replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("'", "&apos;");
    }

    private void saveState(String disk) throws IOException {
        byte[] description = ("<domain type='kvm'><devices><disk type='file'><source file='" + disk
                + "' index='1'/></disk></devices></domain>\n\0").getBytes(StandardCharsets.UTF_8);
        ByteBuffer header = ByteBuffer.allocate(92).order(ByteOrder.nativeOrder());
        header.put("LibvirtQemudSave".getBytes(StandardCharsets.US_ASCII)).putInt(2).putInt(description.length).putInt(1);
        ByteArrayOutputStream state = new ByteArrayOutputStream();
        state.write(header.array());
        state.write(description);
        byte[] memory = new byte[3 << 20];
        new Random(3).nextBytes(memory);
        state.write(memory);
        Files.write(states.resolve("guest.save"), state.toByteArray());
    }

    @Test
    void libvirtsSavedStateOfThisDiskIsASign() throws IOException {
        saveState(escaped(image.toAbsolutePath()));
        assertTrue(find().orElseThrow().contains("guest.save"));
    }

    @Test
    void libvirtsSavedStateIsRecognisedByTheFileAndNotByItsName() throws IOException {
        Path link = Files.createSymbolicLink(folder.resolve("link"), image);
        saveState(escaped(link));
        assertTrue(find().orElseThrow().contains("guest.save"));
    }

    @Test
    void libvirtsSavedStateOfAnotherDiskIsNone() throws IOException {
        saveState(escaped(Files.write(folder.resolve("other.raw"), new byte[1])));
        assertEquals(Optional.empty(), find());
        saveState("/nowhere/at/all");
        assertEquals(Optional.empty(), find());
        Files.write(states.resolve("guest.save"), new byte[0]);
        assertEquals(Optional.empty(), find());
    }

    @Test
    void libvirtsSnapshotWithExternalMemoryIsASign() throws IOException {
        Path snapshot = Files.createDirectories(snapshots.resolve("guest")).resolve("one.xml");
        String disk = "<disk><source file='" + escaped(image) + "'/></disk>";
        Files.writeString(snapshot, "<domainsnapshot><memory snapshot='no'/>" + disk + "</domainsnapshot>");
        assertEquals(Optional.empty(), find());
        Files.writeString(snapshot, "<domainsnapshot><memory snapshot='external' file='/x'/>" + disk + "</domainsnapshot>");
        assertTrue(find().orElseThrow().contains("one.xml"));
    }

    @Test
    void openingRefusesTheWholeMachineAndALookRemarks() throws IOException {
        create(disks.resolve("vm.vmss"), 10);
        for (Access access : List.of(Access.PLAN, Access.WRITE)) {
            UnsafeException refused = assertThrows(UnsafeException.class,
                    () -> DiskImages.open(image, new Options(access, "raw", List.of())).close());
            assertEquals(Scope.MACHINE, refused.scope());
            assertEquals(image.toString(), refused.path());
        }
        try (OpenedImage looked = DiskImages.open(image, new Options(Access.INSPECT, "raw", List.of()))) {
            assertTrue(looked.remarks().get(0).contains("vm.vmss"));
        }
    }
}
