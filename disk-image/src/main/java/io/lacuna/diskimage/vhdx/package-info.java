/**
 * VHDX images, little-endian: fixed, dynamic and differencing. Source: Microsoft's open specification [MS-VHDX], version 2024,
 * whose names the fields keep; habits of Hyper-V and QEMU are named as such.
 *
 * <p>Everything but the two headers may have a newer version in the log, so everything but the headers and the log is read
 * through {@link io.lacuna.diskimage.vhdx.VhdxFile}, which lays an unfinished log over the file.
 */
package io.lacuna.diskimage.vhdx;
