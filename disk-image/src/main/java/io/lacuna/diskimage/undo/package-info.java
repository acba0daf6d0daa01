/**
 * The way back: what a run overwrites, punches or cuts off goes to an undo file first, byte for byte and whatever the format.
 * {@link io.lacuna.diskimage.undo.UndoRecorder} writes it, {@link io.lacuna.diskimage.undo.UndoFile} reads and proves it, and
 * {@link io.lacuna.diskimage.undo.Restorer} puts the bytes back.
 */
package io.lacuna.diskimage.undo;
