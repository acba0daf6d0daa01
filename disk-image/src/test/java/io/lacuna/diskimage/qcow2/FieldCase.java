package io.lacuna.diskimage.qcow2;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/**
 * A field that is made wrong, and the refusal that it must meet.
 *
 * @param claim what is wrong
 * @param image file with the image, in the test's folder; without the edit it passes every stage
 * @param stage where the refusal comes, and not before
 * @param edit makes the field wrong
 * @param kind exact class of the refusal
 * @param says part of the reason: the field, and its place where that is the same in every image
 */
record FieldCase(String claim, String image, Stage stage, Edit edit, Class<? extends DiskFormatException> kind, String says) {

    /** What can be done with an image, by what it reads. */
    enum Stage {
        OPEN { // header, extensions, links
            @Override
            void pass(DiskImage disk) {
            }
        },
        READ { // L1 and L2 tables as the guest's bytes need them
            @Override
            void pass(DiskImage disk) throws IOException {
                disk.guest().read(0, ByteBuffer.allocate((int) disk.virtualSize()));
            }
        },
        MAP { // all active L1 and L2 tables
            @Override
            void pass(DiskImage disk) throws IOException {
                disk.mayHoldData();
            }
        },
        PLAN { // every table
            @Override
            void pass(DiskImage disk) throws IOException {
                disk.plan(Images.request(ExtentSet.ofRange(0, disk.virtualSize())));
            }
        };

        abstract void pass(DiskImage disk) throws IOException;
    }

    /** Changes bytes. */
    interface Edit {
        void apply(EditedImage image) throws IOException;
    }

    void check(Path directory) throws IOException {
        EditedImage edited = new EditedImage(directory.resolve(image));
        for (Stage each : Stage.values()) {
            assertDoesNotThrow(() -> pass(each, edited), () -> "unedited: " + each);
        }
        edit.apply(edited);
        if (stage != Stage.OPEN) {
            assertDoesNotThrow(() -> pass(Stage.OPEN, edited), "refused already when opened");
        }
        DiskFormatException refusal = assertThrows(DiskFormatException.class, () -> pass(stage, edited));
        assertEquals(kind, refusal.getClass(), refusal.getMessage());
        assertTrue(refusal.reason().contains(says), refusal.getMessage());
        assertEquals(edited.path().toString(), refusal.path(), refusal.getMessage());
    }

    private static void pass(Stage stage, EditedImage edited) throws IOException {
        try (DiskImage disk = edited.open()) {
            stage.pass(disk);
        }
    }

    @Override
    public String toString() {
        return claim;
    }
}
