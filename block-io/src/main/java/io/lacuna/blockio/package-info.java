/**
 * The words that all modules share: byte ranges, readable and writable stores, checked access to on-disk fields, the
 * errors that bytes on disk can cause, and the two seams, {@link io.lacuna.blockio.FileSystemProbe} and
 * {@link io.lacuna.blockio.DiskImageFormat}, through which file systems and image formats plug in.
 *
 * <p>All offsets and lengths are in bytes unless a name says otherwise.
 */
package io.lacuna.blockio;
