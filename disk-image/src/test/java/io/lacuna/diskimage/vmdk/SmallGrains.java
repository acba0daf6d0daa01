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
        return make(file, 0, shift, zeroGrains);
    }

    /**
     * @param room sectors between the header and the other structures, of which the header does not say that they are taken; the
     *     descriptor is a file of its own then, for QEMU wants it behind the header
     */
    static Path make(Path file, int room, int shift, boolean zeroGrains) throws IOException {
        Path extent = room == 0 ? file : file.resolveSibling("extent.vmdk");
        byte[] text = ("# Disk DescriptorFile\nversion=1\nCID=5e81b00f\nparentCID=ffffffff\ncreateType=\""
                + (room == 0 ? "monolithicSparse" : "twoGbMaxExtentSparse") + "\"\nRW " + SIZE / 512 + " SPARSE \""
                + extent.getFileName() + "\"\nddb.adapterType = \"ide\"\n").getBytes(StandardCharsets.ISO_8859_1);
        int redundant = REDUNDANT + room;
        int directory = DIRECTORY + room;
        int redundantTable = REDUNDANT_TABLE + room;
        int table = TABLE + room;
        int overhead = OVERHEAD + room;
        int grains = SIZE / GRAIN;
        ByteBuffer b = ByteBuffer.allocate((overhead + shift) * 512 + grains * GRAIN).order(ByteOrder.LITTLE_ENDIAN);
        b.put("KDMV".getBytes(StandardCharsets.ISO_8859_1)).putInt(zeroGrains ? 2 : 1).putInt(zeroGrains ? 7 : 3);
        b.putLong(SIZE / 512).putLong(GRAIN / 512).putLong(room == 0 ? DESCRIPTOR : 0).putLong(room == 0 ? 3 : 0).putInt(512)
                .putLong(redundant).putLong(directory).putLong(room > 0 ? 1 : overhead + shift).put((byte) 0)
                .put("\n \r\n".getBytes(StandardCharsets.ISO_8859_1));
        if (room == 0) {
            b.put(DESCRIPTOR * 512, text);
        } else {
            Files.write(file, text);
        }
        b.putInt(redundant * 512, redundantTable).putInt(directory * 512, table);
        byte[] content = Vmdks.pattern(SIZE, 3);
        for (int i = 0; i < grains; i++) {
            if (i % 8 == 5) {
                continue; // never written
            }
            int sector = overhead + shift + (i * 7 % grains) * (GRAIN / 512);
            int entry = zeroGrains && i == 9 ? 1 : sector;
            b.putInt(redundantTable * 512 + i * 4, entry).putInt(table * 512 + i * 4, entry);
            if (entry > 1) {
                b.put(sector * 512, content, i * GRAIN, GRAIN);
            }
        }
        Files.write(extent, b.array());
        return file;
    }
}
