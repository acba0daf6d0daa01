/**
 * Finds the volumes of a disk: GPT with both copies, MBR with logical partitions, or no table at all; and names what stands
 * on a volume without being read (LVM, LUKS, RAID members, swap, other file systems). Reads only.
 *
 * <p>Start with {@link io.lacuna.partition.PartitionTable#read} for a disk and
 * {@link io.lacuna.partition.VolumeSignatures#scan} for one volume of it.
 */
package io.lacuna.partition;
