package io.lacuna.diskimage.write;

/**
 * Cylinders, heads and sectors as the VHD specification (Microsoft, appendix "CHS Calculation") derives them from a size.
 *
 * @param cylinders at most 65535
 * @param heads at most 16
 * @param sectors a track, at most 255
 */
record Geometry(int cylinders, int heads, int sectors) {

    private static final long LARGEST = 65535L * 16 * 255;

    static Geometry of(long totalSectors) {
        long total = Math.min(totalSectors, LARGEST);
        if (total >= 65535L * 16 * 63) {
            return new Geometry((int) (total / 255 / 16), 16, 255);
        }
        int sectors = 17;
        long tracks = total / sectors;
        int heads = (int) Math.max(4, (tracks + 1023) / 1024);
        if (tracks >= heads * 1024L || heads > 16) {
            sectors = 31;
            heads = 16;
            tracks = total / sectors;
        }
        if (tracks >= heads * 1024L) {
            sectors = 63;
            heads = 16;
            tracks = total / sectors;
        }
        return new Geometry((int) (tracks / heads), heads, sectors);
    }
}
