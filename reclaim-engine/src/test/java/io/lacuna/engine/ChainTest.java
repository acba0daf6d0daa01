package io.lacuna.engine;

import static io.lacuna.engine.ReclaimRun.options;
import static io.lacuna.engine.ReclaimRun.run;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.diskimage.DiskImages;
import io.lacuna.diskimage.HeldFiles;
import io.lacuna.diskimage.LibvirtMachines;
import io.lacuna.diskimage.OpenedImage;
import io.lacuna.engine.ImageReport.Verdict;
import io.lacuna.engine.ReclaimOptions.Purpose;
import io.lacuna.engine.proof.LiveDigest;
import io.lacuna.engine.proof.LiveProof;
import io.lacuna.fixtures.GuestDisk;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Chains of images: found, shown and reclaimed together. */
@Timeout(120)
class ChainTest {

    private static final long MIB = 1 << 20;

    @TempDir
    static Path shared;

    private static GuestDisk disk;

    @TempDir
    Path directory;

    private Path base;
    private Path middle;
    private Path top;

    @BeforeAll
    static void makeDisk() throws IOException {
        Tools.require("qemu-img", "qemu-io");
        disk = GuestDisk.assemble(shared.resolve("disk.raw"), "gpt", 512, GuestVolume.ext(shared, "ext", 24 * MIB, "-t ext4"));
    }

    /** Base, middle and top each hold all of the disk; the guest wrote junk into the free space of each before. */
    @BeforeEach
    void makeChain() throws IOException {
        directory = directory.toRealPath();
        base = directory.resolve("base.raw");
        middle = directory.resolve("middle.qcow2");
        top = directory.resolve("top.qcow2");
        Tools.shell("cp --sparse=always \"$1\" \"$2\"; cd \"$3\"; size=$(stat -c %s base.raw)\n"
                + "qemu-img create -q -f qcow2 -b base.raw -F raw middle.qcow2; qemu-img convert -n -f raw -O qcow2 base.raw "
                + "middle.qcow2\nqemu-img create -q -f qcow2 -b middle.qcow2 -F qcow2 top.qcow2", disk.file(), base, directory);
        Path junk = directory.resolve("junk");
        ExtentSet free = disk.free().inwardTo(65536).atLeast(2 * MIB);
        Tools.shell("head -c 2M /dev/urandom > \"$1\"; qemu-io -f qcow2 -c \"write -s $1 $3 2M\" \"$2\" > /dev/null; rm \"$1\"",
                junk,
                top, free.start(0));
    }

    private void assertReads(Path image) throws IOException {
        Path raw = directory.resolve("seen");
        Tools.ok("qemu-img", "check", "-q", "-f", "qcow2", image.toString());
        Tools.ok("qemu-img", "convert", "-f", "qcow2", "-O", "raw", image.toString(), raw.toString());
        assertEquals(List.of(), disk.differences(raw, disk.free(), ExtentSet.EMPTY));
        Files.delete(raw);
    }

    private static class Heard implements Batch.Listener {
        final List<String> events = new ArrayList<>();

        @Override
        public synchronized Progress started(Path image) {
            events.add("start " + image.getFileName());
            return Progress.NONE;
        }

        @Override
        public synchronized void ended(ImageReport report) {
            events.add("end " + report.path().getFileName());
        }
    }

    @Test
    void aChainIsReclaimedLayerByLayer() throws IOException {
        for (int jobs : new int[] {1, 3}) {
            makeChain();
            Heard heard = new Heard();
            RunReport dry = Batch.run(List.of(top, base, middle), options(Purpose.DRY_RUN).build(), jobs, heard);
            RunReport done = Batch.run(List.of(top, base, middle), options(Purpose.RECLAIM).build(), jobs, heard);
            assertEquals(List.of("start base.raw", "start middle.qcow2", "start top.qcow2", "end top.qcow2", "end middle.qcow2",
                    "end base.raw"), heard.events.subList(6, 12));
            for (int i = 0; i < 3; i++) {
                ImageReport report = done.images().get(i);
                assertEquals(List.of(top, base, middle).get(i), report.path());
                assertEquals(Verdict.RECLAIMED, report.verdict(), report.reason());
                assertEquals(dry.images().get(i).plannedBytes(), report.plannedBytes());
                assertTrue(report.plannedBytes() >= MIB, report.toString());
            }
            assertReads(top);
            assertReads(middle);
            assertEquals(List.of(), disk.differences(base, disk.free(), disk.free().inwardTo(4096)));
        }
    }

