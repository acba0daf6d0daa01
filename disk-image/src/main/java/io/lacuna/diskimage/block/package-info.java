/**
 * What the formats with a table of blocks (VHD, VHDX, VMDK, VDI) have in common: where the image stores guest bytes, what of it
 * can be given back, in which order, and how blocks are moved so that a file becomes shorter.
 *
 * <p>A format implements {@link io.lacuna.diskimage.block.BlockMap} and, where it has a table that may be changed,
 * {@link io.lacuna.diskimage.block.BlockTable}; BlockPlan and BlockWriter do the rest.
 */
package io.lacuna.diskimage.block;
