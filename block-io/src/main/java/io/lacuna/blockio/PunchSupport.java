package io.lacuna.blockio;

/**
 * How the host releases storage.
 *
 * @param granularity bytes of the smallest hole that frees anything, a power of two or a multiple of 512
 * @param alignment position of any hole boundary modulo the granularity; 0 but on some devices
 * @param zeroes whether a released range is sure to read as zeros
 * @param method the call, for the report: "PUNCH_HOLE" or "BLKDISCARD"
 */
public record PunchSupport(long granularity, long alignment, boolean zeroes, String method) {
}
