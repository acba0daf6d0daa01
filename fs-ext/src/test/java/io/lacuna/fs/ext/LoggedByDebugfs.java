package io.lacuna.fs.ext;

import io.lacuna.fixtures.Tools;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The log of a journal as debugfs prints it: an independent reader.
 *
 * @param blocks what is logged, in the order of the log
 * @param commits sequence number to the block of the journal with its commit, in that order
 */
record LoggedByDebugfs(List<Logged> blocks, List<long[]> commits) {

    private static final Pattern LINE = Pattern.compile(
            "FS block (\\d+) logged at journal block (\\d+) \\(flags 0x(\\w+)\\)"
            + "|expected sequence (\\d+), type (\\d+) \\(.*\\) at block (\\d+)");
    private static final int COMMIT = 2;

    /**
     * A logged block.
     *
     * @param block of the file system
     * @param journalBlock block of the journal with its content
     */
    record Logged(long block, long sequence, long journalBlock, boolean escaped) {
    }

    static LoggedByDebugfs read(Path file) {
        Matcher line = LINE.matcher(Tools.ok("debugfs", "-n", "-R", "logdump -a", file.toString()));
        List<Logged> blocks = new ArrayList<>();
        List<long[]> commits = new ArrayList<>();
        long sequence = -1;
        while (line.find()) {
            if (line.group(1) != null) {
                boolean escaped = (Integer.parseInt(line.group(3), 16) & 1) != 0;
                blocks.add(new Logged(number(line, 1), sequence, number(line, 2), escaped));
            } else {
                sequence = number(line, 4);
                if (number(line, 5) == COMMIT) {
                    commits.add(new long[] {sequence, number(line, 6)});
                }
            }
        }
        return new LoggedByDebugfs(blocks, commits);
    }

    private static long number(Matcher line, int group) {
        return Long.parseLong(line.group(group));
    }

    /** @return whether there are blocks of a transaction behind the last complete one */
    boolean isCut() {
        return !blocks.isEmpty() && (commits.isEmpty() || blocks.get(blocks.size() - 1).sequence() > lastCommit()[0]);
    }

    /** @return sequence number and block of the journal of the last commit block */
    long[] lastCommit() {
        return commits.get(commits.size() - 1);
    }

    /**
     * @param volume all of it
     * @param journal where its blocks lie
     * @return whether it may be that a block of the last complete transaction was already written to its place: then no power
     *     cut leaves the disk without that transaction's commit block
     */
    boolean mayBeCheckpointed(byte[] volume, int blockSize, FileBlocks journal) {
        Map<Long, byte[]> before = new HashMap<>();
        for (Logged logged : blocks) {
            int at = (int) (journal.blockOf(logged.journalBlock()) * blockSize);
            byte[] content = Arrays.copyOfRange(volume, at, at + blockSize);
            if (logged.escaped()) {
                System.arraycopy(new byte[] {(byte) 0xC0, 0x3B, 0x39, (byte) 0x98}, 0, content, 0, 4);
            }
            if (logged.sequence() < lastCommit()[0]) {
                before.put(logged.block(), content);
            } else if (logged.sequence() == lastCommit()[0]) {
                int place = (int) logged.block() * blockSize;
                if (Arrays.equals(volume, place, place + blockSize, content, 0, blockSize)
                        && !Arrays.equals(content, before.get(logged.block()))) {
                    return true;
                }
            }
        }
        return false;
    }
}
