package io.lacuna.blockio;

/**
 * What to give back.
 *
 * @param free bytes of the virtual disk that nothing needs
 * @param mode how
 * @param granularity bytes; a hole is a whole number of these at a multiple of these. 0 for what the host can do, which also
 *     is the least
 * @param minExtent bytes; a free range that is shorter stays
 * @param repair whether an earlier run is known to have been cut, so that what nothing refers to any more is its leak
 */
public record DeallocationRequest(ExtentSet free, ReclaimMode mode, long granularity, long minExtent, boolean repair) {
}
