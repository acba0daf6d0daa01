/**
 * VHD images: fixed, dynamic and differencing, read and given back in place. Big-endian.
 *
 * <p>Source: Microsoft, Virtual Hard Disk Image Format Specification 1.0; what QEMU, VirtualBox, Hyper-V and Xen make of it where
 * that differs.
 */
package io.lacuna.diskimage.vhd;