    @Test
    void aRefusedLayerLeavesTheOthersTheirTurn() throws IOException {
        // The middle one cannot be opened for writing: its memory is saved in a folder of its own.
        Path elsewhere = Files.createDirectories(directory.resolve("machine"));
        Path suspended = elsewhere.resolve("other.qcow2");
        Tools.ok("qemu-img", "create", "-q", "-f", "qcow2", "-b", middle.toString(), "-F", "qcow2", suspended.toString());
        Files.write(elsewhere.resolve("other.vmss"), new byte[10]);
        ReclaimOptions allowed = options(Purpose.RECLAIM).allowedBackingDirectories(List.of(directory)).build();
        RunReport done = Batch.run(List.of(suspended, top, base), allowed, 1, new Heard());
        assertEquals(List.of(Verdict.REFUSED, Verdict.RECLAIMED, Verdict.RECLAIMED),
                done.images().stream().map(ImageReport::verdict).toList(), done.toString());
        assertTrue(done.images().get(0).reason().contains("other.vmss"));
        assertReads(top);
    }

    @Test
    void theTreeIsFoundBesideTheImage() throws IOException {
        Path second = directory.resolve("second.qcow2");
        Tools.ok("qemu-img", "create", "-q", "-f", "qcow2", "-b", base.toString(), "-F", "raw", second.toString());
        Files.writeString(directory.resolve("notes.txt"), "no image");
        ImageReport report = run(base, options(Purpose.INSPECT).build());
        assertEquals(List.of(new ChildImage(middle, base, false, "beside the image"),
                new ChildImage(top, middle, false, "beside the image"), new ChildImage(second, base, false, "beside the image")),
                report.children().stream().sorted(java.util.Comparator.comparing(child -> child.path().equals(second))).toList());
        int at = report.children().indexOf(new ChildImage(middle, base, false, "beside the image"));
        assertEquals(top, report.children().get(at + 1).path(), "a child's children follow it");
        assertEquals(List.of(), run(top, options(Purpose.INSPECT).build()).children());
    }

    @Test
    void childrenElsewhereAreFoundWhereTheyAreNamed() throws IOException {
        Path far = Files.createDirectories(directory.resolve("a/b/c")).resolve("far.qcow2");
        Tools.ok("qemu-img", "create", "-q", "-f", "qcow2", "-b", top.toString(), "-F", "qcow2", far.toString());
        assertTrue(run(top, options(Purpose.DRY_RUN).build()).children().isEmpty());
        for (Path named : List.of(far, directory.resolve("a"))) {
            assertEquals(List.of(new ChildImage(far, top, false, "named")),
                    run(top, options(Purpose.DRY_RUN).children(List.of(named)).build()).children());
        }
        // By a link, and with a name that is an option string.
        Path link = Files.createSymbolicLink(directory.resolve("a/link"), far);
        assertEquals(far, run(top, options(Purpose.DRY_RUN).children(List.of(link)).build()).children().get(0).path());
        Tools.ok("qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b",
                "json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"" + top + "\"}}", far.toString());
        assertEquals(far, run(top, options(Purpose.DRY_RUN).children(List.of(far)).build()).children().get(0).path());
    }

    @Test
    void childrenAreFoundInLibvirtsHands() throws IOException {
        Path far = Files.createDirectories(directory.resolve("a & b")).resolve("far.qcow2");
        Tools.ok("qemu-img", "create", "-q", "-f", "qcow2", "-b", top.toString(), "-F", "qcow2", far.toString());
        Path machines = Files.createDirectories(directory.resolve("libvirt"));
        Files.writeString(machines.resolve("web.xml"), "<domain><devices><disk type='file'><source file='"
                + far.toString().replace("&", "&amp;") + "'/></disk><disk><source dev='/dev/none'/></disk></devices></domain>");
        ChildSearch search = new ChildSearch(new LibvirtMachines(List.of(machines, directory.resolve("absent"))));
        try (ReclaimSession session = ReclaimSession.open(base, options(Purpose.DRY_RUN).build(),
                new RunContext(search, new HeldFiles()))) {
            List<ChildImage> children = session.report(session.plan()).children();
            assertTrue(children.contains(new ChildImage(far, top, false, "disk of the libvirt machine 'web'")),
                    children.toString());
        }
    }

