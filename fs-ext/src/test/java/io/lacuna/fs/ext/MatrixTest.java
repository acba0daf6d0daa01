package io.lacuna.fs.ext;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.FileSystem;
import io.lacuna.blockio.FreeSpace;
import io.lacuna.fixtures.FileSource;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** File systems of all kinds, made by mke2fs and written by libext2fs or the kernel: the free blocks must be dumpe2fs's. */
class MatrixTest {

    @TempDir
    Path directory;

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            ext2 | 5M   | -t ext2 -b 1024
            ext2 | 5M   | -t ext2 -b 1024 -r 0
            ext2 | 40M  | -t ext2 -b 1024 -g 1024 -O ^sparse_super,^resize_inode
            ext2 | 9M   | -t ext2 -b 2048
            ext2 | 40M  | -t ext2 -b 4096 -I 128
            ext2 | 150M | -t ext2 -b 65536
            ext3 | 9M   | -t ext3 -b 1024 -g 512
            ext3 | 200M | -t ext3 -b 1024 -J size=70
            ext3 | 40M  | -t ext3 -b 4096
            ext4 | 9M   | -t ext4 -b 1024 -g 1024
            ext4 | 40M  | -t ext4 -b 1024 -g 512 -G 8
            ext4 | 40M  | -t ext4 -b 1024 -g 512 -G 8 -N 20000
            ext4 | 40M  | -t ext4 -b 4096 -g 512 -G 4
            ext4 | 40M  | -t ext4 -b 4096 -g 512 -O ^flex_bg
            ext4 | 40M  | -t ext4 -b 4096 -g 512 -O ^has_journal
            ext4 | 40M  | -t ext4 -b 4096 -g 512 -O ^64bit
            ext4 | 40M  | -t ext4 -b 4096 -g 512 -O ^64bit,^metadata_csum,uninit_bg
            ext4 | 40M  | -t ext4 -b 4096 -g 512 -O 64bit,^metadata_csum,uninit_bg
            ext4 | 40M  | -t ext4 -b 4096 -g 512 -O ^metadata_csum,^uninit_bg
            ext4 | 40M  | -t ext4 -b 1024 -g 512 -O ^flex_bg,^metadata_csum,uninit_bg,^sparse_super,^resize_inode
            ext4 | 40M  | -t ext4 -b 4096 -g 512 -O metadata_csum_seed,quota,project,orphan_file,ea_inode,\
            large_dir,inline_data,encrypt,casefold,verity,fast_commit,stable_inodes
            ext4 | 60M  | -t ext4 -b 1024 -g 512 -O meta_bg,^resize_inode
            ext4 | 60M  | -t ext4 -b 1024 -g 512 -O meta_bg,^resize_inode,^flex_bg
            ext4 | 60M  | -t ext4 -b 1024 -g 512 -O meta_bg,^resize_inode,bigalloc -C 4096
            ext3 | 60M  | -t ext3 -b 1024 -g 512 -O meta_bg,^resize_inode
            ext4 | 60M  | -t ext4 -b 1024 -g 1024 -O sparse_super2,^resize_inode
            ext4 | 60M  | -t ext4 -b 1024 -g 1024 -O sparse_super2,^resize_inode -E num_backup_sb=1
            ext4 | 60M  | -t ext4 -b 1024 -g 1024 -O sparse_super2 -E num_backup_sb=0
            ext4 | 60M  | -t ext4 -b 1024 -E packed_meta_blocks=1
            ext4 | 60M  | -t ext4 -b 1024 -O bigalloc -C 2048
            ext4 | 60M  | -t ext4 -b 1024 -O bigalloc -C 4096
            ext4 | 200M | -t ext4 -b 1024 -O bigalloc -C 16384 -g 8192
            ext4 | 60M  | -t ext4 -b 4096 -O bigalloc -C 65536
            ext4 | 900M | -t ext4 -b 4096 -O bigalloc -C 1048576
            ext4 | 300M | -t ext4 -b 16384 -g 1024
            ext4 | 300M | -t ext4 -b 65536 -g 256
            """)
    void freeBlocksAreThoseOfDumpE2fs(String type, String size, String options) throws IOException {
        Path image = ExtImage.makeFile(directory, size, options.trim().split(" "));
        FreeSpace space = requireSameAsDumpE2fs(image, type);
        assertTrue(space.remarks().stream().noneMatch(remark -> remark.contains("free blocks")), space.remarks().toString());
        Files.delete(image);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            ext4 | 200M | -t ext4
            ext4 | 200M | -t ext4 -b 1024 -g 4096
            ext4 | 200M | -t ext4 -O ^has_journal
            ext4 | 200M | -t ext4 -O ^64bit,^metadata_csum,uninit_bg -g 2048
            ext4 | 200M | -t ext4 -O bigalloc -C 16384
            ext4 | 200M | -t ext4 -b 1024 -O meta_bg,^resize_inode -g 4096
            ext3 | 100M | -t ext3
            ext2 | 100M | -t ext2 -b 2048
            """)
    void whatTheKernelWroteIsReadToo(String type, String size, String options) throws IOException {
        Tools.requireLoopDevices();
        Path image = directory.resolve("kernel.img");
        Path mount = Files.createDirectory(directory.resolve("mount"));
        Tools.shell("mke2fs -q -F $3 \"$1\" $2", image, size, options);
        String written = """
                unshare -m bash -euc '
                mount -o loop "$1" "$2"
                for i in $(seq 40); do mkdir -p "$2/d$((i % 5))"; head -c $((i * 9000)) /dev/urandom > "$2/d$((i % 5))/f$i"; done
                sync
                rm "$2"/d?/f*[37]
                fallocate -l 3M "$2/big" || true
                fallocate -p -o 512K -l 1M "$2/big" || true
                cp "$2/d1/f31" "$2/copy"
                umount "$2"' bash "$1" "$2"
                """;
        Tools.shell(written, image, mount);
        FreeSpace space = requireSameAsDumpE2fs(image, type);
        assertTrue(space.evidence().contains("cleanly unmounted"));
        assertTrue(space.remarks().stream().noneMatch(remark -> remark.contains("free blocks")), space.remarks().toString());
    }

    @Test
    void aMountedFileSystemIsRefused() throws IOException {
        Tools.requireLoopDevices();
        for (String type : new String[] {"ext2", "ext3", "ext4"}) {
            Path image = directory.resolve(type + ".img");
            Path copy = directory.resolve(type + ".copy");
            Path mount = Files.createDirectory(directory.resolve(type));
            Tools.shell("mke2fs -q -F -t $3 \"$1\" 20M; unshare -m bash -euc 'mount -o loop \"$1\" \"$2\"; echo x > \"$2/x\"; "
                    + "sync -f \"$2\"; cp \"$1\" \"$3\"; umount \"$2\"' bash \"$1\" \"$2\" \"$4\"", image, mount, type, copy);
            String reason = new ExtImage(Files.readAllBytes(copy)).refusal();
            assertTrue(reason.contains(type.equals("ext2") ? "not cleanly unmounted" : "journal with changes"), reason);
            requireSameAsDumpE2fs(image, type);
        }
    }

    @Test
    void growingAndShrinkingIsFollowed() throws IOException {
        Tools.require("resize2fs", "e2fsck");
        Path image = ExtImage.makeFile(directory, "20M", "-t", "ext4", "-b", "1024", "-g", "1024");
        for (String size : new String[] {"77M", "30M"}) {
            Tools.shell("e2fsck -fy \"$1\" > /dev/null; resize2fs \"$1\" $2", image, size);
            requireSameAsDumpE2fs(image, "ext4");
        }
    }

    @Test
    void aNewUuidDoesNotChangeTheSeed() throws IOException {
        Tools.require("tune2fs");
        Path image = ExtImage.makeFile(directory, "20M", "-t", "ext4", "-O", "metadata_csum_seed");
        Tools.ok("tune2fs", "-U", "random", image.toString());
        requireSameAsDumpE2fs(image, "ext4");
    }

    @Test
    void multipleMountProtectionCountsAsUsed() throws IOException {
        requireSameAsDumpE2fs(ExtImage.protect(ExtImage.makeFile(directory, "20M", "-t", "ext4")), "ext4");
    }

    private static FreeSpace requireSameAsDumpE2fs(Path image, String type) throws IOException {
        try (FileSource source = new FileSource(image)) {
            assertEquals(Optional.of(type), new ExtProbe().recognise(source));
            FileSystem fileSystem = new ExtProbe().open(source);
            assertEquals(type, fileSystem.type());
            FreeSpace space = fileSystem.freeSpace();
            assertFalse(space.free().isEmpty());
            assertEquals(DumpE2fs.free(image), space.free());
            return space;
        }
    }
}
