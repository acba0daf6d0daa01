package io.lacuna.diskimage.vhd;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.HostFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;

/**
 * The footer and its copy, of which a dynamic or differencing disk needs only one, but may not have two that contradict each other.
 *
 * @param footer the one that counts
 * @param tailLength bytes of the footer at the file's end: 512, 511, or 0 if there is no sound one
 * @param tail what stands there, or would
 * @param isSavedState whether any of the two says that a machine is suspended with this disk
 * @param remarks each a sentence
 */
record Footers(VhdFooter footer, int tailLength, ByteBuffer tail, boolean isSavedState, List<String> remarks) {

    /** A footer that may be damaged. */
    private record Found(VhdFooter footer, DiskFormatException damage, int length) {
        private static final Found NOTHING = new Found(null, null, 0);
    }

    static boolean isAt(HostFile file, long offset) throws IOException {
        if (offset < 0 || offset > file.size() - VhdFooter.OLD_SIZE) {
            return false;
        }
        ByteBuffer cookie = ByteBuffer.allocate(VhdFooter.COOKIE.length());
        file.read(offset, cookie);
        return Bytes.bigEndian(cookie.flip(), offset).matches(0, VhdFooter.COOKIE);
    }

    static Footers read(HostFile file) throws IOException {
        Found head = find(file, 0, VhdFooter.SIZE);
        Found tail = find(file, file.size() - VhdFooter.SIZE, VhdFooter.SIZE);
        if (tail == Found.NOTHING) {
            tail = find(file, file.size() - VhdFooter.OLD_SIZE, VhdFooter.OLD_SIZE);
        }
        if (head == Found.NOTHING && tail == Found.NOTHING) {
            throw new CorruptException("VHD footer", Math.max(0, file.size() - VhdFooter.SIZE), "'" + VhdFooter.COOKIE + "'",
                    "something else");
        }
        if (head.footer() != null && head.footer().kind() == VhdFooter.Kind.FIXED) {
            throw new CorruptException("VHD footer's copy", 0, "none, for a fixed disk has its footer at the end only",
                    "one of a fixed disk; if that is the guest's own, say --format raw");
        }
        if (tail.footer() == null) {
            if (head.footer() == null) {
                throw head.damage() != null ? head.damage() : tail.damage();
            }
            return of(head.footer(), 0, null, List.of("The VHD's footer at the end of the file is missing or damaged; its copy "
                    + "at the start is used."));
        }
        boolean fixed = tail.footer().kind() == VhdFooter.Kind.FIXED;
        if (head.footer() == null) {
            // Of a fixed disk, the first sector is the guest's: it may not look like a disk of another kind.
            if (fixed && head.damage() != null) {
                throw head.damage();
            }
            return of(tail.footer(), tail.length(), null, fixed ? List.of() : List.of("The copy of the VHD's footer at the start "
                    + "of the file is missing or damaged; the footer at the end is used."));
        }
        if (!head.footer().agreesWith(tail.footer())) {
            throw new CorruptException("VHD footer", file.size() - tail.length(), "the same as its copy at the start of the file",
                    "another one; find out which one is right, and save what is needed from the disk");
        }
        return of(tail.footer(), tail.length(), head.footer(), List.of());
    }

    private static Footers of(VhdFooter footer, int tailLength, VhdFooter copy, List<String> remarks) {
        int length = tailLength == 0 ? VhdFooter.SIZE : tailLength;
        return new Footers(footer, tailLength, footer.bytes().slice(0, length).asReadOnlyBuffer(),
                footer.isSavedState() || copy != null && copy.isSavedState(), remarks);
    }

    private static Found find(HostFile file, long offset, int length) throws IOException {
        if (offset < 0 || offset > file.size() - length || !isAt(file, offset)) {
            return Found.NOTHING;
        }
        Bytes bytes = Bytes.read(file, "VHD footer", offset, length, ByteOrder.BIG_ENDIAN);
        try {
            return new Found(VhdFooter.parse(bytes), null, length);
        } catch (DiskFormatException damage) {
            return new Found(null, damage, length);
        }
    }
}
