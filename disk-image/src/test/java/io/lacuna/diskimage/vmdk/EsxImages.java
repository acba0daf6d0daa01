package io.lacuna.diskimage.vmdk;

import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Makes what only ESX makes, by hand: a disk of 6 MiB, grains in no order, some missing, some zeroed where that is possible. */
final class EsxImages {

    static final int SIZE = 6 << 20;
    private static final int SECTOR = 512;

    private EsxImages() {
    }

    /** @param kind cowd or sesparse, and -child behind it for one with a parent of pattern bytes */
    static Path make(Path directory, String kind) throws IOException {
        Tools.require("qemu-img");
        boolean cowd = kind.startsWith("cowd");
        byte[] file = cowd ? cowd() : seSparse();
        String type = cowd ? "VMFSSPARSE" : "SESPARSE";
        String name = cowd ? "image-delta.vmdk" : "image-sesparse.vmdk";
        Files.write(directory.resolve(name), file);
        boolean child = kind.endsWith("-child");
        if (child) {
            Vmdks.pattern(directory.resolve("base-flat.vmdk"), SIZE, 9);
            descriptor(directory.resolve("base.vmdk"), "0badcafe", "ffffffff", "vmfs", "RW " + SIZE / SECTOR
                    + " VMFS \"base-flat.vmdk\"", "");
        }
        return descriptor(directory.resolve("image.vmdk"), "12345678", child ? "0badcafe" : "ffffffff",
                cowd ? "vmfsSparse" : "seSparse", "RW " + SIZE / SECTOR + " " + type + " \"" + name + "\"",
                child ? "parentFileNameHint=\"base.vmdk\"\n" : "");
    }

    private static Path descriptor(Path path, String cid, String parentCid, String type, String extent, String more)
            throws IOException {
        return Files.writeString(path, "# Disk DescriptorFile\nversion=1\nCID=" + cid + "\nparentCID=" + parentCid
                + "\ncreateType=\""
                + type + "\"\n" + more + "# Extent description\n" + extent + "\n# The Disk Data Base\n#DDB\n"
                + "ddb.adapterType = \"lsilogic\"\n", StandardCharsets.UTF_8);
    }

    /** Grains of 4 KiB; directory at sector 4, the one table at sector 8, grains from sector 64 on, backwards. */
    private static byte[] cowd() {
        int grains = SIZE / 4096;
        ByteBuffer b = ByteBuffer.allocate(64 * SECTOR + grains * 4096).order(ByteOrder.LITTLE_ENDIAN);
        b.put("COWD".getBytes(StandardCharsets.ISO_8859_1)).putInt(1).putInt(3).putInt(SIZE / SECTOR).putInt(8).putInt(4).putInt(1)
                .putInt(b.capacity() / SECTOR);
        b.putInt(4 * SECTOR, 8);
        byte[] content = Vmdks.pattern(SIZE, 4);
        for (int i = 0; i < grains; i++) {
            if (i % 7 != 3) {
                int sector = 64 + (grains - 1 - i) * 8;
                b.putInt(8 * SECTOR + i * 4, sector);
                b.put(sector * SECTOR, content, i * 4096, 4096);
            }
        }
        return b.array();
    }

    /** Structures in the first 400 sectors, grains from sector 512 on, backwards in threes. */
    private static byte[] seSparse() {
        int grains = SIZE / 4096;
        ByteBuffer b = ByteBuffer.allocate(512 * SECTOR + grains * 4096).order(ByteOrder.LITTLE_ENDIAN);
        long[] header = {0xCAFEBABEL, 0x200000001L, SIZE / SECTOR, 8, 64, 0, 0, 0, 0, 0, 1, 1, 2, 2, 4, 64, 80, 1, 128, 64, 200, 1,
            210, 10, 512, (long) grains * 8};
        for (int i = 0; i < header.length; i++) {
            b.putLong(i * 8, header[i]);
        }
        b.putLong(SECTOR, 0xCAFECAFEL);
        b.putLong(80 * SECTOR, 0x1000000000000000L);
        byte[] content = Vmdks.pattern(SIZE, 4);
        for (int i = 0; i < grains; i++) {
            long number = (grains - 1 - i) / 3 * 3 + i % 3;
            long entry = i % 11 == 3 ? 0 : i % 11 == 5 ? 0x1000000000000000L : i % 11 == 7 ? 0x2000000000000000L
                    : 0x3000000000000000L | (number & 0xFFF) << 48 | number >>> 12;
            b.putLong(128 * SECTOR + i * 8, entry);
            if (entry >>> 60 == 3) {
                b.put((int) (512 * SECTOR + number * 4096), content, i * 4096, 4096);
            }
        }
        return b.array();
    }
}
