package io.lacuna.engine.proof;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;

/** The digest as its description says, written down once more without any thought of speed. */
final class PlainDigest {

    private static final int CHUNK = 1 << 20;

    private PlainDigest() {
    }

    /** @param live for each byte whether it is */
    static String of(byte[] disk, boolean[] live) throws NoSuchAlgorithmException {
        List<byte[]> leaves = new ArrayList<>();
        for (int start = 0; start < disk.length; start += CHUNK) {
            ByteArrayOutputStream leaf = new ByteArrayOutputStream();
            leaf.write(0);
            int end = Math.min(disk.length, start + CHUNK);
            for (int from = start; from < end;) {
                int to = from;
                while (to < end && live[to] == live[from]) {
                    to++;
                }
                if (live[from]) {
                    leaf.writeBytes(ByteBuffer.allocate(8).putInt(from - start).putInt(to - from).array());
                    leaf.write(disk, from, to - from);
                }
                from = to;
            }
            leaves.add(sha(leaf.toByteArray()));
        }
        byte[] top = leaves.isEmpty() ? new byte[32] : tree(leaves);
        return HexFormat.of().formatHex(sha(ByteBuffer.allocate(41).put((byte) 2).putLong(disk.length).put(top).array()));
    }

    private static byte[] tree(List<byte[]> leaves) throws NoSuchAlgorithmException {
        if (leaves.size() == 1) {
            return leaves.get(0);
        }
        int left = Integer.highestOneBit(leaves.size() - 1);
        return node(tree(leaves.subList(0, left)), tree(leaves.subList(left, leaves.size())));
    }

    static byte[] node(byte[] left, byte[] right) throws NoSuchAlgorithmException {
        return sha(ByteBuffer.allocate(65).put((byte) 1).put(left).put(right).array());
    }

    static byte[] sha(byte[] bytes) throws NoSuchAlgorithmException {
        return MessageDigest.getInstance("SHA-256").digest(bytes);
    }

    /** @return all true, but for these ranges: pairs of first byte and byte behind */
    static boolean[] allBut(int size, int... ranges) {
        boolean[] live = new boolean[size];
        Arrays.fill(live, true);
        for (int i = 0; i < ranges.length; i += 2) {
            Arrays.fill(live, ranges[i], ranges[i + 1], false);
        }
        return live;
    }
}
