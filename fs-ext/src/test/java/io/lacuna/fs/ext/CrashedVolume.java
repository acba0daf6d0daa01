package io.lacuna.fs.ext;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FreeSpace;
import io.lacuna.blockio.VolumeOptions;
import io.lacuna.fixtures.FileSource;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A file system in a file, mounted through a loop device, kept busy, and cut off by the ioctl with which the kernel's own tests
 * simulate a power cut (EXT4_IOC_SHUTDOWN); what is left is what a crash leaves. And the proof of what may be freed in it: by
 * e2fsck and by the kernel, on copies.
 *
 * @param file the crash image
 */
record CrashedVolume(Path file) {

    static final VolumeOptions REPLAY = new VolumeOptions(true, false);

    /**
     * Works on a mounted file system until the parent process shuts it down and copies the volume, before an unmount writes what
     * a power cut would have lost. Arguments: mount point, seed, milliseconds, kind of shutdown (0 as a freeze, 1 the log is
     * flushed first, 2 nothing is), volume, copy.
     */
    private static final String BUSY = """
            use IO::Handle;
            my ($dir, $seed, $millis, $kind, $volume, $copy) = @ARGV;
            chdir $dir or die;
            open(my $root, '<', '.') or die;
            my $child = fork();
            if (!$child) {
                setpgrp;
                srand($seed);
                my @junk = map { join '', map { chr 1 + int rand 255 } 1 .. 5000 } 1 .. 4;
                # The journal's magic number, which it has to escape where it logs data.
                substr($junk[3], 0, 4) = "\\xC0\\x3B\\x39\\x98";
                sub name { my $d = 'd' . int rand 4; mkdir $d; return "$d/f" . int rand 24 }
                for (1 .. 100000) {
                    my $op = rand;
                    my $n = name();
                    if ($op < 0.45) {
                        open(my $f, $op < 0.30 ? '>' : '>>', $n) or next;
                        my $size = rand() < 0.15 ? 700_000 : 40_000;
                        for (1 .. 1 + int rand($size / 5000)) { print $f $junk[rand 4] or last }
                        $f->flush;
                        $f->sync if rand() < 0.4;
                        close $f;
                    } elsif ($op < 0.60) {
                        unlink $n;
                    } elsif ($op < 0.66) {
                        truncate $n, int rand 60_000;
                    } elsif ($op < 0.72) {
                        rename $n, name();
                    } elsif ($op < 0.76) {
                        link $n, name();
                    } elsif ($op < 0.80) {
                        symlink 'x' x int(1 + rand 200), $n;
                    } elsif ($op < 0.84) {
                        my $d = 'e' . int rand 9;
                        mkdir $d; for (1 .. 30) { open(my $f, '>', "$d/" . ('y' x 40) . $_) }
                    } elsif ($op < 0.88) {
                        my $d = 'e' . int rand 9;
                        unlink glob "$d/*"; rmdir $d;
                    } elsif ($op < 0.93) {
                        if (open(my $f, '+<', $n)) { seek $f, int rand 90_000, 0; print $f $junk[0]; $f->flush; $f->sync }
                    } elsif ($op < 0.95) {
                        system "fallocate -l 200K '$n' 2> /dev/null";
                    } elsif ($op < 0.96) {
                        system "fallocate -p -o 16K -l 32K '$n' 2> /dev/null";
                    } elsif ($op < 0.97) {
                        system 'sync -f .';
                    } else {
                        if (open(my $f, '<', $n)) { $f->sync }
                    }
                    last if -e 'gone';
                }
                exit 0;
            }
            select undef, undef, undef, $millis / 1000;
            ioctl($root, 0x8004587d, pack 'L', $kind) or die "ioctl: $!";
            system('cp', '--sparse=always', $volume, $copy) == 0 or die 'cp';
            kill 'KILL', -$child, $child;
            waitpid $child, 0;
            """;

