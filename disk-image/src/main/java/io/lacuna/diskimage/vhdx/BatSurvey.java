package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;
import java.io.IOException;

/**
 * What the whole table says of the file.
 *
 * @param fixed bytes of the file that stay where they are: log, regions, sector bitmaps, and what entries behind the disk's end
 *     still speak of
 * @param end first byte of the file behind all blocks, whole MiB
 */
record BatSurvey(ExtentSet fixed, long end) {

    /**
     * Reads the whole table and checks that no two blocks share a byte: only then can one be given back without the other.
     *
     * @param fileSize bytes, the log replayed
     * @throws CorruptException if an entry makes no sense, or two claim one place
     */
    static BatSurvey of(Bat bat, long fileSize) throws IOException {
        BatLayout layout = bat.layout();
        Claims claims = new Claims(fileSize);
        bat.reserved().forEach(claims::claimRegion);
        for (int block = 0; block < layout.payloadBlocks(); block++) {
            if (bat.state(block).isStored() && !claims.claim(bat.place(block), layout.blockSize())) {
                throw shared(bat, layout.payloadIndex(block));
            }
        }
        ExtentSet.Builder fixed = ExtentSet.builder();
        if (bat.isDifferencing()) {
            for (int chunk = 0; chunk < layout.chunks(); chunk++) {
                long place = bat.bitmapPlace(chunk);
                if (place >= 0) {
                    if (!claims.claim(place, VhdxHeader.MIB)) {
                        throw shared(bat, layout.bitmapIndex(chunk));
                    }
                    fixed.add(place, VhdxHeader.MIB);
                }
            }
        }
        addStale(bat, fileSize, claims, fixed);
        ExtentSet all = bat.reserved().union(fixed.build()).minus(ExtentSet.ofRange(0, VhdxHeader.MIB));
        return new BatSurvey(all, claims.end());
    }

    /**
     * Behind the last block of the disk nothing should be mapped. A disk that was made smaller may have something there: its
     * place counts as used. A mapped block there that another one has, too, is what QEMU before 8.0.1 leaves when it shifts the
     * table.
     */
    private static void addStale(Bat bat, long fileSize, Claims claims, ExtentSet.Builder fixed) throws IOException {
        BatLayout layout = bat.layout();
        for (long index = layout.entries(bat.isDifferencing()); index < bat.capacity(); index++) {
            long entry = bat.entry(index);
            BatEntry.State state = BatEntry.state(entry);
            boolean bitmap = index % (layout.chunkRatio() + 1) == layout.chunkRatio();
            long place = BatEntry.place(entry);
            if (bitmap || state == null || !state.isStored() || place < VhdxHeader.MIB || place >= fileSize) {
                continue;
            }
            if (!claims.claim(place, layout.blockSize())) {
                throw shared(bat, index);
            }
            fixed.add(place, layout.blockSize());
        }
    }

    private static CorruptException shared(Bat bat, long index) throws IOException {
        return bat.corrupt(index, "a place that nothing else has", bat.entry(index));
    }
}
