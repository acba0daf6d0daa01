/**
 * VMDK, VMware's disk images: a text descriptor, embedded or a file of its own, and the extents it names: sparse files with grain
 * directories and grain tables (hosted sparse, COWD, seSparse), flat files, and streams of compressed grains. All numbers are
 * little-endian, and places are told in sectors of 512 bytes.
 *
 * <p>Sources: VMware "Virtual Disk Format 5.0"; libyal's paper on VMDK; for seSparse QEMU's reader, block/vmdk.c.
 */
package io.lacuna.diskimage.vmdk;
