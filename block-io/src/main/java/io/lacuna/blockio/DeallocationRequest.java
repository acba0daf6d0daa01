package io.lacuna.blockio;

import java.io.IOException;
import java.util.List;

/**
 * What to give back.
 *
 * @param free bytes of the virtual disk that nothing needs
 * @param zeros other bytes of the virtual disk, in use or not, that are all zeros now, by this image's own word and not its
 *     parents', and must be zeros afterwards
 * @param mode how
 * @param granularity bytes; a hole is a whole number of these at a multiple of these. 0 for what the host can do, which also
 *     is the least
 * @param minExtent bytes; a range that is shorter stays
 * @param repair whether an earlier run is known to have been cut, so that what nothing refers to any more is its leak
 */
public record DeallocationRequest(ExtentSet free, ExtentSet zeros, ReclaimMode mode, long granularity, long minExtent,
        boolean repair) {

    /** A request for free bytes only. */
    public DeallocationRequest(ExtentSet free, ReclaimMode mode, long granularity, long minExtent, boolean repair) {
        this(free, ExtentSet.EMPTY, mode, granularity, minExtent, repair);
    }

    /**
     * Makes one set of what can go. Zeros go the same way as free bytes, for a range that was given back reads as zeros: but only
     * where a hole in each of the image's files is sure to, which these files are held to from now on.
     *
     * @param files of the image, all that hold guest bytes
     * @param remarks receives a sentence if the zeros have to stay
     * @return the request with the zeros, or without, among the free bytes
     */
    public DeallocationRequest on(List<HostFile> files, List<String> remarks) throws IOException {
        if (zeros.isEmpty()) {
            return this;
        }
        for (HostFile file : files) {
            String obstacle = obstacle(file);
            if (obstacle != null) {
                remarks.add("Blocks of zeros stay, for " + obstacle + ".");
                return new DeallocationRequest(free, mode, granularity, minExtent, repair);
            }
        }
        for (HostFile file : files) {
            file.insistOnZeroes();
        }
        return new DeallocationRequest(free.union(zeros), mode, granularity, minExtent, repair);
    }

    private static String obstacle(HostFile file) throws IOException {
        try {
            return file.punchSupport().zeroes() ? null : "the device does not promise that what it releases reads as zeros";
        } catch (UnsupportedException e) {
            return e.reason();
        }
    }
}
