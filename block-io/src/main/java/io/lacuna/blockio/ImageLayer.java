package io.lacuna.blockio;

import java.nio.file.Path;

/**
 * One file of an image or of its parents.
 *
 * @param role "image", "data file" or "backing"
 * @param path where it is
 * @param format its format
 * @param virtualSize bytes of the disk it presents; for a data file its own size
 * @param hostBytes bytes the host spends on it; -1 if that cannot be told
 */
public record ImageLayer(String role, Path path, String format, long virtualSize, long hostBytes) {
}
