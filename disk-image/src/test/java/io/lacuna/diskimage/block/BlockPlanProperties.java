package io.lacuna.diskimage.block;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ReclaimMode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.lifecycle.AfterProperty;
import net.jqwik.api.lifecycle.BeforeProperty;

/** Random images of all shapes that a format can have, run in every mode and compared with what they held before. */
class BlockPlanProperties {

    private Path directory;

    @BeforeProperty
    void makeFolder() throws IOException {
        Path memory = Path.of("/dev/shm");
        directory = Files.isWritable(memory) ? Files.createTempDirectory(memory, "blocks") : Files.createTempDirectory("blocks");
    }

    @AfterProperty
    void removeFolder() throws IOException {
        Files.delete(directory);
    }

    /** Blocks at random places, neighbours or not, in files that end with a footer; gaps hold rubbish or nothing. */
    private ModelImage image(Random random, int granularity, boolean punchable) {
        int blockSize = 512 << random.nextInt(6);
        int head = random.nextBoolean() ? 0 : 512;
        boolean withoutHoles = head == 0 && random.nextInt(3) == 0;
        int slot = head + blockSize;
        int alignment = withoutHoles ? slot : random.nextBoolean() ? 512 : blockSize;
        long start = 512L * (1 + random.nextInt(16));
        long size = 512L * (1 + random.nextInt(40 * blockSize / 512));
        int blocks = (int) ((size + blockSize - 1) / blockSize) + random.nextInt(3);
        int fileCount = 1 + random.nextInt(2);
        ExtentSet.Builder fixed = ExtentSet.builder();
        long[] places = new long[blocks];
        Arrays.fill(places, -1);
        List<Integer> order = new ArrayList<>();
        for (int i = 0; i < blocks; i++) {
            order.add(i);
        }
        Collections.shuffle(order, random);
        long[] ends = new long[fileCount];
        Arrays.fill(ends, start);
        if (!withoutHoles && random.nextInt(3) == 0) {
            fixed.add(start, 512);
            Arrays.fill(ends, start + 512);
        }
        for (int block : order) {
            if (random.nextInt(4) == 0) {
                continue;
            }
            int file = random.nextInt(fileCount);
            if (random.nextInt(5) == 0) {
                ends[file] += withoutHoles ? slot : 512L * random.nextInt(2 * slot / 512);
            }
            if (withoutHoles) {
                ends[file] += Math.floorMod(start - ends[file], slot);
            }
            places[block] = ModelImage.place(file, ends[file]);
            ends[file] += slot;
        }
        List<HostFile> files = new ArrayList<>();
        for (int file = 0; file < fileCount; file++) {
            byte[] bytes = new byte[(int) ends[file] + ModelImage.FOOTER.length()];
            random.nextBytes(bytes);
            // Some of it is a hole of the host's.
            for (int i = random.nextInt(4); i > 0; i--) {
                int from = random.nextInt(bytes.length);
                Arrays.fill(bytes, from, Math.min(bytes.length, from + random.nextInt(4 * slot)), (byte) 0);
            }
            System.arraycopy(ModelImage.FOOTER.getBytes(StandardCharsets.US_ASCII), 0, bytes, (int) ends[file],
                    ModelImage.FOOTER.length());
            files.add(new StrictHostFile(directory.resolve("image" + file), bytes, granularity, punchable));
        }
        return new ModelImage(files, size, blockSize, head, alignment, start, fixed.build(), withoutHoles, places);
    }

    private static ExtentSet free(Random random, long size) {
        ExtentSet.Builder free = ExtentSet.builder();
        long unit = random.nextBoolean() ? 512 : 1;
        for (int i = random.nextInt(8); i >= 0; i--) {
            long from = random.nextLong(size) / unit * unit;
            free.add(from, Math.min(size - from, random.nextLong(1 + size / 2) / unit * unit));
        }
        return free.build();
    }