    /** Skips the running test, aloud, where file systems cannot be mounted and shut down. */
    static void requireCrashes() {
        Tools.require("mke2fs", "e2fsck", "dumpe2fs", "debugfs", "perl", "fallocate");
        Tools.requireLoopDevices();
    }

    /**
     * Mounts a file system, which replays what an earlier crash left, works on it and cuts it off. The file becomes what the crash
     * leaves.
     *
     * @param kind of shutdown
     */
    static void crash(Path file, String mountOptions, int seed, int millis, int kind) throws IOException {
        Path script = file.resolveSibling("busy.pl");
        if (!Files.exists(script)) {
            Files.writeString(script, BUSY);
        }
        Tools.shell("""
                mkdir -p "$1.mnt"
                unshare -m bash -euc 'mount -o loop,$2 "$1" "$1.mnt"
                    perl "$6" "$1.mnt" $3 $4 $5 "$1" "$1.crash" 2> "$1.log" || { cat "$1.log"; umount -l "$1.mnt"; exit 1; }
                    umount "$1.mnt" 2> /dev/null || { sleep 0.2; umount "$1.mnt"; }
                    mv "$1.crash" "$1"' bash "$@"
                """, file, mountOptions, seed, millis, kind, script);
    }

    /**
     * Wipes the commit block of the last complete transaction, as if the power had been cut before it was written.
     *
     * @return whether there is one
     */
    boolean tearLastCommit() throws IOException {
        Matcher commits = Pattern.compile("\\(commit block\\) at block (\\d+)").matcher(
                Tools.ok("debugfs", "-R", "logdump", file.toString()));
        String last = null;
        while (commits.find()) {
            last = commits.group(1);
        }
        if (last == null) {
            return false;
        }
        try (FileSource source = new FileSource(file)) {
            Superblock superblock = Superblock.read(source);
            long block = Journal.read(source, superblock).blocks().blockOf(Long.parseLong(last));
            Tools.shell("dd if=/dev/zero of=\"$1\" bs=$2 seek=$3 count=1 conv=notrunc status=none", file, superblock.blockSize(),
                    block);
        }
        return true;
    }

    /** @return what is free before and after a replay */
    FreeSpace freeSpace() throws IOException {
        try (FileSource source = new FileSource(file)) {
            return new ExtProbe().open(source, REPLAY).freeSpace();
        }
    }

    Path copy(String suffix) throws IOException {
        return Files.copy(file, file.resolveSibling(file.getFileName() + suffix), StandardCopyOption.REPLACE_EXISTING);
    }

    /** @return a copy in which these bytes are gone: zeros, as a hole reads, or worse */
    Path reclaimed(String suffix, ExtentSet free, boolean zeros) throws IOException {
        Path copy = copy(suffix);
        byte[] junk = new byte[1 << 16];
        if (!zeros) {
            Arrays.fill(junk, (byte) 0xA5);
        }
        try (FileChannel channel = FileChannel.open(copy, StandardOpenOption.WRITE)) {
            for (Extent extent : free) {
                for (long at = extent.offset(); at < extent.end();) {
                    int length = (int) Math.min(junk.length, extent.end() - at);
                    channel.write(ByteBuffer.wrap(junk, 0, length), at);
                    at += length;
                }
            }
        }
        return copy;
    }

    /**
     * Proves that without these bytes the file system is the same: repaired by e2fsck (what it says, what it makes used, every
     * byte of that, and the tree), and mounted by the kernel, which replays the journal itself.
     */
    void requireSameWithout(ExtentSet free, boolean zeros, String name) throws IOException {
        Path a = copy(".a");
        Path b = reclaimed(".b", free, zeros);
        try {
            if (zeros) {
                requireSameTrees(a, b, "ro,noload", name + ", as it is on the disk");
            }
            Path c = copy(".c");
            Path d = reclaimed(".d", free, zeros);
            try {
                requireSameTrees(c, d, "rw", name + ", replayed by the kernel");
            } finally {
                Files.delete(c);
                Files.delete(d);
            }
            assertEquals(repair(a), repair(b), name + ": e2fsck");
            ExtentSet used = DumpE2fs.free(a);
            assertEquals(used, DumpE2fs.free(b), name + ": free after e2fsck");
            requireSameOutside(used, a, b, name);
            requireSameTrees(a, b, "ro", name + ", repaired");
        } finally {
            Files.delete(a);
            Files.delete(b);
        }
    }

