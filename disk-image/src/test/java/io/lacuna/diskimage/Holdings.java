package io.lacuna.diskimage;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import java.io.IOException;

/** What must hold of the ranges that an image says it stores or decides, given its content. */
public final class Holdings {

    private Holdings() {
    }

    /**
     * Outside of what may hold data everything is zeros, and an image with no parent decides all.
     *
     * @param content the whole disk as the guest reads it
     */
    public static void check(DiskImage disk, byte[] content) throws IOException {
        ExtentSet whole = ExtentSet.ofRange(0, content.length);
        ExtentSet may = disk.mayHoldData();
        assertEquals(ExtentSet.EMPTY, may.minus(whole), "nothing is held behind the disk's end");
        for (Extent range : whole.minus(may)) {
            for (int i = (int) range.offset(); i < range.end(); i++) {
                if (content[i] != 0) {
                    throw new AssertionError("byte " + i + " holds something, and should not: " + may);
                }
            }
        }
        ExtentSet own = disk.ownRanges();
        assertEquals(ExtentSet.EMPTY, own.minus(whole), "nothing is decided behind the disk's end");
        if (disk.layers().stream().noneMatch(layer -> layer.role().equals("backing"))) {
            assertEquals(whole, own);
        }
    }

    /**
     * Outside of what the image decides itself it shows its parent.
     *
     * @param parent the whole disk of the parent
     */
    public static void checkOwn(DiskImage disk, byte[] content, byte[] parent) throws IOException {
        check(disk, content);
        for (Extent range : ExtentSet.ofRange(0, content.length).minus(disk.ownRanges())) {
            for (int i = (int) range.offset(); i < range.end(); i++) {
                assertEquals(i < parent.length ? parent[i] : 0, content[i], "byte " + i + " of the parent");
            }
        }
    }
}