    /** Blanks some of the disk, so that blocks in use hold zeros. @return all zeros of the disk that are not free */
    private static ExtentSet zeros(Random random, ModelImage image, ExtentSet free) throws IOException {
        for (Extent range : free(random, image.size)) {
            image.forEachStored(range, (guest, file, host, length) ->
                    image.files.get(file).write(host, ByteBuffer.allocate((int) length)));
        }
        byte[] content = image.content();
        ExtentSet.Builder zeros = ExtentSet.builder();
        for (int i = 0; i < content.length; i++) {
            if (content[i] == 0) {
                zeros.add(i, 1);
            }
        }
        return zeros.build().minus(free);
    }

    @Property(tries = 400)
    void zerosInUseStayZeros(@ForAll long seed, @ForAll ReclaimMode mode, @ForAll boolean punchable) throws IOException {
        Random random = new Random(seed);
        ModelImage image = image(random, punchable ? 512 << random.nextInt(4) : 4096, punchable);
        if (random.nextInt(6) == 0) {
            image.obstacle = "this format cannot say so";
        }
        if (!punchable && (mode == ReclaimMode.PUNCH || image.obstacle != null)) {
            return;
        }
        ExtentSet free = free(random, image.size);
        ExtentSet zeros = zeros(random, image, free);
        DeallocationRequest request = new DeallocationRequest(free, zeros, mode, 0, 0, false);
        run(image, request);
        assertTrue(image.plan(request).isEmpty(), "a second run finds nothing");
    }

    @Property(tries = 1000)
    void keepsLiveBytesAndBlanksFreeOnes(@ForAll long seed, @ForAll ReclaimMode mode, @ForAll @IntRange(max = 3) int host)
            throws IOException {
        Random random = new Random(seed);
        int granularity = 512 << host;
        ModelImage image = image(random, granularity, true);
        if (random.nextInt(6) == 0) {
            image.obstacle = "this format cannot say so";
        }
        ExtentSet free = free(random, image.size);
        long asked = random.nextInt(4) == 0 ? 512L << random.nextInt(8) : 0;
        long least = random.nextInt(4) == 0 ? random.nextInt(5000) : 0;
        DeallocationRequest request = new DeallocationRequest(free, mode, asked, least, random.nextInt(4) == 0);
        run(image, request);
        assertTrue(image.plan(request).isEmpty(), "a second run finds nothing");
        if (random.nextBoolean() && image.obstacle == null) {
            // Whatever was done before, compacting afterwards finds all that there is to find.
            DeallocationRequest compact = new DeallocationRequest(free, ReclaimMode.COMPACT, 0, 0, false);
            run(image, compact);
            assertTrue(image.plan(compact).isEmpty(), "a compacted image is compact");
        }
    }

    @Property(tries = 200)
    void worksWhereTheHostCannotPunch(@ForAll long seed, @ForAll boolean compact) throws IOException {
        Random random = new Random(seed);
        ModelImage image = image(random, 4096, false);
        ExtentSet free = free(random, image.size);
        DeallocationRequest request = new DeallocationRequest(free, compact ? ReclaimMode.COMPACT : ReclaimMode.DEALLOCATE, 0, 0,
                false);
        run(image, request);
        assertTrue(image.plan(request).isEmpty(), "a second run finds nothing");
    }

