/** Raw images: a file or block device that is the disk, byte by byte. */
package io.lacuna.diskimage.raw;
