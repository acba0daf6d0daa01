package io.lacuna.engine.proof;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * A hash tree over SHA-256, in the shape of RFC 6962, section 2.1: a node has the largest whole subtree that fits on its left. It
 * grows from left to right by leaves or by whole subtrees, and remembers one digest a level.
 */
final class MerkleTree {

    /** First byte of what a leaf's digest is taken of. */
    static final byte LEAF = 0;
    /** First byte of what an inner node's digest is taken of: the two digests below it follow. */
    static final byte NODE = 1;
    /** Levels of the highest tree whose leaves a long can count. */
    static final int MAX_HEIGHT = 62;

    /** @param height of the whole subtree: it has 2^height leaves */
    private record Subtree(byte[] digest, int height) {
    }

    private final Deque<Subtree> subtrees = new ArrayDeque<>();
    private final MessageDigest sha = sha256();

    static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }

    /** @return digests of whole subtrees whose leaves are all the same, by height */
    static byte[][] uniform(byte[] leaf) {
        byte[][] digests = new byte[MAX_HEIGHT + 1][];
        MessageDigest sha = sha256();
        digests[0] = leaf;
        for (int height = 1; height <= MAX_HEIGHT; height++) {
            digests[height] = node(sha, digests[height - 1], digests[height - 1]);
        }
        return digests;
    }

    private static byte[] node(MessageDigest sha, byte[] left, byte[] right) {
        sha.update(NODE);
        sha.update(left);
        return sha.digest(right);
    }

    /**
     * Appends a whole subtree.
     *
     * @param height its leaves are 2^height; the leaves before it are a multiple of that
     */
    void append(byte[] digest, int height) {
        if (!subtrees.isEmpty() && subtrees.peek().height() < height) {
            throw new IllegalArgumentException("a subtree of height " + height + " behind one of " + subtrees.peek().height());
        }
        Subtree whole = new Subtree(digest, height);
        while (!subtrees.isEmpty() && subtrees.peek().height() == whole.height()) {
            whole = new Subtree(node(sha, subtrees.pop().digest(), whole.digest()), whole.height() + 1);
        }
        subtrees.push(whole);
    }

    /**
     * Appends leaves that are all the same.
     *
     * @param digests as {@link #uniform} makes them
     * @param from number of the first; all before it have been appended
     * @param to number behind the last
     */
    void appendUniform(byte[][] digests, long from, long to) {
        for (long next = from; next < to;) {
            int aligned = next == 0 ? MAX_HEIGHT : Long.numberOfTrailingZeros(next);
            int fitting = Long.SIZE - 1 - Long.numberOfLeadingZeros(to - next);
            int height = Math.min(aligned, fitting);
            append(digests[height], height);
            next += 1L << height;
        }
    }

    /** @return the digest of the whole tree; null if it has no leaf */
    byte[] top() {
        byte[] top = null;
        for (Subtree left : subtrees) {
            top = top == null ? left.digest() : node(sha, left.digest(), top);
        }
        return top;
    }
}
