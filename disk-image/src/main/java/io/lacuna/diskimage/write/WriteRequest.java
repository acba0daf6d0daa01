package io.lacuna.diskimage.write;

import io.lacuna.blockio.ExtentSet;

/**
 * What a new image shall be like.
 *
 * @param virtualSize bytes of the disk
 * @param name what the file will be called, for formats that name it inside
 * @param compress whether to compress, where the format leaves a choice
 * @param backing the parent; null for none. Only where {@link OutputFormat#canHaveParent()}
 * @param own with a parent: ranges of the disk that must not show it, whether they are written or stay zeros; else empty
 * @param sectorSize bytes of the disk's logical sectors, 512 or 4096; counts only where {@link OutputFormat#tellsSectorSize()}
 */
public record WriteRequest(long virtualSize, String name, boolean compress, Backing backing, ExtentSet own, int sectorSize) {

    /**
     * The parent of a new image.
     *
     * @param name as the image shall name it: absolute, or relative to the image's directory
     * @param format its format, by its name here
     */
    public record Backing(String name, String format) {
    }
}
