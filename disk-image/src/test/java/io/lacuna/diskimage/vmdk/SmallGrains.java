package io.lacuna.diskimage.vmdk;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Makes small hosted sparse files by hand: a disk of 160 KiB in grains of 4 KiB, each at a place of its own. */
final class SmallGrains {

    static final int SIZE = 160 << 10;
    static final int GRAIN = 4096;
    /** Sectors of the structures: header, descriptor of 3, both directories, both tables of 4. */
    private static final int DESCRIPTOR = 1;
    private static final int REDUNDANT = 4;
    private static final int DIRECTORY = 5;
    private static final int REDUNDANT_TABLE = 8;
    private static final int TABLE = 12;
    private static final int OVERHEAD = 16;

    private SmallGrains() {
    }

    /**
     * @param shift sectors between the structures and the first grain
     * @param zeroGrains whether the header allows zeroed grains; grain 9 is one then
     */
    static Path make(Path file, int shift, boolean zeroGrains) throws IOException {
        int grains = SIZE / GRAIN;
        ByteBuffer b = ByteBuffer.allocate((OVERHEAD + shift) * 512 + grains * GRAIN).order(ByteOrder.LITTLE_ENDIAN);
        b.put("KDMV".getBytes(StandardCharsets.ISO_8859_1)).putInt(zeroGrains ? 2 : 1).putInt(zeroGrains ? 7 : 3);
        b.putLong(SIZE / 512).putLong(GRAIN / 512).putLong(DESCRIPTOR).putLong(3).putInt(512).putLong(REDUNDANT).putLong(DIRECTORY)
                .putLong(OVERHEAD + shift).put((byte) 0).put("\n \r\n".getBytes(StandardCharsets.ISO_8859_1));
        b.put(DESCRIPTOR * 512, ("# Disk "
                + "DescriptorFile\nversion=1\nCID=5e81b00f\nparentCID=ffffffff\ncreateType=\"monolithicSparse\"\nRW " + SIZE / 512
                + " SPARSE \"" + file.getFileName() + "\"\nddb.adapterType = \"ide\"\n")
                .getBytes(StandardCharsets.ISO_8859_1));
        b.putInt(REDUNDANT * 512, REDUNDANT_TABLE).putInt(DIRECTORY * 512, TABLE);
        byte[] content = Vmdks.pattern(SIZE, 3);
        for (int i = 0; i < grains; i++) {
            if (i % 8 == 5) {
                continue; // never written
            }
            int sector = OVERHEAD + shift + (i * 7 % grains) * (GRAIN / 512);
            int entry = zeroGrains && i == 9 ? 1 : sector;
            b.putInt(REDUNDANT_TABLE * 512 + i * 4, entry).putInt(TABLE * 512 + i * 4, entry);
            if (entry > 1) {
                b.put(sector * 512, content, i * GRAIN, GRAIN);
            }
        }
        return Files.write(file, b.array());
    }
}
