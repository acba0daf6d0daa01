package io.lacuna.fs.ext;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.VolumeOptions;
import io.lacuna.fixtures.Corpus;
import io.lacuna.fixtures.FileSource;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Other people's images whose bitmaps agree with themselves: the inodes contradict them only where e2fsck finds damage, too. */
class InodeCorpusTest {

    /** Damaged on purpose, in inodes or in what maps files. */
    private static final List<String> REFUSED = List.of("f_bad_disconnected_inode", "f_badinode", "f_extent_int_bad_csum",
            "f_extent_int_bad_magic", "f_extent_leaf_bad_csum", "f_extent_leaf_bad_extent", "f_extent_leaf_bad_magic", "f_extents2",
            "f_fast_symlink_extents", "f_ind_inode_collision", "f_inlinedata_flags", "f_inlinedata_repair", "f_lotsbad",
            "f_messy_inode", "f_no_cache_corrupt_inode", "f_zeroed_ext_header", "i_bad_csum");

    @TempDir
    Path directory;

    @Test
    void onlyDamagedOnesAreRefused() throws IOException {
        Tools.require("e2fsck");
        List<String> refused = new ArrayList<>();
        int read = 0;
        for (String folder : List.of("e2fsprogs", "syzkaller", "ext4-view-rs", "jnode", "lde-testdata")) {
            for (Path packed : Corpus.files(folder)) {
                String name = packed.getFileName().toString();
                if (!folder.equals("syzkaller") && !folder.equals("jnode") || name.contains("ext")) {
                    Path image = Corpus.unpack(folder + "/" + name, directory);
                    if (reads(image, VolumeOptions.NONE) == null) {
                        read++;
                        String reason = reads(image, new VolumeOptions(false, true));
                        if (reason != null) {
                            refused.add(name.replaceFirst("\\..*", ""));
                            assertTrue(reason.contains("e2fsck -f"), reason);
                            assertTrue(Tools.run("e2fsck", "-fn", image.toString()).status() != 0, name + ": " + reason);
                        }
                    }
                    Files.delete(image);
                }
            }
        }
        assertEquals(REFUSED, refused);
        assertTrue(read > 110, read + " images");
    }

    /** @return the reason of the refusal; null if it is read */
    private static String reads(Path image, VolumeOptions options) throws IOException {
        try (FileSource source = new FileSource(image)) {
            if (new ExtProbe().recognise(source).isEmpty()) {
                return "no ext";
            }
            new ExtProbe().open(source, options).freeSpace();
            return null;
        } catch (DiskFormatException e) {
            return e.reason();
        }
    }
}