    /** Not for us to see, or broken: a machine of it may use an image that nobody names. */
    @Test
    void libvirtsMachinesThatCannotBeReadAreADoubt() throws IOException {
        Path machines = Files.createDirectories(directory.resolve("libvirt"));
        Files.createDirectory(machines.resolve("web.xml"));
        ChildSearch search = new ChildSearch(new LibvirtMachines(List.of(machines)));
        try (ReclaimSession session = ReclaimSession.open(top, options(Purpose.DRY_RUN).build(),
                new RunContext(search, new HeldFiles()))) {
            String remarks = session.report(session.plan()).remarks().toString();
            assertTrue(remarks.contains("the machines of libvirt") && remarks.contains("web.xml"), remarks);
        }
    }

    @Test
    void childrenAreFoundInQemusHands() throws IOException {
        Path far = Files.createDirectories(directory.resolve("a")).resolve("far.qcow2");
        Tools.ok("qemu-img", "create", "-q", "-f", "qcow2", "-b", top.toString(), "-F", "qcow2", far.toString());
        try (StorageDaemon guest = StorageDaemon.start(top, "qcow2", far, Files.createDirectory(directory.resolve("run")))) {
            ImageReport report = run(top, options(Purpose.INSPECT).mode(ReclaimMode.PUNCH).build());
            ChildImage child = report.children().get(0);
            assertTrue(child.path().equals(far) && child.running() && child.relation().contains("process " + guest.process()),
                    child.toString());
        }
        assertFalse(run(top, options(Purpose.INSPECT).build()).children().iterator().hasNext());
    }

    /** What is free in the child and stored in the parent is the parent's to give back. */
    @Test
    void theProofOfAChildOutlivesARunOnItsParent() throws IOException {
        Path child = directory.resolve("child.qcow2");
        Tools.ok("qemu-img", "create", "-q", "-f", "qcow2", "-b", base.toString(), "-F", "raw", child.toString());
        LiveProof proof = run(child, options(Purpose.RECLAIM).verify(ReclaimOptions.Verify.LIVE).build()).proof();
        assertEquals(proof.before(), digest(child, proof.discarded()));
        ImageReport ofParent = run(base, options(Purpose.RECLAIM).build());
        assertEquals(Verdict.RECLAIMED, ofParent.verdict(), ofParent.reason());
        assertEquals(proof.before(), digest(child, proof.discarded()));
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -P 7 " + disk.offsets().get(0) + " 4k", child.toString());
        assertFalse(proof.before().equals(digest(child, proof.discarded())));
    }

    /** A proof that is taken before the parent has had its turn says nothing of what that one's run did. */
    @Test
    void theProofOfAChildIsTakenWhenItsParentsAreDone() throws IOException {
        Path child = directory.resolve("child.qcow2");
        Tools.ok("qemu-img", "create", "-q", "-f", "qcow2", "-b", base.toString(), "-F", "raw", child.toString());
        Heard heard = new Heard() {
            @Override
            public synchronized void ended(ImageReport report) {
                super.ended(report);
                if (report.path().equals(base)) {
                    Tools.shell("printf x | dd of=\"$1\" bs=1 seek=$2 conv=notrunc status=none", base, disk.offsets().get(0));
                }
            }
        };
        ReclaimOptions options = options(Purpose.RECLAIM).verify(ReclaimOptions.Verify.LIVE).build();
        RunReport done = Batch.run(List.of(child, base), options, 1, heard);
        assertEquals(List.of("end base.raw", "end child.qcow2"), heard.events.subList(2, 4));
        assertEquals(List.of(Verdict.FAILED, Verdict.RECLAIMED), done.images().stream().map(ImageReport::verdict).toList());
        assertTrue(done.images().get(0).differs() && !done.images().get(1).differs(), done.toString());
        assertEquals(4, done.exitStatus());

        RunReport again = Batch.run(List.of(child, base), options, 2, new Heard());
        assertEquals(0, again.exitStatus(), again.toString());
        assertEquals(again.images().get(0).proof().before(), again.images().get(0).proof().after());
    }

    private static String digest(Path image, ExtentSet absent) throws IOException {
        try (OpenedImage opened = DiskImages.open(image,
                new DiskImages.Options(DiskImages.Access.INSPECT, "qcow2", List.of()))) {
            return LiveDigest.of(opened.image(), absent, Progress.NONE);
        }
    }
}
