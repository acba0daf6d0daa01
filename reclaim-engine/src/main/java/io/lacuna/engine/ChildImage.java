package io.lacuna.engine;

import java.nio.file.Path;

/**
 * An image that is based on the reported one, directly or through others.
 *
 * @param path where it is
 * @param base the image that it is based on directly
 * @param running whether a program has it open, as QEMU's locks tell
 * @param relation how it was found: "named", "beside the image", "disk of the libvirt machine 'a'", "open in 'qemu' (process 7)"
 */
public record ChildImage(Path path, Path base, boolean running, String relation) {

    static final String NAMED = "named";
    static final String BESIDE = "beside the image";
}
