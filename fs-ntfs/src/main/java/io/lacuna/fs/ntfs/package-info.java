/**
 * Reads the free space of NTFS volumes, and the evidence for believing it. Reads only.
 *
 * <p>{@link io.lacuna.fs.ntfs.NtfsProbe} is the way in; it is found through {@link java.util.ServiceLoader}. Everything on
 * disk is little-endian. The structures are named as in libfsntfs' and libvshadow's format papers; an LCN is a cluster
 * counted from the start of the volume, a VCN one counted from the start of a stream.
 */
package io.lacuna.fs.ntfs;
