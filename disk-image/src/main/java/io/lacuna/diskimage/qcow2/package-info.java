/**
 * QEMU's copy-on-write images, versions 2 and 3: read at guest offsets through backing files, and give clusters back in
 * place.
 *
 * <p>All numbers of the format are big-endian. Source: QEMU {@code docs/interop/qcow2}. Reading needs only
 * {@link io.lacuna.diskimage.qcow2.Qcow2Format}; the rest is not for other packages.
 */
package io.lacuna.diskimage.qcow2;