    /** Proves the view after the replay, byte by byte, against e2fsck's own replay. It knows better of fast commits only. */
    void requireReplayedLikeE2fsck(String name) throws IOException {
        Path copy = copy(".j");
        try (FileSource source = new FileSource(file)) {
            Superblock superblock = Superblock.read(source);
            Journal journal = Journal.read(source, superblock);
            BlockSource after = Replay.of(source, superblock, journal).volume();
            Tools.Result result = Tools.run("debugfs", "-w", "-R", "journal_run", copy.toString());
            assertTrue(result.status() < 4, () -> name + ": " + result.output());
            byte[] expected = Files.readAllBytes(copy);
            ByteBuffer found = ByteBuffer.allocate(expected.length);
            // In pieces that begin and end anywhere, but for a last one.
            for (int at = 0, piece = 1; at < expected.length; at += piece, piece = Math.min(piece * 3 + 7, 1_000_003)) {
                after.read(at, found.limit(Math.min(expected.length, at + piece)));
            }
            Ranges own = new Ranges("differ");
            own.add(Superblock.OFFSET, Superblock.SIZE);
            own.add(journal.blocks().blockOf(0) * superblock.blockSize(), superblock.blockSize());
            requireSameOutside(own.build(), expected, found.array(), name + ", replayed");
        } finally {
            Files.delete(copy);
        }
    }

    /** @return what e2fsck says of it, without the file's name; run at a fixed time, which it writes into the file system */
    private static String repair(Path copy) {
        Tools.Result result = Tools.run("env", "E2FSCK_TIME=1800000000", "e2fsck", "-fy", copy.toString());
        assertTrue(result.status() < 4, () -> "e2fsck: status " + result.status() + "\n" + result.output());
        return result.output().replace(copy.toString(), "");
    }

    /** Compares name, kind, mode, owner, links, size, times, target and content of everything. */
    private static void requireSameTrees(Path one, Path other, String options, String name) {
        String output = Tools.shell("""
                unshare -m bash -euc '
                tree() {
                    find . -printf "%p %y %m %U %G %n %s %T@ %l\\n" 2>&1 | sort
                    find . -type f -print0 2>&1 | sort -z | xargs -0r sha1sum 2>&1 || true
                }
                mkdir -p "$1.ro"
                for i in "$1" "$2"; do
                    mount -o loop,$3 "$i" "$1.ro"
                    (cd "$1.ro"; tree > "$i.tree")
                    umount "$1.ro"
                done
                rmdir "$1.ro"
                diff "$1.tree" "$2.tree" | head -n 20
                test -s "$1.tree"
                rm "$1.tree" "$2.tree"' bash "$@"
                """, one, other, options);
        assertEquals("", output, name);
    }

    /** Two file systems may differ only where both call it free. */
    private static void requireSameOutside(ExtentSet free, Path one, Path other, String name) throws IOException {
        requireSameOutside(free, Files.readAllBytes(one), Files.readAllBytes(other), name);
    }

    private static void requireSameOutside(ExtentSet free, byte[] a, byte[] b, String name) {
        for (int from = 0; from < a.length;) {
            int at = Arrays.mismatch(a, from, a.length, b, from, b.length);
            if (at < 0) {
                return;
            }
            int different = from + at;
            assertTrue(free.contains(different, 1), () -> name + ": byte " + different + " is in use and differs");
            from = (int) free.end(free.indexOfFirstEndingAfter(different));
        }
    }
}
