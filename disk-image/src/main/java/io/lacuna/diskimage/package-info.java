/**
 * Opens the virtual disks of this host: {@link io.lacuna.diskimage.DiskImages} is the way in, everything else is behind it. The
 * only package that makes native calls; formats are packages of their own and see the host through
 * {@link io.lacuna.blockio.HostFile} and {@link io.lacuna.blockio.ImageLinks} alone.
 */
package io.lacuna.diskimage;
