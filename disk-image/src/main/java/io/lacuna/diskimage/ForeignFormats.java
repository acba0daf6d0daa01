package io.lacuna.diskimage;

import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * Containers that Lacuna knows by their signature but cannot read: they must not be taken for raw disks. A format that gets a
 * reader leaves this table; its reader is asked first in any case.
 *
 * <p>Sources: the block drivers' probes of QEMU (block/*.c), libyal's format papers, file(1).
 */
final class ForeignFormats {

    /** Bytes looked at from the start. */
    private static final int HEAD = 4096;
    private static final int SECTOR = 512;

    private ForeignFormats() {
    }

    /** A signature at a place: at least 0 from the start, below 0 from the end. */
    private record Sign(String format, int at, String bytes) {
    }

    private static final List<Sign> SIGNS = List.of(
            new Sign("QED", 0, "QED\0"),
            new Sign("qcow (version 1)", 0, "QFI\u00FB\0\0\0\u0001"),
            new Sign("qcow (unknown version)", 0, "QFI\u00FB"),
            new Sign("Parallels", 0, "WithoutFreeSpace"),
            new Sign("Parallels (extended)", 0, "WithouFreSpacExt"),
            new Sign("Bochs", 0, "Bochs Virtual HD Image"),
            new Sign("cloop", 0, "#!/bin/sh\n#V2.0 Format\n"),
            new Sign("DMG", -SECTOR, "koly"),
            new Sign("Apple sparse image", 0, "sprs"),
            new Sign("Apple sparse image (ASIF)", 0, "shdw"),
            new Sign("Android sparse image", 0, "\u003A\u00FF\u0026\u00ED"),
            new Sign("Expert Witness (E01)", 0, "EVF\t\r\n\u00FF\0"),
            new Sign("Expert Witness (Ex01)", 0, "EVF2\r\n\u0081\0"),
            new Sign("AFF", 0, "AFF10\r\n\0"),
            new Sign("gzip-compressed", 0, "\u001F\u008B\b"),
            new Sign("xz-compressed", 0, "\u00FD7zXZ\0"),
            new Sign("zstd-compressed", 0, "\u0028\u00B5\u002F\u00FD"),
            new Sign("bzip2-compressed", 0, "BZh91AY&SY"));

    /** @throws UnsupportedException if the file carries one of the signatures */
    static void refuse(HostFile file) throws IOException {
        long size = file.size();
        String head = read(file, 0, (int) Math.min(HEAD, size));
        String tail = read(file, Math.max(0, size - SECTOR), (int) Math.min(SECTOR, size));
        for (Sign sign : SIGNS) {
            String where = sign.at() >= 0 ? head : tail;
            int at = sign.at() >= 0 ? sign.at() : tail.length() + sign.at();
            if (at >= 0 && where.startsWith(sign.bytes(), at)) {
                refuse(sign.format(), sign.at() >= 0 ? at : size + sign.at());
            }
        }
    }

    private static void refuse(String format, long at) throws UnsupportedException {
        throw new UnsupportedException("this is a " + format + " image (signature at byte " + at
                + "), which Lacuna cannot read yet; if it is the content of a raw disk instead, say --format raw");
    }

    private static String read(HostFile file, long offset, int length) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(length);
        file.read(offset, buffer);
        return new String(buffer.array(), StandardCharsets.ISO_8859_1);
    }
}