    private void run(ModelImage image, DeallocationRequest request) throws IOException {
        byte[] before = image.content();
        long[] placesBefore = image.places.clone();
        long hostBefore = image.hostBytes();
        long blocksBefore = blocks(image);
        List<Long> lengths = image.files.stream().map(HostFile::size).toList();
        image.files.forEach(file -> ((StrictHostFile) file).resetCounters());
        image.movedBlocks = 0;
        image.calls.clear();

        Deallocation plan = image.plan(request);
        assertEquals(hostBefore, image.hostBytes(), "a plan changes nothing");
        boolean punchable = ((StrictHostFile) image.files.get(0)).isPunchable();
        assertAccounts(plan, punchable ? request.free().union(request.zeros()) : request.free());
        if (plan.retained().stream().anyMatch(part -> part.why().equals(FreeParts.UNPUNCHABLE))) {
            assertTrue(plan.remarks().stream().anyMatch(remark -> remark.contains("Nothing is punched")));
        }
        boolean empty = plan.isEmpty();
        image.apply(plan, (done, total) -> assertTrue(done >= 0 && done <= total));

        byte[] after = image.content();
        for (int i = 0; i < before.length; i++) {
            if (!request.free().contains(i, 1)) {
                assertEquals(before[i], after[i], "live byte " + i);
            } else if (plan.reclaimable().contains(i, 1)) {
                assertEquals(0, after[i], "reclaimed byte " + i);
            }
        }
        if (empty) {
            assertEquals(List.of(), image.calls);
            return;
        }
        assertEquals("begin", image.calls.get(0));
        assertEquals("end", image.calls.get(image.calls.size() - 1));
        // Holes fit: what was planned is released, but for the blocks in which files end and the footers lie.
        long fallen = hostBefore - image.hostBytes();
        long granularity = ((StrictHostFile) image.files.get(0)).granularity();
        assertEquals(plan.plannedBytes(), Math.max(0, fallen), 3 * granularity * image.files.size(),
                () -> "released " + plan.remarks() + image.describe());
        if (request.mode() == ReclaimMode.PUNCH) {
            assertTrue(Arrays.equals(placesBefore, image.places), "punching changes no table");
            assertFalse(plan.changesTables());
        }
        assertWrites(image, request, lengths);
        if (blocks(image) < blocksBefore) {
            assertTrue(plan.changesTables());
        }
    }

    private void assertWrites(ModelImage image, DeallocationRequest request, List<Long> lengths) {
        long slot = image.head + image.blockSize;
        long written = 0;
        long excess = 0;
        for (int i = 0; i < lengths.size(); i++) {
            StrictHostFile file = (StrictHostFile) image.files.get(i);
            written += file.written();
            excess += file.peak() - file.hostBytes();
            assertTrue(file.size() <= lengths.get(i), "no file becomes longer");
            assertEquals(ModelImage.FOOTER, new String(file.bytes(), file.bytes().length - ModelImage.FOOTER.length(),
                    ModelImage.FOOTER.length(), StandardCharsets.US_ASCII));
        }
        long shortenings = image.calls.stream().filter("shorten"::equals).count();
        assertTrue(written <= image.movedBlocks * slot + shortenings * ModelImage.FOOTER.length(),
                "nothing is written but what moves");
        boolean packs = request.mode() == ReclaimMode.COMPACT || image.withoutHoles && request.mode() != ReclaimMode.PUNCH;
        if (!packs) {
            assertEquals(0, written);
            assertEquals(0, image.movedBlocks);
        } else if (image.withoutHoles) {
            assertHasNoHoles(image);
        }
        assertTrue(excess >= 0);
    }

    private static void assertHasNoHoles(ModelImage image) {
        long slot = image.head + image.blockSize;
        for (int file = 0; file < image.files.size(); file++) {
            int number = file;
            long blocks = Arrays.stream(image.places).filter(place -> place >= 0 && place >>> 40 == number).count();
            assertEquals(image.start + blocks * slot + ModelImage.FOOTER.length(), image.files.get(file).size());
        }
    }

    private static long blocks(ModelImage image) {
        return Arrays.stream(image.places).filter(place -> place >= 0).count();
    }

    /** Every free byte is reclaimable or stays for one reason. */
    private static void assertAccounts(Deallocation plan, ExtentSet free) {
        ExtentSet all = plan.reclaimable();
        long sum = all.totalBytes();
        for (Deallocation.Retained part : plan.retained()) {
            all = all.union(part.bytes());
            sum += part.bytes().totalBytes();
        }
        assertEquals(free, all);
        assertEquals(free.totalBytes(), sum);
    }

}
