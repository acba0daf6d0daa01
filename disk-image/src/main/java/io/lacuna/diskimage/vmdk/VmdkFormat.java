package io.lacuna.diskimage.vmdk;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.DiskImageFormat;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLinks;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Locale;

/** Opens VMDK images, by their descriptor or by the sparse file that holds it. */
public final class VmdkFormat implements DiskImageFormat {

    static final String NAME = "vmdk";

    /** Looked at from the start. */
    private static final int HEAD = 4096;
    private static final String SESPARSE_MAGIC = "\u00BE\u00BA\u00FE\u00CA\0\0\0\0";

    /** What a file begins with. */
    enum Sign { SPARSE, COWD, SESPARSE, DESCRIPTOR }

    /** Made by the service loader. */
    public VmdkFormat() {
    }

    @Override
    public String name() {
        return NAME;
    }

    /** Recognises a bare extent, too, if a descriptor beside it names it: it must not be taken for a raw disk. */
    @Override
    public boolean recognises(HostFile file) throws IOException {
        return sign(file) != null || Neighbours.descriptorOf(file) != null;
    }

    /** @return null if it is none of them */
    static Sign sign(HostFile file) throws IOException {
        ByteBuffer head = ByteBuffer.allocate((int) Math.min(HEAD, file.size()));
        file.read(0, head);
        String text = new String(head.array(), StandardCharsets.ISO_8859_1);
        if (text.startsWith(SparseHeader.MAGIC)) {
            return Sign.SPARSE;
        }
        if (text.startsWith(CowdHeader.MAGIC)) {
            return Sign.COWD;
        }
        if (text.startsWith(SESPARSE_MAGIC)) {
            return Sign.SESPARSE;
        }
        return VmdkDescriptor.recognises(text) ? Sign.DESCRIPTOR : null;
    }

    @Override
    public boolean mayHaveParts(HostFile file) throws IOException {
        return sign(file) == Sign.DESCRIPTOR;
    }

    @Override
    public boolean mayHaveParent(HostFile file) throws IOException {
        Sign sign = sign(file);
        if (sign != Sign.SPARSE && sign != Sign.DESCRIPTOR) {
            return false;
        }
        long offset = 0;
        long length = Math.min(file.size(), VmdkDescriptor.MAX_SIZE);
        if (sign == Sign.SPARSE) {
            SparseHeader header = SparseHeader.parse(file);
            offset = header.descriptor();
            length = Math.min(header.descriptorSize(), file.size() - offset);
        }
        if (offset == 0 && sign == Sign.SPARSE || length <= 0 || length > VmdkDescriptor.MAX_SIZE) {
            return false;
        }
        String text = Bytes.read(file, "VMDK descriptor", offset, (int) length, ByteOrder.LITTLE_ENDIAN).text(0, (int) length)
                .toLowerCase(Locale.ROOT);
        return text.contains("parentcid") && !text.contains("parentcid=ffffffff");
    }

    @Override
    public DiskImage open(HostFile file, ImageLinks links) throws IOException {
        try {
            return VmdkOpener.open(file, links);
        } catch (IOException | RuntimeException | Error e) {
            try {
                file.close();
            } catch (IOException closing) {
                e.addSuppressed(closing);
            }
            if (e instanceof DiskFormatException refusal) {
                throw refusal.in(file.path());
            }
            throw e;
        }
    }
}
